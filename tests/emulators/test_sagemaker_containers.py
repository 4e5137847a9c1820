"""The SageMaker emulator with real containers: an image from the registry, pulled and run for an endpoint."""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="boto3 and moto are in .venv-sagemaker: make test-sagemaker")

from botocore.exceptions import ClientError

from taxiway_backends.sagemaker import image
from tests import containers
from tests.containers import docker_answers, why_not
from tests.emulators import registry
from tests.emulators.sagemaker import SageMakerEmulator
from tests.models import BuiltModel, build_model
from tests.waiting import wait_until

CACHE = Path(os.environ.get("TAXIWAY_IMAGE_CACHE") or Path(__file__).parents[2] / ".make" / "images")

pytestmark = pytest.mark.timeout(300)


def test_who_may_start_no_daemon_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "docker_answers", lambda: False)
    monkeypatch.setattr(containers.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(containers.os, "geteuid", lambda: 1000)
    with containers.daemon() as reason:
        assert reason == "no Docker daemon answers, and only root may start one"
    monkeypatch.setattr(containers.shutil, "which", lambda _: None)
    assert "apt-get install docker.io" in containers.why_not()
    assert "apt-get install podman" in containers.why_no_podman()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMakerEmulator]:
    if not docker_answers():
        pytest.skip(f"NOT TESTED: no container runs here: {why_not() or 'no Docker daemon answers'}")
    if not registry.installed():
        pytest.skip("NOT TESTED: docker-registry and htpasswd are not installed here")
    with SageMakerEmulator(tmp_path_factory.mktemp("aws"), runner="docker") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def pushed(aws: SageMakerEmulator, built: BuiltModel) -> image.Pushed:
    """The Model's own image in ECR, pushed with ECR's login."""
    ecr = aws.client("ecr")
    uri = ecr.create_repository(repositoryName="taxiway")["repository"]["repositoryUri"]
    (login,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(login["authorizationToken"]).decode().partition(":")
    local = image.build(built.path, cache=CACHE)
    found = image.push(local, image.Registry(login["proxyEndpoint"], user, password), "taxiway")
    assert found.uri.startswith(uri)
    return found


def create(aws: SageMakerEmulator, name: str, uri: str, **environment: str) -> dict[str, Any]:
    container = {"Image": uri, "ModelDataUrl": "s3://models/iris.tar.gz", "Environment": environment}
    return dict(
        aws.client("sagemaker").create_model(
            ModelName=name, ExecutionRoleArn=aws.role, PrimaryContainer=container
        )
    )


def test_an_endpoint_runs_the_image_from_the_registry(
    aws: SageMakerEmulator, built: BuiltModel, pushed: image.Pushed
) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="models")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(built.path, "live")
    s3.put_object(Bucket="models", Key="iris.tar.gz", Body=packed.getvalue())
    create(aws, "iris", pushed.uri, TAXIWAY_SHIP_TO="s3://models/spool", TAXIWAY_SHIP_SECONDS="0.5")
    sm = aws.client("sagemaker")
    variant = {
        "VariantName": "live",
        "ModelName": "iris",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sm.create_endpoint_config(EndpointConfigName="iris", ProductionVariants=[variant])
    sm.create_endpoint(EndpointName="iris", EndpointConfigName="iris")

    def told() -> dict[str, Any]:
        found = dict(sm.describe_endpoint(EndpointName="iris"))
        return found if found["EndpointStatus"] != "Creating" else {}

    assert wait_until(told, "the endpoint").get("FailureReason") is None
    answer = aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="iris", Body=json.dumps(built.rows(3)), ContentType="application/json"
    )
    want = built.pipeline.predict(built.frame.iloc[:3]).tolist()
    assert [row["label"] for row in json.loads(answer["Body"].read())["predictions"]] == want
    listed = functools.partial(s3.list_objects_v2, Bucket="models", Prefix="spool/")
    wait_until(lambda: listed().get("Contents"), "a segment in S3")
    aws.flush()
    events = aws.client("logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/iris")["events"]
    assert any("8080" in one["message"] or "ready" in one["message"] for one in events), events
    sm.delete_endpoint(EndpointName="iris")
    wait_until(lambda: not aws.account()["endpoints"], "the end")


def test_ecr_tells_what_its_registry_holds(aws: SageMakerEmulator, pushed: image.Pushed) -> None:
    ecr = aws.client("ecr")
    tag = pushed.uri.rpartition(":")[2]
    (found,) = ecr.describe_images(repositoryName="taxiway")["imageDetails"]
    assert (found["imageDigest"], found["imageTags"]) == (pushed.digest, [tag])
    assert found["imageManifestMediaType"] == pushed.media_type
    assert aws.account()["images"] == [f"taxiway:{tag}"]
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        ecr.describe_images(repositoryName="nobody")
    for uri in (f"{pushed.uri}0", pushed.uri.replace("/taxiway:", "/nobody:")):
        with pytest.raises(ClientError, match=r"Requested image .* not found"):
            create(aws, "never", uri)


def test_an_oci_manifest_is_refused_as_sagemaker_does(aws: SageMakerEmulator, pushed: image.Pushed) -> None:
    assert aws.registry is not None
    kind = "application/vnd.oci.image.manifest.v1+json"
    held = aws.registry.manifest("taxiway", pushed.digest)
    assert held is not None
    said = json.loads(held.text) | {"mediaType": kind}
    for part in (said["config"], *said["layers"]):
        part["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
    said["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"
    aws.registry.put("taxiway", "oci", json.dumps(said), kind)
    with pytest.raises(ClientError, match="Unsupported manifest media type"):
        create(aws, "never", f"{aws.registry.host}/taxiway:oci")


def test_a_deleted_image_is_gone(aws: SageMakerEmulator, pushed: image.Pushed) -> None:
    ecr = aws.client("ecr")
    listed = ecr.list_images(repositoryName="taxiway")["imageIds"]
    assert ecr.batch_delete_image(repositoryName="taxiway", imageIds=listed)["failures"] == []
    assert aws.account()["images"] == []
    again = ecr.batch_delete_image(repositoryName="taxiway", imageIds=[{"imageDigest": pushed.digest}])
    assert again["failures"][0]["failureCode"] == "ImageNotFound"
