"""``python -m taxiway.serving.container serve`` as a process: what SageMaker sees of it, and what stays."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from taxiway.serving.spool import list_segments, read_segment
from tests.models import BuiltModel, build_model
from tests.waiting import wait_until


@dataclass
class Running:
    """A container's process, with its Models' folder, its spool and its log."""

    process: subprocess.Popen[bytes]
    root: Path
    spool: Path
    log: Path
    client: httpx.Client

    def pings(self) -> bool:
        try:
            return self.client.get("/ping").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, model: BuiltModel, start: int = 0, **headers: str) -> httpx.Response:
        return self.client.post("/invocations", json=model.rows(1, start), headers=headers)

    def child(self, role: str) -> psutil.Process:
        """The process of a role that was started last."""
        found = [one for one in psutil.Process(self.process.pid).children() if role in one.cmdline()[-20:]]
        return found[-1]

    def records(self, role: str) -> list[dict[str, Any]]:
        return [
            record
            for path in list_segments(self.spool)
            if path.name.startswith(role)
            for record in read_segment(path)[0]
        ]

    def end(self, seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


Run = Callable[..., Running]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """A second version."""
    return build_model(tmp_path_factory.mktemp("models"), c=0.01)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start a container's process with folders as SageMaker lays them out."""
    started: list[Running] = []

    def start(live: Path, shadow: Path | None = None, ready: bool = True, **environment: str) -> Running:
        root = tmp_path / "model"
        shutil.copytree(live, root / "live")
        if shadow is not None:
            shutil.copytree(shadow, root / "shadow")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        spool, log = tmp_path / "spool", tmp_path / "log"
        own = {"TAXIWAY_CONTAINER_MODEL": str(root), "TAXIWAY_CONTAINER_PORT": str(port)}
        own |= {"TAXIWAY_SPOOL": str(spool), "TAXIWAY_DRAIN_SECONDS": "2", "TMPDIR": str(tmp_path)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "taxiway.serving.container", "serve"],
                env={**os.environ, **own, **environment},
                stderr=output,
                start_new_session=True,
            )
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        running = Running(process, root, spool, log, client)
        started.append(running)
        if ready:
            wait_until(running.pings, "an answer to /ping")
        return running

    yield start
    for running in started:
        running.client.close()
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()


def test_it_answers_mirrors_and_ships_all_on_sigterm(
    run: Run, iris: BuiltModel, other: BuiltModel, tmp_path: Path
) -> None:
    running = run(iris.path, other.path)
    wait_until(lambda: any(tmp_path.glob("taxiway-*/shadow-1.sock")), "the shadow")
    time.sleep(0.2)
    for number in range(20):
        answer = running.ask(iris, number, **{"X-Request-Id": f"ask-{number}"})
        assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == iris.pipeline.predict(iris.frame.iloc[[19]])[0]
    running.client.close()
    assert running.end() == 0
    asked = [f"ask-{number}" for number in range(20)]
    assert [record["request"] for record in running.records("live")] == asked
    assert {record["request"] for record in running.records("shadow")} == set(asked)
    assert {record["model"] for record in running.records("shadow")} == {other.tag}
