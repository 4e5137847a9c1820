"""The BentoCloud back end in an emulated organization, whose replicas are the pushed Bentos as processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from taxiway.backends import EndpointSpec
from taxiway_backends.bentocloud import BentoCloudBackend, account
from tests.backends.clouds import CloudSubject
from tests.emulators.bentocloud import BentoCloudEmulator
from tests.models import BuiltModel

#: What the serving runtime imports; a Bento pins it beside bentoml.
_PINS = ("numpy", "onnxruntime", "orjson", "prometheus_client")


class Cut(BaseException):
    """The process ends here."""


@dataclass
class Endpoint(CloudSubject):
    """One endpoint of the BentoCloud back end, and what a test does with it."""

    backend: BentoCloudBackend
    cloud: BentoCloudEmulator = field(kw_only=True)
    store: str = field(kw_only=True)
    seconds = 60.0
    interruptions = ("before the bento", "before the deployment", "after the deployment")
    facts = frozenset(("endpoint", "user", "organization", "instance types"))

    def spec(self, live: int = 0, shadow: int | None = None, **more: Any) -> EndpointSpec:
        given = {"ship_to": self.store, **more.pop("settings", {})}
        return super().spec(live, shadow, settings=given, **more)

    def resources(self) -> list[str]:
        """All that bills, and the secrets; a Bento stays in the repository, which nothing deletes from."""
        account = self.cloud.account()
        return [f"{kind} {name}" for kind in ("deployments", "secrets") for name in account[kind]]

    def interrupt(self, spec: EndpointSpec, token: str, moment: str) -> None:
        def cut(*_: Any) -> None:
            raise Cut

        with pytest.MonkeyPatch.context() as patch:
            if moment == "before the bento":
                patch.setattr("taxiway_backends.bentocloud.rollout.push", cut)
            for name in ("create", "update"):
                kept = getattr(account.Account, name)
                late = (
                    cut if moment == "before the deployment" else lambda *given, kept=kept: cut(kept(*given))
                )
                if moment != "before the bento":
                    patch.setattr(account.Account, name, late)
            with suppress(Cut):
                self.backend.apply(spec, token=token)

    def orphan(self) -> None:
        """Leave a shadow's deployment that no live one mirrors to."""
        mine = self.backend._account()
        native = mine.deployment(self.name, "live", "")
        assert native is not None
        assert native.main is not None
        mine.create(native.main.design.shadow(self.models[0].tag), "orphan", "")

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        self.cloud.expire_token()
        yield
        self.cloud.renew_token()

    @contextmanager
    def out_of_order(self) -> Iterator[None]:
        for operation in ("create_deployment", "update_deployment"):
            self.cloud.fail_next(operation, 500, times=100)
        yield
        self.cloud.release()


@pytest.fixture(scope="session")
def cloud_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BentoCloudEmulator]:
    with warnings.catch_warnings():  # of what bentoml itself is built on, at its first import
        warnings.simplefilter("ignore")
        for name in ("_bentoml_sdk.models", "bentoml._internal.cloud"):
            import_module(name)
    with BentoCloudEmulator(tmp_path_factory.mktemp("bentocloud")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def bentos(tmp_path_factory: pytest.TempPathFactory, models: list[BuiltModel]) -> Path:
    """A BentoML home for all tests, so that each Bento is built once."""
    from importlib.metadata import version

    pins = "".join(f"{name}=={version(name)}\n" for name in _PINS)
    for model in models:
        (model.path / "requirements.txt").write_text(pins)
    return tmp_path_factory.mktemp("bentoml")


@pytest.fixture
def cloud(
    cloud_of_all: BentoCloudEmulator, monkeypatch: pytest.MonkeyPatch, bentos: Path
) -> BentoCloudEmulator:
    for name, value in {**cloud_of_all.environment, "BENTOML_HOME": str(bentos)}.items():
        monkeypatch.setenv(name, value)
    cloud_of_all.release()
    return cloud_of_all


@pytest.fixture
def endpoint(
    cloud: BentoCloudEmulator, taxiway_home: Path, models: list[BuiltModel], tmp_path: Path
) -> Iterator[Endpoint]:
    one = Endpoint(BentoCloudBackend(taxiway_home), models, cloud=cloud, store=f"file://{tmp_path / 'store'}")
    yield one
    cloud.release()
    cloud.renew_token()
    one.backend.destroy(one.ref, token="end")
