"""A user of the emulated account: their clients, and the shortest way to an endpoint."""

from __future__ import annotations

import functools
import io
import json
import tarfile
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.emulators.sagemaker import SageMakerEmulator
from tests.models import BuiltModel
from tests.waiting import wait_until

IMAGE = "taxiway:emulated"


class Account:
    """A user's clients, and the shortest way to an endpoint."""

    def __init__(self, aws: SageMakerEmulator, built: BuiltModel) -> None:
        self.aws, self.built = aws, built
        self.sm, self.runtime = aws.client("sagemaker"), aws.client("sagemaker-runtime")
        self.s3 = aws.client("s3")
        self.s3.create_bucket(Bucket="models")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(built.path, "live")
        self.s3.put_object(Bucket="models", Key="iris.tar.gz", Body=packed.getvalue())
        self.body = json.dumps(built.rows(2)).encode()

    def model(self, name: str, **environment: str) -> str:
        self.sm.create_model(
            ModelName=name,
            ExecutionRoleArn=self.aws.role,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": "s3://models/iris.tar.gz",
                "Environment": environment,
            },
        )
        return name

    def variant(self, name: str = "live", model: str = "iris", **settings: Any) -> dict[str, Any]:
        base = {"VariantName": name, "ModelName": model}
        if "ServerlessConfig" not in settings:
            base |= {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}  # type: ignore[dict-item]
        return {**base, **settings}

    def config(self, name: str, *variants: dict[str, Any], **settings: Any) -> str:
        chosen = list(variants) or [self.variant()]
        self.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=chosen, **settings)
        return name

    def endpoint(self, name: str, config: str, **settings: Any) -> None:
        self.sm.create_endpoint(EndpointName=name, EndpointConfigName=config, **settings)
        assert self.status(name) == "Creating"
        self.settled(name)

    def status(self, name: str) -> str:
        return str(self.sm.describe_endpoint(EndpointName=name)["EndpointStatus"])

    def settled(self, name: str) -> dict[str, Any]:
        wait_until(lambda: self.status(name) in ("InService", "Failed"), f"{name} to settle")
        return dict(self.sm.describe_endpoint(EndpointName=name))

    def ask(self, name: str, body: bytes | None = None, **settings: Any) -> dict[str, Any]:
        answer = self.runtime.invoke_endpoint(
            EndpointName=name,
            Body=self.body if body is None else body,
            ContentType="application/json",
            **settings,
        )
        return {**answer, "Body": json.loads(answer["Body"].read())}

    def gone(self, name: str) -> None:
        self.sm.delete_endpoint(EndpointName=name)
        wait_until(lambda: name not in self.aws.account()["endpoints"], f"{name} to go")


@functools.cache
def impatient(account: Account) -> Any:
    """A client that neither tries again nor checks what it sends."""
    user = account.aws.site.keys.user
    session = boto3.session.Session(user.id, user.secret, region_name="us-east-1")
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    return session.client("sagemaker", endpoint_url=account.aws.site.url, config=config)


def refused(code: str, words: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*{words}")
