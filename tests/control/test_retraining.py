"""Retraining runs, with real kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from taxiway.control import agent_process, retraining, views
from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import ledger
from taxiway.demo import traffic, weather
from taxiway.demo.job import notebook as rain_train
from taxiway.errors import ConflictError
from tests.conftest import processes_of

Until = Callable[..., Any]


def write(path: Path, *cells: str) -> Path:
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, path)
    return path


def ask(
    notebook: Path, key: str = "now", timeout: float = 120.0, endpoint: str | None = None, **parameters: Any
) -> str:
    with ledger().transaction() as session:
        row = retraining.request(
            session,
            notebook=notebook,
            parameters=parameters,
            endpoint=endpoint,
            trigger="a test",
            logical_key=key,
            timeout=timeout,
            by="test",
        )
    agent_process.start()
    return row.id


def ended(run_id: str) -> dict[str, Any] | None:
    row = next(row for row in views.runs() if row["id"] == run_id)
    return row if row["state"] in ("succeeded", "failed") else None


def test_a_notebook_runs_with_its_parameters_and_is_kept(home: Path, tmp_path: Path, until: Until) -> None:
    run_id = ask(write(tmp_path / "add.ipynb", "a = 0", "assert a == 41, a", "a + 1"), a=41)
    run = until(lambda: ended(run_id), "the run's end")
    assert run["state"] == "succeeded", run["error"]
    executed = nbformat.read(run["output"], 4)
    assert executed.cells[-1].outputs[0]["data"]["text/plain"] == "42"


def test_a_failing_cell_is_a_failed_run_that_says_which(home: Path, tmp_path: Path, until: Until) -> None:
    run_id = ask(write(tmp_path / "fail.ipynb", "a = 0", "1 / a"))
    run = until(lambda: ended(run_id), "the run's end")
    assert run["state"] == "failed"
    assert "ZeroDivisionError" in run["error"]
    assert run["output"]


def test_a_killed_kernel_is_a_failed_run_never_a_hung_one(home: Path, tmp_path: Path, until: Until) -> None:
    run_id = ask(write(tmp_path / "kill.ipynb", "import os, signal", "os.kill(os.getpid(), signal.SIGKILL)"))
    run = until(lambda: ended(run_id), "the run's end")
    assert run["state"] == "failed"


def test_a_run_that_takes_too_long_is_killed_with_its_kernel(
    home: Path, tmp_path: Path, until: Until
) -> None:
    run_id = ask(write(tmp_path / "sleep.ipynb", "import time", "time.sleep(600)"), timeout=8)
    run = until(lambda: ended(run_id), "the run's end")
    assert "longer than 8 s" in run["error"]
    until(
        lambda: not [p for p in processes_of(home) if "ipykernel_launcher" in p.cmdline()], "the kernel's end"
    )


def test_a_killed_run_is_failed_by_the_next_agent(home: Path, tmp_path: Path, until: Until) -> None:
    path = write(tmp_path / "sleep.ipynb", "import time", "time.sleep(600)")
    run_id = ask(path)
    until(lambda: (retraining.run_dir(run_id) / "process.json").exists(), "the start")
    psutil.Process(agent_process.status().pid).kill()
    for process in processes_of(home):
        process.kill()
    until(lambda: not agent_process.status().running, "the agent's death")
    agent_process.start()
    assert until(lambda: ended(run_id), "the run's end")["state"] == "failed"


def test_a_run_outlives_the_agent_and_is_adopted(home: Path, tmp_path: Path, until: Until) -> None:
    path = write(tmp_path / "sleep.ipynb", "import time", "time.sleep(4)")
    run_id = ask(path)
    until(lambda: (retraining.run_dir(run_id) / "process.json").exists(), "the start")
    psutil.Process(agent_process.status().pid).kill()
    until(lambda: not agent_process.status().running, "the agent's death")
    agent_process.start()
    assert until(lambda: ended(run_id), "the run's end")["state"] == "succeeded"


def test_one_logical_time_runs_once(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "add.ipynb", "a = 0")
    with ledger().transaction() as session:
        arguments: dict[str, Any] = {
            "notebook": path,
            "parameters": {},
            "endpoint": "rain",
            "trigger": "a test",
            "logical_key": "2026-11-21",
            "timeout": 10.0,
            "by": "test",
        }
        retraining.request(session, **arguments)
        with pytest.raises(ConflictError):
            retraining.request(session, **arguments)


def test_drift_runs_the_notebook_and_its_model_comes_into_shadow(endpoint: Endpoint, until: Until) -> None:
    days = weather.days()
    traffic.replay(endpoint, days[days["date"].dt.year == 2013].head(160))
    endpoint.retrain_on_drift(rain_train(), min_outcomes=100)
    run = until(
        lambda: next(filter(None, (ended(row["id"]) for row in views.runs("rain"))), None), "the run", 150
    )
    assert run["state"] == "succeeded", run["error"]
    assert "drifted" in run["trigger"]
    until(lambda: endpoint.shadow == run["model"], "the shadow")
    endpoint.wait()
    assert len(views.runs("rain")) == 1


def test_a_failed_runs_model_does_not_come_into_shadow(
    endpoint: Endpoint, tags: tuple[str, str], tmp_path: Path, until: Until
) -> None:
    path = write(
        tmp_path / "gate.ipynb",
        "import json, os, pathlib",
        f"line = json.dumps({{'model': {tags[1]!r}}})",
        "pathlib.Path(os.environ['TAXIWAY_RUN_DIR'], 'packaged.jsonl').write_text(line)",
        "assert False, 'the quality gate'",
    )
    run_id = ask(path, endpoint="rain")
    run = until(lambda: ended(run_id), "the run's end")
    assert (run["state"], run["model"]) == ("failed", tags[1])
    assert endpoint.shadow is None


def test_a_notebook_that_was_moved_is_a_failed_run_and_stops_no_other(
    home: Path, tmp_path: Path, until: Until
) -> None:
    gone, there = ask(tmp_path / "gone.ipynb", key="a"), write(tmp_path / "there.ipynb", "a = 0")
    run = until(lambda: ended(gone), "the end of the one")
    assert "gone.ipynb" in run["error"]
    other = ask(there, key="b")
    assert until(lambda: ended(other), "the end of the other")["state"] == "succeeded"
