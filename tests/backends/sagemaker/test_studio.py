"""In a notebook of SageMaker, role and region are found by themselves, wherever SageMaker keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxiway_backends.sagemaker import SageMakerBackend, session
from tests.backends.sagemaker.conftest import Endpoint

REGION = "eu-west-1"
Notebook = Callable[..., None]


@pytest.fixture
def notebook(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Notebook:
    """Say what SageMaker says of a notebook; nothing else tells of role and region."""
    metadata = tmp_path / "resource-metadata.json"
    monkeypatch.setattr(session, "METADATA", metadata)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", session.ROLE_VARIABLE):
        monkeypatch.delenv(name)

    def say(**said: str) -> None:
        place = f"arn:aws:sagemaker:{REGION}:123456789012:app/d-1/me/jupyterlab/default"
        metadata.write_text(json.dumps({"ResourceArn": place, **said}))

    return say


def _found() -> tuple[str, str]:
    facts = SageMakerBackend().check().facts
    return facts["region"], facts["role"].rsplit("/", 1)[-1]


def test_in_studio_role_and_region_are_what_the_metadata_say(endpoint: Endpoint, notebook: Notebook) -> None:
    notebook(ExecutionRoleArn=endpoint.account.role)
    assert _found() == (REGION, "TaxiwayExecution")


def test_in_studio_the_users_role_comes_before_the_domains(endpoint: Endpoint, notebook: Notebook) -> None:
    roles = {name: endpoint.account.add_role(name) for name in ("OfMe", "OfUsers", "OfSpaces")}
    domain: str = (
        endpoint.account.client("sagemaker", REGION)
        .create_domain(
            DomainName="team",
            AuthMode="IAM",
            DefaultUserSettings={"ExecutionRole": roles["OfUsers"]},
            DefaultSpaceSettings={"ExecutionRole": roles["OfSpaces"]},
            SubnetIds=["subnet-1"],
            VpcId="vpc-1",
        )["DomainArn"]
        .rsplit("/", 1)[-1]
    )
    endpoint.account.add_profile(domain, "me", roles["OfMe"])
    endpoint.account.add_profile(domain, "anyone")
    said: list[tuple[dict[str, Any], str]] = [
        ({"UserProfileName": "me"}, "OfMe"),
        ({"UserProfileName": "anyone"}, "OfUsers"),
        ({"UserProfileName": "anyone", "SpaceName": "mine"}, "OfUsers"),
        ({"SpaceName": "ours"}, "OfSpaces"),
    ]
    for more, role in said:
        notebook(DomainId=domain, **more)
        assert _found() == (REGION, role), more
    # Not every role may look; then it is asked for in a sentence
    endpoint.account.deny("sagemaker:DescribeUserProfile")
    notebook(DomainId=domain, UserProfileName="me")
    problem, remedy = SageMakerBackend().check().problems[0]
    assert problem.startswith("No execution role for SageMaker was given")
    assert session.ROLE_VARIABLE in remedy


def test_a_notebook_instance_has_a_role_too(endpoint: Endpoint, notebook: Notebook) -> None:
    endpoint.account.client("sagemaker", REGION).create_notebook_instance(
        NotebookInstanceName="old", InstanceType="ml.t3.medium", RoleArn=endpoint.account.role
    )
    notebook(ResourceName="old")
    assert _found() == (REGION, "TaxiwayExecution")
