"""The back end that fails as it is told to keeps what every back end promises when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxiway.backends import EndpointSpec, Observation
from taxiway.errors import BackendError
from tests.backends.conformance import Conformance, Subject
from tests.emulators.fake_backend import FakeBackend, Kind
from tests.models import BuiltModel


@dataclass
class FakeSubject(Subject):
    """An endpoint of the fake back end."""

    backend: FakeBackend
    interruptions = ("error", "timeout", "lost", "partial")

    def ask(self, seen: Observation) -> str:
        answer = self.backend.answer(self.name)
        assert answer is not None
        return answer

    def resources(self) -> list[str]:
        return self.backend.resources(self.name)

    def interrupt(self, spec: EndpointSpec, token: str, moment: str) -> None:
        kind: Kind = moment  # type: ignore[assignment]
        self.backend.fail("apply", kind, seconds=0.01)
        with suppress(BackendError):
            self.backend.apply(spec, token=token)

    def orphan(self) -> None:
        self.backend.spoil(self.name, resources=[*self.resources(), "one that nobody knows"])

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        self.backend.fail("observe", "unknown", times=-1)
        yield
        self.backend.heal()

    @contextmanager
    def out_of_order(self) -> Iterator[None]:
        for operation in ("apply", "route"):
            self.backend.fail(operation, "error", times=-1)
        yield
        self.backend.heal()


class TestFakeBackend(Conformance):
    """It does."""

    @pytest.fixture
    def subject(self, tmp_path: Path, models: list[BuiltModel]) -> FakeSubject:
        return FakeSubject(FakeBackend(tmp_path / "fake"), models)
