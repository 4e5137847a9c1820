"""The SageMaker back end in an emulated account; its containers are real ones where Docker answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from taxiway.backends import EndpointSpec
from taxiway_backends.sagemaker import SageMakerBackend
from tests.backends.clouds import CloudSubject
from tests.models import BuiltModel

if TYPE_CHECKING:
    from tests.emulators.sagemaker import SageMakerEmulator

#: Not looked at where containers are processes of their entry point.
NO_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1"
#: The image that tests push themselves, so that not every test builds and deletes one.
MINE = "mine"


class Cut(BaseException):
    """The process ends here."""


@dataclass
class Endpoint(CloudSubject):
    """One endpoint of the SageMaker back end, and what a test does with it."""

    backend: SageMakerBackend
    account: SageMakerEmulator = field(kw_only=True)
    image: str = NO_IMAGE
    seconds = 60.0
    interruptions = ("before the model", "before the configuration", "before the tags", "before the endpoint")
    facts = frozenset(("region", "account", "role", "bucket"))

    def spec(self, live: int = 0, shadow: int | None = None, **more: Any) -> EndpointSpec:
        given = {"role": self.account.role, "image": self.image, **more.pop("settings", {})}
        return super().spec(live, shadow, settings=given, **more)

    def resources(self) -> list[str]:
        """All that there is in the account but the prediction log, which comes as it is asked."""
        found = [f"{kind} {name}" for kind, names in self.account.account().items() for name in names]
        return [name for name in found if "/spool/" not in name and not name.startswith(f"images {MINE}:")]

    def interrupt(self, spec: EndpointSpec, token: str, moment: str) -> None:
        operation = {
            "before the model": "create_model",
            "before the configuration": "create_endpoint_config",
            "before the endpoint": ("create_endpoint", "update_endpoint"),
            "before the tags": "add_tags",
        }[moment]
        client = self.backend._find(self.name).session.client("sagemaker")
        names = (operation,) if isinstance(operation, str) else operation
        kept = {name: getattr(client, name) for name in names}

        def cut(**_: Any) -> None:
            raise Cut

        for name in names:
            setattr(client, name, cut)
        try:
            self.backend.apply(spec, token=token)
        except Cut:
            pass
        finally:
            for name, method in kept.items():
                setattr(client, name, method)

    def orphan(self) -> None:
        """Leave a model and a configuration of an earlier design."""
        client = self.account.client("sagemaker")
        name = f"taxiway-{self.name}-{'0' * 12}"
        tags = [{"Key": "taxiway:endpoint", "Value": self.name}]
        container = {"Image": self.image}
        client.create_model(
            ModelName=name, PrimaryContainer=container, ExecutionRoleArn=self.account.role, Tags=tags
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags)

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        self.account.expire_credentials()
        yield
        self.account.renew_credentials()

    @contextmanager
    def out_of_order(self) -> Iterator[None]:
        self.account.deny("sagemaker:CreateModel")
        yield
        self.account.release()


@pytest.fixture(scope="session")
def account_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMakerEmulator]:
    pytest.importorskip("moto", reason="the emulator stands on moto: make test-sagemaker")
    from tests.emulators.sagemaker import SageMakerEmulator

    with SageMakerEmulator(tmp_path_factory.mktemp("sagemaker")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def image(account_of_all: SageMakerEmulator, models: list[BuiltModel]) -> str:
    """The URI of an image that no endpoint owns, and that serves every Model of the tests."""
    registry = account_of_all.registry
    if registry is None:
        return NO_IMAGE
    from taxiway_backends.sagemaker import image as building

    account_of_all.client("ecr").create_repository(repositoryName=MINE)
    where = building.Registry(f"http://{registry.host}", registry.user, registry.password)
    return building.push(building.build(models[0].path), where, MINE).uri


@pytest.fixture
def account(account_of_all: SageMakerEmulator, monkeypatch: pytest.MonkeyPatch) -> SageMakerEmulator:
    _enter(account_of_all, monkeypatch)
    account_of_all.release()
    return account_of_all


def _enter(account: SageMakerEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 find the emulated account, and nothing else."""
    for name, value in {**account.environment, "TAXIWAY_SAGEMAKER_ROLE": account.role}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def endpoint(
    account: SageMakerEmulator,
    taxiway_home: Path,
    models: list[BuiltModel],
    image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Endpoint]:
    one = Endpoint(SageMakerBackend(taxiway_home), models, account=account, image=image)
    yield one
    _enter(account, monkeypatch)
    account.release()
    account.renew_credentials()
    one.backend.destroy(one.ref, token="end")
