"""The real SageMaker SDK: against the emulator, and serving Taxiway's image by itself (its local mode)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sagemaker", reason="the SDK is in .venv-sagemaker: make test-sagemaker")

from taxiway_backends.sagemaker import image
from taxiway_backends.sagemaker.image.building import hand_over
from taxiway_backends.sagemaker.image.engine import find_engine
from tests.containers import docker_answers, why_not
from tests.emulators.sagemaker import SageMakerEmulator
from tests.emulators.test_sagemaker_containers import CACHE
from tests.models import build_model

pytestmark = pytest.mark.timeout(300)

LIFE = """
import json, sys, time
from sagemaker.core.helper.iam_role_resolver import resolve_and_validate_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

role, untrusted = sys.argv[1:]
told = {"role": resolve_and_validate_role(role, role_type="serving")}
try:
    resolve_and_validate_role(untrusted, role_type="serving")
except Exception as error:
    told["refused"] = str(error)
Model.create(
    model_name="m", execution_role_arn=role, primary_container=ContainerDefinition(image="taxiway:1")
)
variant = ProductionVariant(
    variant_name="v", model_name="m", instance_type="ml.m5.large", initial_instance_count=1
)
EndpointConfig.create(endpoint_config_name="c", production_variants=[variant])
endpoint = Endpoint.create(endpoint_name="e", endpoint_config_name="c")
told["first"] = endpoint.endpoint_status
while endpoint.refresh().endpoint_status == "Creating":
    time.sleep(0.1)
told["last"], told["reason"] = endpoint.endpoint_status, endpoint.failure_reason
told["all"] = [one.endpoint_name for one in Endpoint.get_all()]
endpoint.delete()
print(json.dumps(told))
"""

LOCAL = """
import os, sys
from sagemaker.core.local.local_session import LocalSession

image, model, body = sys.argv[1:]
session = LocalSession()
client = session.sagemaker_client
client.create_model(
    ModelName="m", PrimaryContainer={"Image": image, "ModelDataUrl": "file://" + model, "Environment": {}}
)
variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "local"}
client.create_endpoint_config("c", [variant])
client.create_endpoint("e", "c")
answer = session.sagemaker_runtime_client.invoke_endpoint(
    body.encode(), "e", ContentType="application/json", Accept="application/json"
)
print(answer["Body"].read().decode(), flush=True)
os._exit(0)  # the SDK's own way to end takes half a minute; the fixture ends the container
"""


def run(code: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """Run it in a process of its own, as the SDK's import takes seconds and leaves threads; its last line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(line))


def test_the_sdk_finds_a_role_and_takes_an_endpoint_through_its_life(tmp_path: Path) -> None:
    with SageMakerEmulator(tmp_path, runner="process") as aws:
        aws.container_fails(["no model"])
        untrusted = aws.add_role("OfLambda", "lambda.amazonaws.com")
        told = run(LIFE, aws.role, untrusted, **aws.environment)
    assert told["role"] == aws.role
    assert "does not allow 'sagemaker.amazonaws.com' to assume it" in told["refused"]
    assert (told["first"], told["last"], told["all"]) == ("Creating", "Failed", ["e"])
    assert "did not pass the ping health check" in told["reason"]


@pytest.fixture
def compose() -> Iterator[None]:
    """docker-compose, and port 8080 of this machine, which local mode takes; nothing is left of it."""
    if not docker_answers():
        pytest.skip(f"NOT TESTED: no container runs here: {why_not() or 'no Docker daemon answers'}")
    if not shutil.which("docker-compose"):
        pytest.skip("NOT TESTED: docker-compose is not installed here")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8080)) == 0:
            pytest.skip("NOT TESTED: port 8080, which the SDK's local mode takes, is in use here")
    yield
    asked = ["docker", "ps", "--all", "--quiet", "--filter", "network=sagemaker-local"]
    left = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    for command in (["rm", "--force", *left], ["network", "rm", "sagemaker-local"]):
        subprocess.run(["docker", *command], capture_output=True, check=False)


def test_the_sdks_local_mode_serves_the_image(compose: None, tmp_path: Path) -> None:
    built = build_model(tmp_path / "model")
    local = image.build(built.path, cache=CACHE)
    engine = find_engine()
    assert engine is not None
    hand_over(local, engine)
    packed = tmp_path / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(built.path, "live")
    answer = run(LOCAL, local.tag, str(packed), json.dumps(built.rows(3)), AWS_DEFAULT_REGION="us-east-1")
    want = built.pipeline.predict(built.frame.iloc[:3]).tolist()
    assert [row["label"] for row in answer["predictions"]] == want
