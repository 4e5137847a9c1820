"""The emulated BentoCloud's account, stores and faults, driven by the real bentoml client alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import httpx
import pytest

from tests.emulators.bentocloud import BentoCloudEmulator
from tests.emulators.bentocloud.shapes import CLUSTERS
from tests.emulators.bentocloud.tenant import Tenant, refused

STRATEGIES = [None, "presigned_url", "proxy"]


def test_a_login_says_who_one_is(tenant: Tenant) -> None:
    user, organization = tenant.rest.v1.get_current_user(), tenant.rest.v1.get_current_organization()
    assert user is not None
    assert user.get_name() == "Emu Lated"
    assert organization is not None
    assert organization.name == "emulated"
    types = {one.name: one for one in tenant.deployments.list_instance_types()}
    assert types["cpu.1"].cpu == "500m"
    assert types["gpu.t4.1"].gpu_type == "nvidia-tesla-t4"


def test_a_wrong_and_an_expired_token_open_nothing(tenant: Tenant) -> None:
    stranger = tenant.another("wrong")
    with refused("401.*unauthorized"):
        stranger.deployment.list()
    tenant.cloud.expire_token()
    with refused("401.*unauthorized"):
        tenant.deployments.list()
    tenant.cloud.renew_token()
    tenant.deployments.list()


def test_a_push_brings_the_model_then_the_bento_and_once(tenant: Tenant) -> None:
    account = tenant.cloud.account()
    assert account["models"] == account["bentos"] == ["tiny:v1"]
    assert account["model_repositories"] == account["bento_repositories"] == ["tiny"]
    calls = tenant.cloud.calls()
    assert calls.index("finish_upload_model") < calls.index("start_upload_bento")
    tenant.push()
    again = tenant.cloud.calls()[len(calls) :]
    assert not [call for call in again if "upload" in call or "put" in call], again
    stored = tenant.client.bento.get("tiny", "v1")
    assert stored.upload_status == "success"
    assert stored.manifest is not None
    assert stored.manifest.entry_service == "tiny"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_way_of_uploading_and_downloading(
    tenant: Tenant,
    strategy: Literal["presigned_url", "proxy"] | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from bentoml._internal.bento import BentoStore
    from bentoml._internal.models import ModelStore

    for module in ("bento", "model"):  # parts of 20 KiB instead of 100 MiB
        monkeypatch.setattr(f"bentoml._internal.cloud.{module}.FILE_CHUNK_SIZE", 20480)
    tenant.cloud.transmit(strategy)
    before = len(tenant.cloud.calls())
    tenant.push(force=True)
    calls = tenant.cloud.calls()[before:]
    assert ("upload_bento" in calls) == (strategy == "proxy")
    assert (calls.count("put_object") > 2) == (strategy == "presigned_url"), calls
    assert ("complete_model_multipart_upload" in calls) == (strategy == "presigned_url")
    pulled = tenant.client.bento.pull("tiny:v1", bento_store=BentoStore(tmp_path / "bentos"))
    sources = Path(tenant.bento.path) / "src" / "tiny_service.py"
    assert (Path(pulled.path) / "src" / "tiny_service.py").read_text() == sources.read_text()
    model = tenant.client.model.pull("tiny:v1", model_store=ModelStore(tmp_path / "models"))
    assert model is not None
    assert Path(model.path_of("word")).read_text() == "hello"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_upload_that_was_cut_has_failed_and_is_made_good_by_the_next(
    tenant: Tenant, strategy: Literal["presigned_url", "proxy"] | None
) -> None:
    tenant.cloud.transmit(strategy)
    tenant.cloud.cut_upload(at=0.5)
    with pytest.raises(Exception, match=r"Failed to upload|closed|reset|[Bb]roken|disconnected"):
        tenant.push(force=True)
    stored = tenant.rest.v1.get_model("tiny", "v1")
    assert stored is not None
    assert stored.upload_status == ("uploading" if strategy == "proxy" else "failed")
    tenant.push()
    stored = tenant.rest.v1.get_model("tiny", "v1")
    assert stored is not None
    assert stored.upload_status == "success"


def test_an_upload_may_be_slow(tenant: Tenant) -> None:
    tenant.cloud.slow_upload(100_000)
    began = time.monotonic()
    tenant.push(force=True)
    assert time.monotonic() - began > 0.4, "some 60 kB"


def test_what_a_store_refuses(tenant: Tenant) -> None:
    from bentoml._internal.cloud.schemas.schemasv1 import (
        CompleteMultipartUploadSchema,
        CompletePartSchema,
        CreateBentoRepositorySchema,
        CreateBentoSchema,
        FinishUploadSchema,
        PreSignMultipartUploadUrlSchema,
    )
    from bentoml.exceptions import NotFound

    v1 = tenant.rest.v1
    assert v1.get_bento("tiny", "v0") is None
    assert v1.get_model_repository("huge") is None
    with refused("409.*already exists"):
        v1.create_bento_repository(CreateBentoRepositorySchema(name="tiny", description=""))
    with refused("409.*already exists"):
        v1.create_bento("tiny", CreateBentoSchema(description="", version="v1"))
    with pytest.raises(NotFound):
        tenant.client.bento.get("tiny", "v0")
    manifest = tenant.client.bento.get("tiny", "v1").manifest
    v1.create_bento("tiny", CreateBentoSchema(description="", version="empty", manifest=manifest))
    with refused("400.*nothing has arrived"):
        v1.finish_upload_bento("tiny", "empty", FinishUploadSchema(status="success", reason=""))
    with refused("400.*has not been uploaded"):
        tenant.create("never", bento="tiny:empty")
    stranger = {"upload_id": "nobody's"}
    with refused("404|[Nn]ot found|NoSuchUpload"):
        v1.presign_model_multipart_upload_url(
            "tiny", "v1", PreSignMultipartUploadUrlSchema(part_number=1, **stranger)
        )
    begun = v1.start_model_multipart_upload("tiny", "v1").upload_id
    part = CompletePartSchema(part_number=1, etag="of nothing")
    with refused("400.*part 1 of tiny:v1 is missing"):
        v1.complete_model_multipart_upload(
            "tiny", "v1", CompleteMultipartUploadSchema(upload_id=begun, parts=[part])
        )
    unsigned = tenant.http.put(f"{tenant.endpoint}/storage/guessed", content=b"x")
    assert unsigned.status_code == 403


def test_lists_come_in_pages(tenant: Tenant) -> None:
    from bentoml._internal.cloud.schemas.modelschemas import ModelManifestSchema
    from bentoml._internal.cloud.schemas.schemasv1 import CreateModelRepositorySchema, CreateModelSchema

    v1 = tenant.rest.v1
    v1.create_model_repository(CreateModelRepositorySchema(name="many", description=""))
    manifest = ModelManifestSchema("", "v1", "1.4.39", 0)
    for number in range(12):
        v1.create_model("many", CreateModelSchema(description="", version=f"v{number}", manifest=manifest))
    latest = v1.get_latest_model("many")
    assert latest is not None
    assert latest.version == "v11"
    found = v1.get_models_list()
    assert found is not None
    assert (len(found.items), found.total) == (10, len(tenant.cloud.account()["models"]))
    assert found.items[0].repository.name == "tiny"


def test_what_there_is_can_be_listed(tenant: Tenant) -> None:
    v1 = tenant.rest.v1
    bentos, versions, clusters = v1.get_bentos_list(), v1.list_bentos("tiny", count=9), v1.get_cluster_list()
    assert bentos is not None
    assert versions is not None
    assert clusters is not None
    assert {one.repository.name for one in bentos.items} == {"tiny"}
    assert "v1" in {one.version for one in versions.items}
    assert [one.name for one in clusters.items] == list(CLUSTERS)


def test_secrets_are_kept_and_not_shown(tenant: Tenant) -> None:
    secrets = tenant.client.secret
    secrets.create("store", "env", key_vals=[("AWS_SECRET_ACCESS_KEY", "hidden")])
    with refused("409.*already exists"):
        secrets.create("store", "env", key_vals=[])
    (shown,) = secrets.list()
    assert [(item.key, item.value) for item in shown.content.items] == [("AWS_SECRET_ACCESS_KEY", "")]
    secrets.update("store", "env", key_vals=[("OTHER", "x")])
    assert secrets.get("store").content.items[0].key == "OTHER"
    secrets.delete("store")
    with refused("404"):
        secrets.get("store")


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 503])
def test_a_planted_failure_is_what_the_client_sees(tenant: Tenant, status: int) -> None:
    tenant.cloud.fail_next("list_deployment", status, times=2)
    seen = "Not found|not found" if status == 404 else "trace ID" if status >= 500 else str(status)
    for _ in range(2):
        with refused(seen):
            tenant.deployments.list()
    tenant.deployments.list()
    tenant.cloud.fail_next("*", status, message="in so many words")
    answer = tenant.http.get(
        f"{tenant.endpoint}/api/v1/current_org", headers={"X-YATAI-API-TOKEN": tenant.token}
    )
    assert (answer.status_code, answer.json()) == (status, {"error": "in so many words"})
    assert ("x-trace-id" in answer.headers) == (status >= 500)


def test_a_permission_is_missing_until_it_is_given(tenant: Tenant) -> None:
    tenant.cloud.forbid("list_secrets")
    for _ in range(2):
        with refused("403.*forbidden"):
            tenant.client.secret.list()
    tenant.cloud.release()
    assert tenant.client.secret.list() == []


def test_an_answer_may_be_lost_after_the_deed(tenant: Tenant) -> None:
    tenant.cloud.lose_next("create_secret")
    with pytest.raises(httpx.TransportError):
        tenant.client.secret.create("done", "env", key_vals=[])
    assert tenant.cloud.account()["secrets"] == ["done"]
    tenant.client.secret.delete("done")


def test_slow_answers_are_waited_for_no_longer_than_the_client_says(tenant: Tenant) -> None:
    tenant.cloud.slow(0.3, "get_current_user")
    began = time.monotonic()
    tenant.rest.v1.get_current_user()
    assert time.monotonic() - began >= 0.3
    hasty = tenant.another(tenant.token, timeout=0.1)
    with pytest.raises(httpx.ReadTimeout):
        hasty.client.v1.get_current_user()


def test_a_server_that_is_down_refuses_connections_and_comes_back_at_its_address(tenant: Tenant) -> None:
    tenant.cloud.down()
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            tenant.deployments.list()
    tenant.cloud.up()
    tenant.deployments.list()


def test_an_emulator_that_nothing_was_asked_of_ends(tmp_path: Path) -> None:
    with BentoCloudEmulator(tmp_path / "cloud") as cloud:
        assert not any(cloud.account().values())
