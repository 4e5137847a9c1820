"""The local back end in a home of its own, with short drains, and three versions of one Model."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from taxiway.backends import EndpointRef, EndpointSpec, ModelRef, Observation, Routing, Status
from taxiway.serving.spool import list_segments, read_segment
from taxiway_backends.local import LocalBackend
from tests.models import BuiltModel, build_model


def ref_of(model: BuiltModel) -> ModelRef:
    return ModelRef(model.name, model.version, model.path)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[BuiltModel]:
    folder = tmp_path_factory.mktemp("models")
    return [build_model(folder, c=c) for c in (1.0, 0.01, 0.001)]


@pytest.fixture(scope="session")
def broken(models: list[BuiltModel], tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    """A Model that does not answer its own sample."""
    path = tmp_path_factory.mktemp("broken") / "iris" / ("b" * 12)
    shutil.copytree(models[0].path, path)
    sample = json.loads((path / "sample.json").read_text())
    sample["outputs"]["label"][0] = "tulip"
    (path / "sample.json").write_text(json.dumps(sample))
    return ModelRef("iris", "b" * 12, path)


@dataclass
class Endpoint:
    """One endpoint of the local back end, and what a test does with it."""

    backend: LocalBackend
    models: list[BuiltModel]
    name: str = "iris"

    @property
    def ref(self) -> EndpointRef:
        return EndpointRef(self.name)

    @property
    def folder(self) -> Path:
        return self.backend.home / "run" / "local" / self.name

    def spec(self, live: int = 0, shadow: int | None = None, **more: Any) -> EndpointSpec:
        return EndpointSpec(self.name, self.routing(live, shadow), **more)

    def routing(self, live: int, shadow: int | None = None) -> Routing:
        return Routing(ref_of(self.models[live]), None if shadow is None else ref_of(self.models[shadow]))

    def start(self, live: int = 0, shadow: int | None = None, **more: Any) -> Observation:
        self.backend.apply(self.spec(live, shadow, **more), token="start")
        return self.ready(live, shadow)

    def ready(self, live: int, shadow: int | None = None) -> Observation:
        tag = self.models[live].tag
        other = None if shadow is None else self.models[shadow].tag
        return self.until(lambda seen: (seen.status, seen.live, seen.shadow) == (Status.READY, tag, other))

    def until(self, holds: Callable[[Observation], bool], seconds: float = 30.0) -> Observation:
        deadline = time.monotonic() + seconds
        while not holds(seen := self.backend.observe(self.ref)):
            assert time.monotonic() < deadline, f"{seen}\n{(self.folder / 'master.log').read_text()}"
            time.sleep(0.02)
        return seen

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
        return status

    def worker(self, role: str) -> psutil.Process:
        (pid,) = (worker["pid"] for worker in self.status()["workers"] if worker["role"] == role)
        return psutil.Process(pid)

    def records(self, role: str) -> list[dict[str, Any]]:
        segments = list_segments(self.folder / "spool")
        records = [record for segment in segments for record in read_segment(segment)[0]]
        return [record for record in records if record["kind"] == "prediction" and record["role"] == role]


@pytest.fixture
def endpoint(taxiway_home: Path, models: list[BuiltModel]) -> Iterator[Endpoint]:
    one = Endpoint(LocalBackend(taxiway_home, drain_seconds=2.0), models)
    yield one
    one.backend.destroy(one.ref, token="end")
