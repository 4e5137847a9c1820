"""What BentoCloud refuses, and what a user gets wrong: one sentence and a remedy, and it converges later."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import pytest

from taxiway.backends import EndpointRef, Status
from taxiway.errors import BackendError, ConflictError, InputError, RequestError, UnsupportedError
from taxiway_backends.bentocloud import BentoCloudBackend, asking, credentials
from tests.backends.bentocloud.conftest import Endpoint
from tests.backends.conformance import refused
from tests.emulators.bentocloud import BentoCloudEmulator
from tests.emulators.bentocloud.shapes import CLUSTERS


def _problem() -> tuple[str, str]:
    diagnosis = BentoCloudBackend().check()
    assert not diagnosis.ok
    return diagnosis.problems[0]


def test_every_failure_of_the_token_is_a_sentence_and_its_remedy(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.cloud.expire_token()
    assert _problem() == (
        "BentoCloud does not accept the API token: it is wrong or has expired.",
        "Make a new one on BentoCloud under API Tokens, and set BENTO_CLOUD_API_KEY.",
    )
    with refused(BackendError, "does not accept the API token"):
        endpoint.backend.apply(endpoint.spec(), token="a")
    endpoint.cloud.renew_token()
    with monkeypatch.context() as other:
        other.setenv(credentials.KEY_VARIABLE, "wrong")
        assert "does not accept the API token" in _problem()[0]
        assert "wrong" not in repr(credentials.read())
    asker = endpoint.backend._account().asker
    with monkeypatch.context() as other:
        for address in ("http://cloud.example", "cloud.example", "https://", "https://[::1"):
            other.setenv(credentials.ENDPOINT_VARIABLE, address)
            assert "no address to which an API token may be sent" in _problem()[0]
            with refused(RequestError, "could be read on the way"):
                asking.ask(asker, address, b"", {})
    key = endpoint.cloud.environment[credentials.KEY_VARIABLE]
    monkeypatch.delenv(credentials.KEY_VARIABLE)
    assert _problem()[0] == "No API token of BentoCloud was found."
    # One in the system's keyring is found by itself
    errors = ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
    kept = {("taxiway-bentocloud", "api-key"): key}
    ring: Any = SimpleNamespace(get_password=lambda service, name: kept.get((service, name)))
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    assert BentoCloudBackend().check().facts["organization"] == "emulated"


def test_while_the_server_is_down_it_is_unknown_and_then_as_it_was(endpoint: Endpoint) -> None:
    endpoint.start()
    endpoint.cloud.down()
    try:
        assert "was not reached" in _problem()[0]
        seen = endpoint.backend.observe(endpoint.ref)
        assert (seen.status, seen.live, seen.spool) == (Status.UNKNOWN, None, None)
        with refused(BackendError, "was not reached"):
            endpoint.backend.apply(endpoint.spec(1), token="b")
        # What is deployed goes on, and is asked without the API
        assert endpoint.ask(seen) == endpoint.models[0].tag
    finally:
        endpoint.cloud.up()
    endpoint.backend.apply(endpoint.spec(1), token="b")
    endpoint.ready(1)
    endpoint.cloud.expire_token()
    with pytest.raises(RequestError, match="does not accept the API token") as caught:
        endpoint.ask(seen)
    assert caught.value.status == 401


def test_settings_that_cannot_be_are_refused_with_the_nearest_name(endpoint: Endpoint) -> None:
    for settings, words in (
        ({"instancetype": "cpu.1"}, "no setting 'instancetype'"),
        ({"min_replicas": 3, "max_replicas": 1}, "min_replicas is 3 and max_replicas 1"),
        ({"min_replicas": -1}, "min_replicas cannot be -1"),
        ({"min_replicas": 1, "scale_to_zero_after": 60}, "never stops"),
        ({"canary": 100}, "canary must be"),
        ({"canary": "10"}, "canary cannot be '10'"),
        ({"secrets": [1]}, "secrets cannot be"),
        ({"ship_to": "bucket"}, "cannot be shipped to 'bucket'"),
    ):
        with refused(InputError, words):
            endpoint.backend.plan(endpoint.spec(settings=settings))
    with pytest.raises(InputError) as caught:
        endpoint.backend.plan(endpoint.spec(settings={"instancetype": "x"}))
    assert caught.value.hint == "Did you mean 'instance_type'?"
    with refused(BackendError, "no instance type 'cpu.99'"):
        endpoint.backend.plan(endpoint.spec(settings={"instance_type": "cpu.99"}))
    assert not endpoint.backend.check_for({"instance_type": "cpu.99"}).ok
    for more, word in (({"device": "gpu"}, "device gpu"), ({"host": "0.0.0.0"}, "host")):
        assert word in endpoint.backend.plan(endpoint.spec(**more)).unsupported[0]
        with refused(UnsupportedError):
            endpoint.backend.apply(endpoint.spec(**more), token="a")
    assert endpoint.resources() == []


def test_a_quota_and_a_secret_that_is_not_there_are_told_and_can_be_mended(endpoint: Endpoint) -> None:
    endpoint.cloud.quota(1)
    try:
        with refused(BackendError, "quota .* 2 were asked for"):
            endpoint.backend.apply(endpoint.spec(workers=2), token="a")
    finally:
        endpoint.cloud.quota(20)
    with refused(BackendError, "secret aws does not exist"):
        endpoint.backend.apply(endpoint.spec(settings={"secrets": ["aws"]}), token="b")
    assert endpoint.resources() == []
    account = endpoint.backend._account()
    account.cloud.secret.create("taxiway-iris-mirror", "env", key_vals=[("A", "1")], description="mine")
    with refused(BackendError, "secret taxiway-iris-mirror on BentoCloud that Taxiway did not make"):
        account.keep_mirror_secret("iris", "")
    account.remove_mirror_secret("iris", "")
    assert endpoint.resources() == ["secrets taxiway-iris-mirror"]
    account.cloud.secret.delete("taxiway-iris-mirror")
    account.cloud.secret.create("aws", "env", key_vals=[("AWS_REGION", "eu-west-1")])
    try:
        endpoint.start(settings={"secrets": ["aws"]})
        endpoint.backend.destroy(endpoint.ref, token="end")
        assert endpoint.resources() == ["secrets aws"], "it is the user's"
    finally:
        account.cloud.secret.delete("aws")


def test_a_strangers_deployment_is_never_touched(endpoint: Endpoint) -> None:
    from bentoml._internal.cloud.schemas import schemasv2

    endpoint.start()
    account = endpoint.backend._account()
    body = schemasv2.CreateDeploymentSchema(
        name="taxiway-theirs", bento=endpoint.models[0].tag, services={"iris": _service()}
    )
    account.cloud.client.v2.create_deployment(body)
    endpoint.name, ours = "theirs", endpoint.name
    try:
        with refused(ConflictError, "not this endpoint's"):
            endpoint.backend.apply(endpoint.spec(), token="a")
        with refused(ConflictError, "not this endpoint's"):
            endpoint.backend.plan(endpoint.spec())
        assert endpoint.backend._folder("theirs").recall() == {}, "whose log is not ours either"
        seen = endpoint.backend.observe(endpoint.ref)
        assert (seen.status, seen.native, seen.spool) == (Status.ABSENT, "not ours", None)
        endpoint.backend.destroy(endpoint.ref, token="a")
        assert endpoint.cloud.deployment("taxiway-theirs").status not in ("terminating", "terminated")
    finally:
        endpoint.name = ours
        calls = account.cloud.client.v2
        calls.terminate_deployment("taxiway-theirs")
        endpoint.until(lambda _: endpoint.cloud.deployment("taxiway-theirs").status == "terminated")
        calls.delete_deployment("taxiway-theirs")


def test_another_teams_endpoint_of_the_same_name_is_never_touched(endpoint: Endpoint) -> None:
    endpoint.backend.apply(replace(endpoint.spec(shadow=1), owner="ours"), token="a")
    seen = endpoint.ready(0, 1)
    before = endpoint.resources()
    theirs, their_ref = (
        BentoCloudBackend(endpoint.backend.home.parent / "theirs"),
        EndpointRef("iris", "theirs"),
    )
    for act in (
        lambda: theirs.plan(replace(endpoint.spec(1), owner="theirs")),
        lambda: theirs.apply(replace(endpoint.spec(1), owner="theirs"), token="b"),
        lambda: theirs.route(their_ref, endpoint.routing(1), token="b"),
    ):
        with refused(ConflictError, "not this endpoint's"):
            act()
    with pytest.raises(RequestError, match="no endpoint"):
        theirs.ask(their_ref, b"{}", {})
    told = theirs.observe(their_ref)
    assert (told.status, told.native, told.spool) == (Status.ABSENT, "not ours", None)
    assert theirs.destroy(their_ref, token="b").status is Status.ABSENT
    assert endpoint.resources() == before
    assert endpoint.ask(seen) == endpoint.models[0].tag


def _service() -> Any:
    from bentoml._internal.cloud.schemas.modelschemas import DeploymentServiceConfig

    return DeploymentServiceConfig()


def test_a_build_that_fails_says_why_in_its_own_words_and_is_tried_again_when_asked_again(
    endpoint: Endpoint,
) -> None:
    told, _ = endpoint.fail_twice(
        lambda: endpoint.cloud.build_fails(["Collecting onnxruntime", "ERROR: no matching distribution"]),
        lambda: endpoint.cloud.build_fails(["ERROR: no space left"]),
        endpoint.cloud.release,
    )
    assert told.startswith(f"The build of {endpoint.models[0].tag} failed. Its log ends: ")
    assert told.endswith("ERROR: no matching distribution.")


def test_a_deployment_that_never_gets_ready_is_told_to_be_stuck_until_it_does(endpoint: Endpoint) -> None:
    endpoint.backend = BentoCloudBackend(endpoint.backend.home, stuck_seconds=1.0)
    endpoint.cloud.stuck("deploying")
    endpoint.backend.apply(endpoint.spec(), token="a")
    seen = endpoint.until(lambda seen: seen.status is Status.FAILED)
    assert "has been deploying for" in seen.reason
    assert "may bill meanwhile" in seen.reason
    endpoint.cloud.release()
    endpoint.ready(0)
    # A shadow that does not get ready leaves the live Model as it is
    endpoint.cloud.stuck("deploying")
    endpoint.backend.route(endpoint.ref, endpoint.routing(0, 1), token="b")
    seen = endpoint.until(lambda seen: seen.status is Status.DEGRADED)
    assert (seen.live, seen.shadow) == (endpoint.models[0].tag, None)
    assert "The live Model answers" in seen.reason
    assert endpoint.ask(seen) == endpoint.models[0].tag
    endpoint.cloud.release()
    endpoint.ready(0, 1)


def test_an_upload_that_is_cut_is_told_and_made_good_by_the_next(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "taxiway.bentocloud")
    strategies: tuple[Literal["presigned_url", "proxy"] | None, ...] = (None, "presigned_url", "proxy")
    with BentoCloudEmulator(tmp_path / "empty") as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        for number, strategy in enumerate(strategies):
            cloud.transmit(strategy)
            tag = endpoint.models[number].tag
            for whole in (0, 1):  # the model is cut, then it comes and the Bento is
                cloud.cut_upload(at=0.5, after=whole)
                with refused(BackendError, f"The upload of {tag} to BentoCloud broke off: "):
                    endpoint.backend.apply(endpoint.spec(number), token="a")
            assert cloud.account()["deployments"] == []
            before = len(cloud.calls())
            cloud.fail_next("create_deployment", 429)
            with refused(BackendError, "asks for patience"):
                endpoint.backend.apply(endpoint.spec(number), token="a")
            assert tag in cloud.account()["bentos"]
            later = cloud.calls()[before:]
            assert ("start_upload_bento" in later, "start_upload_model" in later) == (True, False)
            steps = [record.getMessage() for record in caplog.records if tag in record.getMessage()]
            assert steps[-1] == f"pushed {tag} to BentoCloud"
            assert re.search(r"([\d.]+) of \1 MB$", steps[-2]), steps
        # An answer that is lost is no second deployment
        cloud.lose_next("create_deployment")
        with refused(BackendError, "was not reached"):
            endpoint.backend.apply(endpoint.spec(number), token="a")
        endpoint.backend.apply(endpoint.spec(number), token="a")
        endpoint.ready(number)
        assert cloud.account()["deployments"] == ["taxiway-iris"]
        endpoint.backend.destroy(endpoint.ref, token="end")
    for name, value in endpoint.cloud.environment.items():
        monkeypatch.setenv(name, value)


def test_an_endpoint_is_not_left_behind_in_another_cluster(endpoint: Endpoint) -> None:
    endpoint.backend.apply(endpoint.spec(), token="a")
    moved = endpoint.spec(settings={"cluster": CLUSTERS[1]})
    for step in (endpoint.backend.plan, lambda spec: endpoint.backend.apply(spec, token="b")):
        with refused(ConflictError, f"is in the cluster {CLUSTERS[0]}, and cannot move"):
            step(moved)
    endpoint.backend.apply(endpoint.spec(settings={"cluster": CLUSTERS[0]}), token="c")
    assert endpoint.resources() == ["deployments taxiway-iris"]
    # A cluster that there is not (any more) keeps nothing
    endpoint.backend.destroy(endpoint.ref, token="end")
    endpoint.backend._folder(endpoint.name).remember({"cluster": "moon"})
    endpoint.backend.apply(moved, token="d")
    assert endpoint.cloud.deployment("taxiway-iris", CLUSTERS[1]).status != "terminated"


def test_what_bentocloud_answers_is_read_or_told_that_it_cannot_be(endpoint: Endpoint) -> None:
    page = f"<html>{'the gateway is tired ' * 1000}</html>"
    endpoint.cloud.fail_next("get_deployment", 400, message=page)
    assert len(endpoint.backend.observe(endpoint.ref).reason) < 700
    endpoint.cloud.fail_next("get_deployment", 418, message="in so many words")
    assert endpoint.backend.observe(endpoint.ref).reason.endswith("taxiway-iris: in so many words.")
    for content in (b"<html>", b"[]", b"{}", b'{"name": 1}', b'"\xff"', b""):
        endpoint.cloud.answer_next("get_deployment", content)
        seen = endpoint.backend.observe(endpoint.ref)
        assert (seen.status, seen.live) == (Status.UNKNOWN, None), content
        assert "could not be read" in seen.reason


def test_two_deploys_at_once_end_with_one_of_them_and_the_other_can_follow(endpoint: Endpoint) -> None:
    endpoint.deploy_two_at_once()
