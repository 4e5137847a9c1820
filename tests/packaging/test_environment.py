"""The environment contract: what is recorded, and what counts as another place."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from taxiway.packaging import distributions, environment, seeds
from taxiway.packaging.environment import Environment

from .conftest import Packaged


@pytest.fixture
def recorded(packaged_home: Packaged) -> Environment:
    return packaged_home.model.environment


def test_the_same_place_is_the_same(packaged_home: Packaged) -> None:
    assert packaged_home.model.check_environment().verdict == "same"


def test_what_the_model_needs_is_recorded_with_exact_versions(recorded: Environment) -> None:
    assert {"scikit-learn", "numpy", "scipy"} <= recorded.needed.keys()
    assert "pytest" in recorded.imported
    assert recorded.cpus >= 1
    assert recorded.memory_bytes > 0


def test_a_difference_is_named_and_weighed(recorded: Environment) -> None:
    patch = replace(recorded, needed={**recorded.needed, "numpy": "2.4.99"}, memory_bytes=1)
    found = recorded.compare(patch)
    assert found.verdict == "compatible"
    assert [difference.name for difference in found.differences] == ["memory_bytes", "numpy"]
    assert "numpy: 2.4.6 → 2.4.99" in str(found) or "→ 2.4.99" in str(found)
    for other in (
        replace(recorded, needed={**recorded.needed, "numpy": "1.26.4"}),
        replace(recorded, needed={name: v for name, v in recorded.needed.items() if name != "scipy"}),
        replace(recorded, python="3.12.1"),
        replace(recorded, machine="riscv64"),
    ):
        assert recorded.compare(other).verdict == "differs"
    minor = replace(recorded, imported={**recorded.imported, "pytest": "1.0"})
    assert recorded.compare(minor).verdict == "compatible"


def test_no_value_of_an_environment_variable_is_recorded(
    monkeypatch: pytest.MonkeyPatch, packaged_home: Packaged
) -> None:
    monkeypatch.setenv("MY_SECRET_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    record = environment.record(["sklearn"], seeds.in_force({}))
    text = json.dumps(record.to_dict())
    assert "correct-horse-battery" not in text
    assert record.seeds["PYTHONHASHSEED"] == "0"
    whole = "".join(
        path.read_text(errors="replace")
        for path in packaged_home.model.path.iterdir()
        if path.suffix == ".json"
    )
    for name, value in os.environ.items():
        if len(value) > 15 and name not in ("PYTHONHASHSEED", "JPY_SESSION_NAME", "PWD", "OLDPWD"):
            assert value not in whole, name


def test_looking_at_the_seeds_does_not_change_them() -> None:
    import random

    import numpy as np

    random.seed(3)
    np.random.seed(3)
    first = seeds.in_force({"model.random_state": 3})
    assert seeds.in_force({"model.random_state": 3}) == first
    np.random.rand()
    assert seeds.in_force({})["numpy"] != first["numpy"]
    assert first["estimator"] == {"model.random_state": 3}


def test_pins_are_exact_and_include_what_is_required_in_turn() -> None:
    pins = dict(line.split("==") for line in distributions.pins())
    assert {"numpy", "onnxruntime", "orjson", "uvicorn", "h11", "protobuf"} <= pins.keys()
    assert "pandas" not in pins


def test_code_that_no_distribution_holds_is_local() -> None:
    assert distributions.unowned(["sklearn", "json", "my_own_module"]) == ["my_own_module"]


def test_an_environment_is_read_as_it_was_written(recorded: Environment, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(recorded.to_dict()))
    assert Environment.read(path) == recorded
