"""``python -m taxiway.serving.container serve`` as a process: what SageMaker sees of it, and what stays."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from taxiway.serving.container import Settings
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
        found = [one for one in psutil.Process(self.process.pid).children() if role in one.cmdline()]
        return found[-1]

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def last(self) -> str:
        """The last line of its log."""
        return self.log.read_text().splitlines()[-1]

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
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, verify=False)
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


def test_it_answers_mirrors_and_leaves_on_sigterm(run: Run, iris: BuiltModel, other: BuiltModel) -> None:
    running = run(iris.path, other.path)

    def is_mirrored() -> bool:
        assert running.ask(iris, **{"X-Request-Id": "before"}).status_code == 200
        return bool(running.records("shadow"))

    wait_until(is_mirrored, "the shadow")
    for number in range(20):
        answer = running.ask(iris, number, **{"X-Request-Id": f"ask-{number}"})
        assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == iris.pipeline.predict(iris.frame.iloc[[19]])[0]
    running.client.close()
    assert running.end() == 0
    asked = [f"ask-{number}" for number in range(20)]
    answered = [record["request"] for record in running.records("live")]
    assert [name for name in answered if name != "before"] == asked
    assert {record["request"] for record in running.records("shadow")} == {"before", *asked}
    assert {record["model"] for record in running.records("shadow")} == {other.tag}


def test_dead_processes_are_replaced_and_clients_hear_nothing_of_a_shadow(
    run: Run, iris: BuiltModel, other: BuiltModel
) -> None:
    running = run(iris.path, other.path)
    wait_until(lambda: running.says("is ready as shadow"), "the shadow")
    live = running.child("live")
    running.child("shadow").kill()
    wait_until(lambda: running.says("the shadow is replaced"), "a word")
    assert running.ask(iris).status_code == 200
    assert running.child("live") == live
    live.kill()
    live.wait()
    # The port is never closed: the next process answers what comes meanwhile.
    assert running.ask(iris).status_code == 200
    assert running.says("a serving process is replaced: the live process was ended by SIGKILL")
    wait_until(lambda: running.log.read_text().count("is ready as shadow") == 2, "another shadow")


def test_several_live_processes_share_the_port(run: Run, iris: BuiltModel) -> None:
    running = run(iris.path, TAXIWAY_WORKERS="2", TAXIWAY_SERVING_OPTIONS="--policy out_of_range=reject")
    wait_until(lambda: running.log.read_text().count("is ready as live") == 2, "both")
    strange = iris.rows(1)[0] | {"petal_width": 1e6}
    for _ in range(20):
        # A connection each, so that both get some.
        answer = running.client.post("/invocations", json=[strange], headers={"Connection": "close"})
        assert answer.status_code == 422
    assert len(psutil.Process(running.process.pid).children()) == 2
    running.client.close()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(20) == 0


def test_a_live_process_that_does_not_stay_up_ends_the_container(run: Run, iris: BuiltModel) -> None:
    running = run(iris.path)
    for _ in range(3):
        wait_until(running.pings, "an answer")
        running.child("live").kill()
    assert running.process.wait(20) == 1
    assert "the container ends: the live process was ended by SIGKILL" in running.last()


def test_a_model_that_cannot_be_served_ends_the_container_with_its_last_words(
    run: Run, iris: BuiltModel, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(iris.path, broken)
    (broken / "model.onnx").write_bytes(b"no model")
    running = run(broken, ready=False)
    assert running.process.wait(30) == 1
    assert "the container ends: the live process ended with exit status 3:" in running.last()
    assert "model.onnx" in running.last()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TAXIWAY_WORKERS": "many"}, "TAXIWAY_WORKERS is 'many', which is no number"),
        ({"TAXIWAY_WORKERS": "0"}, "TAXIWAY_WORKERS is less than 1"),
        ({"TAXIWAY_CONTAINER_MODEL": "/nowhere"}, "/nowhere holds no Model"),
        ({"TAXIWAY_SERVING_OPTIONS": "--policy 'extra"}, "TAXIWAY_SERVING_OPTIONS"),
    ],
)
def test_settings_that_cannot_be_used_are_told(
    environment: dict[str, str], said: str, tmp_path: Path, iris: BuiltModel
) -> None:
    given = {"TAXIWAY_CONTAINER_MODEL": str(iris.path), "TAXIWAY_SPOOL": str(tmp_path), **environment}
    with pytest.raises(ValueError, match=re.escape(said)):
        Settings.read(given)


def test_an_unreachable_store_delays_nothing_and_is_told(run: Run, iris: BuiltModel) -> None:
    pytest.importorskip("obstore")
    with socket.socket() as silent:  # takes connections, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        running = run(
            iris.path,
            TAXIWAY_SHIP_TO="s3://bucket/log",
            TAXIWAY_SHIP_SECONDS="0.1",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_REGION="eu-west-1",
        )
        for number in range(50):
            # A request that waited for the store would wait for half a minute.
            assert running.ask(iris, number).elapsed.total_seconds() < 10
        running.client.close()
        assert running.end() == 0
    assert len(running.records("live")) == 50
    assert "were not shipped" in running.last()


def test_the_log_is_in_the_store_after_sigterm_and_metrics_tell(
    run: Run, iris: BuiltModel, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    running = run(iris.path, TAXIWAY_SHIP_TO=f"file://{store}", TAXIWAY_SHIP_SECONDS="0.1")
    running.ask(iris, 0, **{"X-Request-Id": "first"})
    wait_until(lambda: list_segments(store), "an object")
    wait_until(lambda: "taxiway_shipped_objects_total 1" in running.client.get("/metrics").text, "a count")
    running.ask(iris, 1, **{"X-Request-Id": "last"})
    running.client.close()
    assert running.end() == 0
    found = [record["request"] for path in list_segments(store) for record in read_segment(path)[0]]
    assert found == ["first", "last"]
    assert list_segments(running.spool) == []


def test_without_a_token_only_this_machine_is_answered_unless_it_is_said(
    tmp_path: Path, iris: BuiltModel
) -> None:
    given = {"TAXIWAY_CONTAINER_MODEL": str(iris.path), "TAXIWAY_SPOOL": str(tmp_path)}
    assert Settings.read(given).admission == ()
    assert Settings.read({**given, "TAXIWAY_CONTAINER_OPEN": "1"}).admission == ("--anyone",)
    told = Settings.read({**given, "TAXIWAY_CONTAINER_OPEN": "1", "TAXIWAY_TOKEN": "secret"})
    assert told.admission == ("--token-env", "TAXIWAY_TOKEN")


def test_the_container_itself_imports_next_to_nothing_before_it_starts_a_process() -> None:
    code = "import taxiway.serving.container, sys; print('\n'.join(sys.modules))".replace("\n", "\\n")
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    slow = {"numpy", "onnxruntime", "uvicorn", "orjson", "obstore", "boto3", "dataclasses", "asyncio"}
    assert slow.isdisjoint(loaded.split())
