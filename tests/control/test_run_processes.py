"""The process of a retraining run: one at most, whoever starts it, and whatever the clock says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from taxiway.control import retraining
from taxiway.control.ledger import Ledger, ledger, now
from taxiway.control.retraining import RunSupervisor, run_dir
from taxiway.control.tables import RunRow
from taxiway.retraining.execute import execute

pytestmark = pytest.mark.usefixtures("taxiway_home")


def running(book: Ledger) -> RunRow:
    row = RunRow(
        id="one", endpoint="rain", notebook="train.ipynb", trigger="a test", logical_key="now", timeout=60.0
    )
    row.state, row.created, row.started = "running", now(), now()
    with book.transaction() as session:
        session.add(row)
    run_dir("one").mkdir(parents=True)
    return row


def state(book: Ledger) -> tuple[str, str | None]:
    with book.reading() as session:
        row = session.get_one(RunRow, "one")
        return row.state, row.error


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the run ``one``, which an agent that is gone has started."""
    words = [sys.executable, "-c", "import time; time.sleep(60)", str(run_dir("one"))]
    with subprocess.Popen(words) as made:
        yield made
        made.kill()


def test_a_second_process_of_a_run_does_nothing() -> None:
    """As when an agent was frozen just before it started one, and the next agent has started another."""
    folder = run_dir("one")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"notebook": "nowhere.ipynb", "parameters": {}}))
    assert not execute(folder)
    result = folder / "result.json"
    assert json.loads(result.read_text())["state"] == "failed"
    result.unlink()
    assert execute(folder)
    assert not result.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["process.json", "run.json"]


def test_a_clock_that_is_set_neither_ends_a_run_nor_loses_its_process(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    book = ledger()
    running(book)
    (run_dir("one") / "process.json").write_text(json.dumps({"pid": process.pid}))
    supervisor = RunSupervisor(book)
    supervisor.supervise(0.0)
    for days in (1, -1):
        monkeypatch.setattr(retraining, "now", lambda days=days: now() + timedelta(days=days))
        supervisor.supervise(days + 10.0)
        assert state(book) == ("running", None)
    supervisor.supervise(100.0)
    process.wait(10)
    assert state(book) == ("failed", "it took longer than 60 s")


def test_a_process_that_has_got_the_number_of_a_run_is_not_the_run() -> None:
    book = ledger()
    running(book)
    (run_dir("one") / "process.json").write_text(json.dumps({"pid": psutil.Process().pid}))
    RunSupervisor(book).supervise(0.0)
    assert state(book)[0] == "failed"


def test_a_run_that_began_in_another_home_is_not_run_again_by_who_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two machines have one ledger and a disk each: of the other's process nothing is seen here."""
    book = ledger()
    running(book)
    monkeypatch.setattr(retraining, "run_dir", lambda run: tmp_path / "another" / run)
    supervisor = RunSupervisor(book)
    for seconds in (0.0, 31.0, 59.0):
        supervisor.supervise(seconds)
        assert state(book) == ("running", None)
    supervisor.supervise(100.0)
    ended, error = state(book)
    assert (ended, "another machine" in str(error)) == ("failed", True)


def test_a_run_is_taken_by_one_agent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read that it is queued."""
    book, started = ledger(), []
    row = running(book)
    with book.transaction() as session:
        session.get_one(RunRow, "one").state = "queued"
    monkeypatch.setattr("subprocess.Popen", lambda *words, **_: started.append(words))
    for _ in range(2):
        RunSupervisor(book)._start(row)
    assert len(started) == 1
    assert state(book) == ("running", None)
