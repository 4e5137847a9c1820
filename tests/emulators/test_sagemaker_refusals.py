"""What the SageMaker emulator refuses, as AWS does: credentials, quotas, roles, values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("boto3", reason="boto3 and moto are in .venv-sagemaker: make test-sagemaker")
pytest.importorskip("moto", reason="boto3 and moto are in .venv-sagemaker: make test-sagemaker")


import boto3

from tests.emulators.sagemaker import SageMakerEmulator
from tests.emulators.sagemaker.user import IMAGE, Account, impatient, refused
from tests.models import build_model
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One account with one model."""
    folder = tmp_path_factory.mktemp("sagemaker")
    with SageMakerEmulator(folder / "aws", runner="process") as aws:
        account = Account(aws, build_model(folder / "model"))
        account.model("iris")
        yield account


@pytest.fixture(autouse=True)
def nothing_planted(account: Account) -> Iterator[None]:
    yield
    account.aws.release()
    account.aws.renew_credentials()


def test_only_one_variant_may_have_a_shadow(account: Account) -> None:
    with refused("ValidationException", "Only one production and one shadow"):
        two = [account.variant("a"), account.variant("b")]
        account.config("too-many", *two, ShadowProductionVariants=[account.variant("shadow")])


def test_reads_may_lag_behind(account: Account) -> None:
    account.aws.stale_reads(0.7)
    account.config("late")
    with refused("ValidationException", "Could not find endpoint configuration"):
        account.sm.describe_endpoint_config(EndpointConfigName="late")
    wait_until(
        lambda: account.sm.list_endpoint_configs(NameContains="late")["EndpointConfigs"], "the configuration"
    )


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("sts", "get_caller_identity", "ExpiredToken"),
        ("sagemaker", "list_models", "ExpiredTokenException"),
        ("s3", "list_buckets", "ExpiredToken"),
    ],
)
def test_expired_and_unknown_credentials_are_refused(
    account: Account, service: str, call: str, code: str
) -> None:
    client = account.aws.client(service)
    getattr(client, call)()
    account.aws.expire_credentials()
    with refused(code, "expired"):
        getattr(client, call)()
    account.aws.renew_credentials()
    user = account.aws.site.keys.user
    unknown = {
        "sts": "InvalidClientTokenId",
        "sagemaker": "UnrecognizedClientException",
        "s3": "InvalidAccessKeyId",
    }
    for key, secret, said in (
        ("AKIANOBODY", user.secret, unknown[service]),
        (user.id, "wrong", "SignatureDoesNotMatch|InvalidSignatureException"),
    ):
        other = boto3.session.Session(key, secret, region_name="us-east-1")
        with refused(said, ""):
            getattr(other.client(service, endpoint_url=account.aws.site.url), call)()


def test_a_quota_is_kept_and_listed(account: Account) -> None:
    account.aws.quota("ml.g5.xlarge", 0)
    account.config("gpu", account.variant(InstanceType="ml.g5.xlarge"))
    with refused("ResourceLimitExceeded", "'ml.g5.xlarge for endpoint usage' is 0 Instances"):
        account.sm.create_endpoint(EndpointName="gpu", EndpointConfigName="gpu")
    pages = account.aws.client("service-quotas").get_paginator("list_service_quotas")
    listed = {
        one["QuotaName"]: one["Value"]
        for page in pages.paginate(ServiceCode="sagemaker")
        for one in page["Quotas"]
    }
    assert listed["ml.g5.xlarge for endpoint usage"] == 0.0
    assert listed["ml.m5.large for endpoint usage"] > 0


def test_a_role_must_trust_sagemaker_and_data_must_be_there(account: Account) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://models/iris.tar.gz"}
    lambdas = account.aws.add_role("OfLambda", "lambda.amazonaws.com")
    for role in (lambdas, "arn:aws:iam::123456789012:role/Nobody"):
        with refused("ValidationException", "Could not assume role"):
            account.sm.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer=container)
    with refused("ValidationException", "Could not access model data"):
        account.sm.create_model(
            ModelName="m",
            ExecutionRoleArn=account.aws.role,
            PrimaryContainer={**container, "ModelDataUrl": "s3://models/nothing.tar.gz"},
        )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"VariantName": "a_b"}, "regular expression pattern"),
        ({"InstanceType": "ml.m5.colossal"}, "enum value set"),
        ({"InitialInstanceCount": 0}, "greater than or equal to 1"),
    ],
)
def test_values_are_checked_as_the_service_publishes_them(
    account: Account, settings: dict[str, Any], words: str
) -> None:
    with refused("ValidationException", words):
        impatient(account).create_endpoint_config(
            EndpointConfigName="bad", ProductionVariants=[{**account.variant(), **settings}]
        )


def test_autoscaling_is_registered(account: Account) -> None:
    scaling = account.aws.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/plain/variant/live",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4)
    assert account.aws.account()["scaling"] == ["endpoint/plain/variant/live"]
    scaling.deregister_scalable_target(**target)
    assert account.aws.account()["scaling"] == []
