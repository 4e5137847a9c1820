"""The preflight over REST: started in the server, followed, joined and cancelled, by a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import taxiway
from taxiway.packaging import registry
from tests.lab.jupyter import TOKEN, Jupyter
from tests.waiting import wait_until

Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with one Model that was not replayed yet."""
    home = tmp_path_factory.mktemp("taxiway")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXIWAY_HOME", str(home))
        patch.delenv("BENTOML_HOME", raising=False)
        inputs, target = load_wine(return_X_y=True, as_frame=True)
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, target)
        taxiway.package(model, name="wine", reference=inputs, target=target, replay=False)
        yield home


def client_of(server: Jupyter) -> httpx.Client:
    headers = {"Authorization": f"token {TOKEN}"}
    return httpx.Client(base_url=f"{server.url}/taxiway/api", headers=headers, timeout=30)


@pytest.fixture(scope="module")
def client(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a real server over that home."""
    with Jupyter(tmp_path_factory.mktemp("lab"), taxiway_home=home) as server, client_of(server) as client:
        yield client


@pytest.fixture
def stalled(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """The same, but no index answers, so that a preflight takes for ever."""
    with socket.create_server(("127.0.0.1", 0)) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{index.getsockname()[1]}/simple")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        for folder in (home / "environments").glob("[!.]*"):
            folder.rename(tmp_path / folder.name)
        with Jupyter(tmp_path / "lab", taxiway_home=home) as server, client_of(server) as client:
            yield client


@pytest.fixture
def path(home: Path) -> str:
    [model] = registry.list_models("wine")
    return f"models/wine/{model.version}/preflight"


def until(client: httpx.Client, path: str, told: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while not told(found := client.get(path).json()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def at_work(home: Path) -> list[psutil.Process]:
    """The workers of preflights, and what makes environments in ``home``."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            worker = "taxiway.lab.preflight_worker wine" in words
            if str(home / "environments") in words or (
                worker and process.environ()["TAXIWAY_HOME"] == str(home)
            ):
                found.append(process)
        except (psutil.Error, KeyError):
            continue
    return found


def test_a_preflight_is_followed_to_its_end_and_recorded(client: httpx.Client, path: str, home: Path) -> None:
    assert client.get(path).json()["state"] == "idle"
    before = client.get("overview").json()["models"][0]["preflight"]
    assert client.post(path).json()["state"] == "running"
    stages: set[str] = set()
    asked = time.monotonic()

    def done(found: dict[str, Any]) -> bool:
        nonlocal asked
        assert time.monotonic() - asked < 3, "the event loop was blocked"
        asked = time.monotonic()
        stages.add(found["stage"])
        return bool(found["state"] != "running")

    found = until(client, path, done)
    assert found["state"] == "done", found
    assert len(stages) > 1
    assert {"clean_replay", "latency_budget", "size_and_memory"} <= {
        check["name"] for check in found["checks"]
    }
    shown = client.get(path.removesuffix("/preflight")).json()["preflight"]["checks"]
    assert {check["name"]: check["result"] for check in shown}["clean_replay"] == "passed"
    assert client.get("overview").json()["models"][0]["preflight"]["passed"] > before["passed"]
    wait_until(lambda: not at_work(home), "the worker to end")


def test_a_second_start_joins_and_a_cancel_leaves_nothing(
    stalled: httpx.Client, path: str, home: Path
) -> None:
    first = stalled.post(path).json()
    until(stalled, path, lambda found: "making an environment" in found["stage"])
    wait_until(lambda: any((home / "environments").glob(".partial-*/made")), "uv to begin")
    second = stalled.post(path).json()
    assert (first["joined"], second["joined"]) == (False, True)
    assert second["started"] == first["started"]
    assert len([one for one in at_work(home) if "taxiway.lab.preflight_worker" in one.cmdline()]) == 1
    assert stalled.delete(path).json()["state"] == "cancelled"
    assert stalled.get(path).json()["state"] == "cancelled"
    wait_until(lambda: not at_work(home), "the worker to end")
    assert not list((home / "environments").glob(".partial-*"))
    assert stalled.post(path).json()["state"] == "running"  # and it can be started again


def test_a_stopped_server_ends_its_preflights(stalled: httpx.Client, path: str, home: Path) -> None:
    stalled.post(path)
    until(stalled, path, lambda found: "making an environment" in found["stage"])
    stalled.post(f"{str(stalled.base_url).removesuffix('/taxiway/api/')}/api/shutdown")
    wait_until(lambda: not at_work(home), "the worker to end")


def test_a_failure_is_a_sentence_and_a_hint(client: httpx.Client, path: str, home: Path) -> None:
    assert client.post("models/wine/000000000000/preflight").status_code == 404
    assert client.post("models/-rf/--help/preflight").status_code == 400
    [bento] = (home / "bentoml" / "bentos" / "wine").glob("*/src/taxiway/serving/__main__.py")
    source = bento.read_text()
    bento.write_text("raise SystemExit('no serving today')")
    try:
        client.post(path)
        found = until(client, path, lambda one: one["state"] != "running")
    finally:
        bento.write_text(source)
    [replayed] = [check for check in found["checks"] if check["name"] == "clean_replay"]
    assert replayed["result"] == "failed"
    assert "no serving today" in replayed["reason"]


def test_a_worker_that_dies_is_told_of(stalled: httpx.Client, path: str, home: Path) -> None:
    stalled.post(path)
    until(stalled, path, lambda found: "making an environment" in found["stage"])
    for process in at_work(home):
        process.kill()
    found = until(stalled, path, lambda one: one["state"] != "running")
    assert found["state"] == "failed"
    assert "ended before it was done" in found["error"]
    assert "taxiway preflight wine" in found["hint"]
