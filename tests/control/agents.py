"""Agents as processes, with endpoints of the fake back end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from taxiway.control import agent_process, desired
from taxiway.control.ledger import ledger
from taxiway.control.tables import EndpointRow, EventRow, ObservationRow
from tests.emulators.fake_backend import FakeBackend, install
from tests.waiting import wait_until


@dataclass
class Agents:
    """Agents of one home, and the back end that they share."""

    home: Path
    fake: FakeBackend
    tags: tuple[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *flags: str, command: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start an agent, as the service does."""
        words = [*(command or [sys.executable, "-P", "-m", "taxiway.control.agent"]), *flags]
        with (self.home / "agent.log").open("ab") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TAXIWAY_HOME": str(self.home)},
            )
        self.started.append(process)
        return process

    def works(self, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
        """Wait until that process holds the lease."""
        wait_until(lambda: agent_process.status().pid == process.pid, "the agent to work", seconds)

    def ask(self, name: str, model: int = 0, **more: Any) -> int:
        """Ask for a Model to be live; give the generation."""
        given: dict[str, Any] = {"backend": "fake", "window": "hour", "workers": 1, "policies": {}, **more}
        with ledger().transaction() as session:
            return desired.deploy(
                session, endpoint=name, model=self.tags[model], overridden=(), by="test", **given
            ).generation

    def seen(self, name: str) -> ObservationRow | None:
        with ledger().reading() as session:
            return session.get(ObservationRow, name)

    def row(self, name: str) -> EndpointRow:
        with ledger().reading() as session:
            return session.get_one(EndpointRow, name)

    def ready(self, name: str, model: int = 0, seconds: float = 60.0) -> ObservationRow:
        """Wait until the agent has seen, and written, that a Model is live as asked."""

        def look() -> ObservationRow | None:
            seen, row = self.seen(name), self.row(name)
            fits = seen and (seen.status, seen.live, seen.generation) == (
                "READY",
                self.tags[model],
                row.generation,
            )
            return seen if fits else None

        found = wait_until(look, f"{name} to be ready", seconds)
        assert found is not None
        return found

    def events(self, kind: str) -> list[EventRow]:
        with ledger().reading() as session:
            return list(session.scalars(select(EventRow).where(EventRow.kind == kind).order_by(EventRow.id)))

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    """The fake back end, installed for every process of this test."""
    for name, value in install(tmp_path / "site", tmp_path / "fake").items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return FakeBackend(tmp_path / "fake")


@pytest.fixture
def agents(
    home: Path, fake: FakeBackend, tags: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Agents]:
    monkeypatch.setenv("TAXIWAY_AGENT_LEASE", "3")
    made = Agents(home, fake, tags)
    yield made
    made.end()


def frozen(process: subprocess.Popen[bytes]) -> None:
    """Freeze a process, as a machine that swaps, or is put to sleep, does."""
    process.send_signal(signal.SIGSTOP)
    wait_until(
        lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "the process to be still"
    )
