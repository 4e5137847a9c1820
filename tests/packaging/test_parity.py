"""Parity: what counts as the same answer, and how a difference is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import taxiway
from taxiway.errors import ParityError
from taxiway.packaging import parity
from taxiway.packaging.parity import Parity, compare

from .conftest import Packaged

FRAME = pd.DataFrame({"age": [30, 40, 50], "city": ["Oslo", "Rome", "Bonn"]}, index=["a", "b", "c"])


def compared(expected: list[Any], given: list[Any], dtype: Any = np.float32, name: str = "score") -> Parity:
    one, other = np.array(expected), np.array(given, dtype=dtype)
    return compare({name: one}, {name: other}, FRAME.iloc[: len(one)], "float64")


def test_the_tolerance_goes_by_the_dtype_of_the_output() -> None:
    assert compared([100.0], [100.009], np.float32).passed
    assert not compared([100.0], [100.009], np.float64).passed
    assert not compared([100.0], [100.02], np.float32).passed
    assert compared([100.0], [100.0009], np.float64).passed
    one = compare({"score": np.ones(1)}, {"score": np.array([1.00005])}, FRAME[:1], "float32")
    assert one.passed, "a float64 output of a graph in float32 was computed in float32"
    assert one.tolerances == {"score": (1e-5, 1e-4)}


@pytest.mark.parametrize(
    ("name", "expected", "given", "dtype"),
    [
        ("label", [1.0], [1.0000001], np.float64),
        ("label_2", ["a"], ["b"], object),
        ("prediction", [3], [4], np.int64),
        ("prediction", [True], [False], np.bool_),
        ("score", [1.0], [np.nan], np.float32),
        ("score", [np.nan], [1.0], np.float32),
        ("score", [1.0], [np.inf], np.float32),
        ("label", ["1"], [1], np.int64),
        ("score", ["1"], [1], np.float32),
    ],
)
def test_what_is_no_real_number_must_be_equal(
    name: str, expected: list[Any], given: list[Any], dtype: Any
) -> None:
    report = compared(expected, given, dtype, name)
    assert (report.passed, report.differing) == (False, 1)
    assert compared(expected, expected, np.array(expected).dtype, name).passed
    assert Parity.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))).differing == 1


def test_labels_of_another_dtype_are_the_same_when_they_are_equal() -> None:
    assert compared([0.5], [0.5], np.float64, "label_1").tolerances == {"label_1": (0.0, 0.0)}
    assert compared([0.0, 1.0], [0, 1], np.int64, "label").passed
    assert compared(["a", "b"], ["a", "b"], object, "label").passed


def test_the_report_keeps_the_worst_row_its_inputs_and_both_answers() -> None:
    expected = {"label": np.array(["x", "y", "x"]), "score": np.array([0.1, 0.2, 0.3])}
    given = {"label": np.array(["x", "y", "x"], object), "score": np.array([0.1, 0.25, 0.4], np.float32)}
    report = compare(expected, given, FRAME, "float32")
    assert (report.rows, report.differing) == (3, 2)
    assert [output.differing for output in report.outputs] == [0, 2]
    assert report.worst.index == "c"
    assert report.worst.inputs == {"age": 50, "city": "Bonn"}
    assert report.worst.original == {"label": "x", "score": 0.3}
    assert report.worst.exported["score"] == pytest.approx(0.4)
    text = str(report)
    for part in ("2 of 3 rows differ", "equal", "1e-05 + 0.0001", "Worst is row c", "Bonn", "0.3"):
        assert part in text
    lines = report.table().splitlines()
    assert lines[1].split() == ["label", "string", "0", "equal"]
    assert lines[2].split()[:4] == ["score", "float32", "2", "0.1"]
    assert "<pre>" in report._repr_html_()


def test_a_report_is_read_as_it_was_written(packaged_home: Packaged) -> None:
    stored = packaged_home.model.parity
    assert isinstance(stored, Parity)
    assert stored.passed
    whole = stored.after(stored)
    assert Parity.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert "answered alike" in str(stored)
    assert json.loads(json.dumps(packaged_home.model.to_detail()))["parity"]["passed"] is True


def test_a_model_that_gives_too_few_answers_is_named() -> None:
    with pytest.raises(ParityError, match=r"'score' in the shape \(1,\) for 3 rows"):
        compare({"score": np.ones(3)}, {"score": np.ones(1)}, FRAME, "float32")
    with pytest.raises(ParityError, match="no output 'score'"):
        compare({"score": np.ones(3)}, {}, FRAME, "float32")


def test_a_refusal_shows_the_table_of_the_better_precision(
    taxiway_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, target = load_diabetes(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), Ridge()).fit(inputs, target)
    monkeypatch.setattr(parity, "TOLERANCES", {"float32": (1e-30, 0.0), "float64": (1e-30, 0.0)})
    with pytest.raises(ParityError) as caught:
        taxiway.package(model, name="diabetes", reference=inputs, target=target)
    error = caught.value
    assert error.table in str(error)
    assert "in float32" in error.message
    assert "in float64" in error.message
    assert error.table.splitlines()[0].split()[:2] == ["output", "dtype"]
    assert "float64" in error.table.splitlines()[1]
    assert "Worst is row" in error.table
    assert set(inputs.columns) <= set(error.table.split())
    assert "\n" not in error.message
    assert taxiway.models() == []


def test_a_long_table_is_cut() -> None:
    many = {f"probability_{index}": np.zeros(3) for index in range(100)}
    report = compare(many, many, FRAME, "float64")
    assert len(report.table().splitlines()) == 42
    assert report.table().endswith("and 60 more")
