"""``taxiway preflight``, as a shell and a script see it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import forked
from tests.stores import Packaged


@pytest.fixture
def tag(packaged: Packaged, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TAXIWAY_HOME", str(packaged.home))
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    return packaged.model.tag


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.taxiway("preflight", *arguments)


def test_progress_goes_to_standard_error_and_the_table_to_standard_output(tag: str) -> None:
    done = run("rain")
    assert done.returncode == 0, done.stderr
    assert f"{tag}: starting the Bento in a process of its own" in done.stderr
    assert "clean_replay" not in done.stderr
    [row] = [line for line in done.stdout.splitlines() if line.startswith("clean_replay")]
    assert "passed" in row
    assert done.stdout.splitlines()[-1] == f"{tag} may be deployed"
    shown = json.loads(run(tag, "--json").stdout)
    assert (shown["model"], shown["ok"]) == (tag, True)
    assert {check["name"]: check["result"] for check in shown["checks"]}["clean_replay"] == "passed"


def test_what_blocks_gives_status_1(tag: str, packaged: Packaged) -> None:
    [served] = (packaged.home / "bentoml" / "bentos" / "rain").glob("*/src/taxiway/serving/__main__.py")
    source = served.read_text()
    served.write_text("import pandas\n")
    try:
        done = run("rain")
        assert done.returncode == 1
        assert "may not be deployed: clean_replay" in done.stdout
        assert "No module named 'pandas'" in done.stdout
        assert run("rain", "--json").returncode == 1
    finally:
        served.write_text(source)
        run("rain")


def test_a_model_that_is_not_there_is_two_lines(taxiway_home: Path) -> None:
    done = run("nosuch")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("Error: ")
    assert len(done.stderr.splitlines()) == 2
