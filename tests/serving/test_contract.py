"""Where a Model is served, the difference from where it was made is told by name."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path

import pytest

from taxiway.serving.app import create_app
from taxiway.serving.contract import check
from tests.models import BuiltModel, build_model


@pytest.fixture
def model(tmp_path: Path) -> BuiltModel:
    built = build_model(tmp_path)
    environment = {"python": platform.python_version(), "machine": platform.machine()}
    (built.path / "environment.json").write_text(json.dumps(environment))
    (built.path / "requirements.txt").write_text(f"numpy=={metadata.version('numpy')}\n")
    return built


def test_the_same_is_said_to_be_the_same(model: BuiltModel) -> None:
    assert check(model.path) == ("same", ())


@pytest.mark.parametrize(
    ("pins", "verdict", "named"),
    [
        (f"numpy=={metadata.version('numpy')}.post9", "compatible", "numpy: "),
        ("numpy==1.0.0", "differs", "numpy: 1.0.0 → "),
        ("no-such-distribution==2.0", "differs", "no-such-distribution: 2.0 → not installed"),
    ],
)
def test_another_version_is_named(model: BuiltModel, pins: str, verdict: str, named: str) -> None:
    (model.path / "requirements.txt").write_text(f"{pins}\n")
    found = check(model.path)
    assert found.verdict == verdict
    assert found.differences[0].startswith(named)


def test_another_python_or_machine_is_serious(model: BuiltModel) -> None:
    (model.path / "environment.json").write_text(json.dumps({"python": "3.8.1", "machine": "pdp11"}))
    found = check(model.path)
    assert found.verdict == "differs"
    assert [one.partition(":")[0] for one in found.differences] == ["python", "machine"]


def test_a_serving_process_says_so_in_its_log(
    model: BuiltModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (model.path / "requirements.txt").write_text("numpy==1.0.0\n")
    create_app(model.path, tmp_path / "spool").close()
    [record] = [one for one in caplog.records if one.name == "taxiway.serving.app"]
    assert record.levelname == "WARNING"
    assert "numpy: 1.0.0 →" in record.getMessage()
