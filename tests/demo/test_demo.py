"""The main job: as a command, and as a notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from taxiway.control import agent_process
from taxiway.demo import weather

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.mark.timeout(600)
def test_the_demo_does_what_each_step_claims(taxiway_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taxiway", "demo", "--no-keep"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout[done.stdout.index("\nIn ") :]
    assert re.search(r"drift found +.*temp_max", last)
    assert "weather_yesterday" in last
    assert "account_type" in last
    assert re.search(r"accuracy +before \d+\.\d%, after \d+\.\d%", last)
    assert re.search(r"shadow verdict (promote|keep watching|reject)", last)
    assert len(re.findall(r"(promote|rollback) +\d+ requests meanwhile, 0 failed", last)) == 2


def test_the_demo_leaves_a_home_that_is_not_its_own_alone(taxiway_home: Path) -> None:
    (taxiway_home / "something").write_text("precious")
    done = subprocess.run(
        [sys.executable, "-m", "taxiway", "demo"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "TAXIWAY_HOME" in done.stderr
    assert (taxiway_home / "something").read_text() == "precious"


@pytest.mark.timeout(600)
def test_the_quick_start_runs_from_top_to_bottom(taxiway_home: Path, tmp_path: Path) -> None:
    source, executed = NOTEBOOKS / "quickstart.ipynb", tmp_path / "quickstart.ipynb"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "papermill", "--no-progress-bar", str(source), str(executed)],
            capture_output=True,
            text=True,
            env={**os.environ, "TAXIWAY_MONITOR_INTERVAL": "1"},
            timeout=580,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    finally:
        agent_process.stop()
    shown = nbformat.read(executed, 4).cells[-1].outputs[0]["data"]
    assert "application/vnd.taxiway.endpoint+json" in shown
    assert "account_type" in shown["text/html"]
    assert "422" in executed.read_text()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    for cell in nbformat.read(path, 4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_weather_is_that_of_seattle() -> None:
    days = weather.days()
    assert len(days) == 1460
    assert list(days.columns) == ["date", *weather.FEATURES, weather.TARGET]
    assert not days.isna().any().any()
    assert days["date"].is_monotonic_increasing
