"""The reference and the sample: what they imply, and one clear sentence for what cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

import taxiway
from taxiway.errors import InputError
from taxiway.packaging.inference import columns_of
from taxiway.packaging.reference import like
from taxiway.signature import Column, Signature

from .conftest import Weather

Make = Callable[[pd.DataFrame], Any]


def named(row: int, value: Any, column: str = "wind") -> Make:
    """The weather with one value changed, in the row of that index."""

    def make(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.assign(**{column: frame[column].astype(object)})
        changed.loc[row, column] = value
        return changed.infer_objects()

    return make


def two_levels(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(pd.MultiIndex.from_product([["a"], frame.columns]), axis="columns")


@pytest.fixture(scope="session")
def weather(weather: Weather) -> Weather:
    """The same, with rows that are not called by their position."""
    rows = range(731, 731 + len(weather.inputs))
    return Weather(weather.inputs.set_axis(rows), weather.rain.set_axis(rows))


REFERENCES: dict[str, tuple[Make, str, str]] = {
    "series": (lambda frame: frame["wind"], "reference is a Series", "to_frame()"),
    "array": (lambda frame: frame.to_numpy(), "an array of shape (366, 6)", "feature_names_in_"),
    "list": (lambda frame: frame.to_numpy().tolist(), "reference is a list", "pd.DataFrame(reference"),
    "arrow": (lambda frame: pa.Table.from_pandas(frame), "reference is a Table", "to_pandas()"),
    "nothing": (lambda frame: None, "reference is a NoneType", "X_train"),
    "no_rows": (lambda frame: frame.iloc[:0], "empty (0 rows, 6 columns)", "trained on"),
    "no_columns": (lambda frame: frame[[]], "empty (366 rows, 0 columns)", "trained on"),
    "ten_thousand": (
        lambda frame: pd.DataFrame(np.zeros((2, 10_000))),
        "10,000 columns; at most 2,000",
        "Select or project",
    ),
    "levels": (two_levels, "names of 2 levels", "'_'.join"),
    "number_for_a_name": (lambda frame: frame.rename(columns={"wind": 3}), "Column 3", "astype(str)"),
    "empty_name": (lambda frame: frame.rename(columns={"wind": ""}), "Column ''", "astype(str)"),
    "twice": (lambda frame: frame.rename(columns={"wind": "month"}), "more than one column named", "drop"),
    "all_missing": (lambda frame: frame.assign(wind=np.nan), "'wind' of reference has no value", "Drop it"),
    "infinite": (named(735, np.inf), "'wind' of reference holds an infinite value in row 735", "clip"),
    "infinite_object": (
        lambda frame: named(735, -np.inf)(frame).astype({"wind": object}),
        "infinite value in row 735",
        "clip",
    ),
    "mixed": (
        named(735, 7, "season"),
        "'season' of reference mixes str (row 731: 'winter') and int (row 735: 7)",
        "one of numbers",
    ),
    "bytes": (lambda frame: frame.assign(season=b"x"), "bytes (row 731: b'x')", "one of numbers"),
    "lists": (
        lambda frame: frame.assign(season=[[1]] * len(frame)),
        "holds values that cannot be served: list (row 731: [1])",
        "one of numbers",
    ),
    "dates": (
        lambda frame: frame.assign(season=pd.Timestamp("2012-01-01")),
        "dtype datetime64",
        "its month",
    ),
    "arrow_dates": (
        lambda frame: frame.assign(season=pd.array([None] * 365 + [1], "timestamp[s][pyarrow]")),
        "dtype timestamp[s][pyarrow]",
        "its month",
    ),
    "decimals": (
        lambda frame: frame.assign(season=pd.array([1] * 366, pd.ArrowDtype(pa.decimal128(5)))),
        "dtype decimal128",
        "Derive numbers",
    ),
    "intervals": (lambda frame: frame.assign(season=pd.cut(frame["wind"], 3)), "dtype interval", "Derive"),
    "complex": (lambda frame: frame.assign(season=1j), "dtype complex128", "Derive numbers"),
    "missing_column": (lambda frame: frame.drop(columns="wind"), "that reference lacks: 'wind'", "fitted on"),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_a_reference_that_cannot_be_used_is_explained_and_nothing_is_written(
    case: str, taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    make, message, hint = REFERENCES[case]
    refused(taxiway_home, message, hint, classifier, reference=make(weather.inputs))


SAMPLES: dict[str, tuple[Make, str, str]] = {
    "array": (lambda frame: frame.to_numpy(), "sample is an array", "pd.DataFrame(sample"),
    "empty": (lambda frame: frame.iloc[:0], "sample is empty", "Leave sample out"),
    "narrower": (lambda frame: frame[["wind"]], "that sample lacks", "fitted on"),
    "wider": (lambda frame: frame.assign(rain=1), "sample has columns that the model", "feature_names_in_"),
    "text": (named(735, "calm"), "'wind' of sample is not float64", "same kind"),
    "infinite": (named(735, np.inf), "'wind' of sample holds an infinite value in row 735", "clip"),
    "fraction": (
        named(735, 1.5, "month"),
        "'month' of sample is not int64 as in the reference: 1.5",
        "",
    ),
    "number_for_text": (
        lambda frame: frame.assign(season=4),
        "'season' of sample is",
        "same kind",
    ),
    "number_for_truth": (lambda frame: frame.assign(weekend=4), "4 in row 731", "same kind"),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_a_sample_that_cannot_be_used_is_explained_and_nothing_is_written(
    case: str, taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    make, message, hint = SAMPLES[case]
    sample = make(weather.inputs)
    refused(taxiway_home, message, hint, classifier, reference=weather.inputs, sample=sample)


TARGETS: dict[str, tuple[Callable[[pd.Series[Any]], Any], str, str]] = {
    "short": (lambda rain: rain[:5], "5 rows", "very rows"),
    "table": (lambda rain: pd.DataFrame({"a": rain, "b": rain}), "shape (366, 2)", "leave target out"),
    "missing": (
        lambda rain: rain.astype(object).where(rain.index != 735),
        "no value in row 735 (1 such rows)",
        "Leave those rows out",
    ),
    "masked": (
        lambda rain: rain.astype("boolean").mask(rain.index == 735),
        "no value in row 735",
        "Leave those rows out",
    ),
    "infinite": (lambda rain: rain.astype(float).where(rain.index != 735, np.inf), "infinite in row 735", ""),
    "shuffled": (lambda rain: rain.sample(frac=1, random_state=0), "another order", "y.loc[reference.index]"),
    "an_input": (lambda rain: rain.rename("wind"), "'wind' is among the inputs", "drop(columns='wind')"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_a_target_that_cannot_be_used_is_explained_and_nothing_is_written(
    case: str, taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    make, message, hint = TARGETS[case]
    refused(taxiway_home, message, hint, classifier, reference=weather.inputs, target=make(weather.rain))


def refused(home: Path, message: str, hint: str, model: Any, **arguments: Any) -> None:
    with pytest.raises(InputError) as caught:
        taxiway.package(model, name="rain", **arguments)
    assert message in caught.value.message, caught.value
    assert hint in caught.value.hint
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert list(home.iterdir()) == []


KINDS: dict[str, tuple[Any, Column]] = {
    "float16": (np.array([1, 2, 3], np.float16), Column("c", "float64", False, None, 1, 3)),
    "float32": (np.array([1, 2, 3], np.float32), Column("c", "float32", False, None, 1, 3)),
    "uint8": (np.array([1, 2, 3], np.uint8), Column("c", "int64", False, None, 1, 3)),
    "uint64": (np.array([1, 2, 2**64 - 1], np.uint64), Column("c", "float64", False, None, 1, 2.0**64)),
    "Int64": (pd.array([1, 2, 3], "Int64"), Column("c", "int64", False, None, 1, 3)),
    "Int64_gaps": (pd.array([1, None, 3], "Int64"), Column("c", "int64", True, None, 1, 3)),
    "Float64": (pd.array([1, None, 3], "Float64"), Column("c", "float64", True, None, 1, 3)),
    "boolean": (pd.array([True, None, False], "boolean"), Column("c", "bool", True)),
    "bool_object": ([True, None, False], Column("c", "bool", True)),
    "bool": ([True, True, False], Column("c", "bool")),
    "string": (pd.array(["a", None, "b"], "string"), Column("c", "string", True, ("a", "b"))),
    "category": (pd.Categorical(["b", "a", "b"], ["a", "b", "z"]), Column("c", "string", False, ("a", "b"))),
    "category_gaps": (pd.Categorical(["b", None, "b"]), Column("c", "string", True, ("b",))),
    "category_of_numbers": (pd.Categorical([3, 1, 3]), Column("c", "int64", False, None, 1, 3)),
    "whole_objects": (np.array([1, 2, 3], object), Column("c", "int64", False, None, 1, 3)),
    "real_objects": (np.array([1, 2.5, None], object), Column("c", "float64", True, None, 1, 2.5)),
    "arrow_int": (pd.array([1, None, 3], "int64[pyarrow]"), Column("c", "int64", True, None, 1, 3)),
    "arrow_double": (pd.array([1.0, None, 3], "double[pyarrow]"), Column("c", "float64", True, None, 1, 3)),
    "arrow_bool": (pd.array([True, None, False], "bool[pyarrow]"), Column("c", "bool", True)),
    "arrow_string": (pd.array(["a", None, "b"], "string[pyarrow]"), Column("c", "string", True, ("a", "b"))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_column_has_its_signature(kind: str) -> None:
    values, column = KINDS[kind]
    frame = pd.DataFrame({"c": values})
    assert columns_of(frame) == (column,)
    assert columns_of(frame, like(frame.iloc[:1], frame)) == (column,)


def test_what_only_the_sample_has_counts_too() -> None:
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, 1.0], "t": ["a", "b"], "yes": [True, False]})
    more = pd.DataFrame({"n": [9, None], "x": [None, -2.0], "t": [None, "c"], "yes": [None, True]})
    assert columns_of(frame, like(more, frame)) == (
        Column("n", "int64", True, None, 1, 9),
        Column("x", "float64", True, None, -2, 1),
        Column("t", "string", True, ("a", "b", "c")),
        Column("yes", "bool", True),
    )


def test_a_category_that_the_dtype_does_not_know_is_not_taken_for_missing() -> None:
    frame = pd.DataFrame({"t": pd.Categorical(["a", "b"])})
    with pytest.raises(InputError, match="'c' in row 1"):
        like(pd.DataFrame({"t": ["a", "c"]}), frame)
    assert like(pd.DataFrame({"t": ["a", None]}), frame)["t"].isna().sum() == 1


def test_a_missing_number_in_the_sample_alone_is_served(taxiway_home: Path, weather: Weather) -> None:
    inputs = weather.inputs[["month", "wind"]]
    model = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(inputs, weather.rain)
    sample = inputs.astype({"month": "Int64"}).head(8)
    sample.loc[sample.index[3], "month"] = pd.NA
    packaged = taxiway.package(
        model, name="rain", reference=inputs, sample=sample, target=weather.rain, replay=False
    )
    assert packaged.signature["month"] == Column("month", "int64", True, None, 1, 12)
    assert packaged.sample()["records"][3]["month"] is None
    assert packaged.parity.passed


def test_the_signature_can_be_edited_before_it_is_packaged(
    taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    inferred = taxiway.signature_of(weather.inputs)
    assert inferred.outputs == ()
    edited = (
        inferred.edit("wind", minimum=0, maximum=100)
        .edit("season", categories=["spring", "summer", "autumn", "winter", "monsoon"])
        .edit("month", dtype="float64", minimum=1, maximum=12)
    )
    model = taxiway.package(classifier, name="rain", reference=weather.inputs, signature=edited, replay=False)
    assert model.signature.inputs == edited.inputs
    assert [output.name for output in model.signature.outputs] == [
        "label",
        "probability_False",
        "probability_True",
    ]
    assert model.predict(weather.inputs)["label"].tolist() == classifier.predict(weather.inputs).tolist()


SIGNATURES: dict[str, tuple[Callable[[Signature], Any], str, str]] = {
    "none": (lambda signature: signature.to_dict(), "signature is a dict", "signature_of"),
    "fewer": (lambda signature: Signature(signature.inputs[1:], ()), "it lacks 'temp_max'", "signature_of"),
    "more": (
        lambda signature: Signature((*signature.inputs, Column("rain", "bool")), ()),
        "it has 'rain' besides",
        "signature_of",
    ),
    "order": (lambda signature: Signature(signature.inputs[::-1], ()), "orders them otherwise", ""),
    "narrower_dtype": (
        lambda signature: signature.edit("wind", dtype="int64"),
        "column 'wind' is int64, and the reference's is float64",
        "Leave it at float64",
    ),
    "other_dtype": (
        lambda signature: signature.edit("month", dtype="float32"),
        "column 'month' is float32",
        "or use float64",
    ),
    "range": (
        lambda signature: signature.edit("temp_max", maximum=20),
        "column 'temp_max' that it lies within -1.1 to 20",
        "signature.edit('temp_max'",
    ),
    "categories": (
        lambda signature: signature.edit("season", categories=["spring", "summer"]),
        "it is 'winter' in row 731",
        "signature.edit('season'",
    ),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_a_signature_that_the_reference_does_not_fit_is_explained(
    case: str, taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    make, message, hint = SIGNATURES[case]
    signature = make(taxiway.signature_of(weather.inputs))
    refused(taxiway_home, message, hint, classifier, reference=weather.inputs, signature=signature)


def test_a_missing_value_that_the_signature_forbids_is_named(
    taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    inputs = named(735, None, "season")(weather.inputs)
    signature = taxiway.signature_of(inputs).edit("season", nullable=False)
    refused(
        taxiway_home,
        "it may not be missing; it is missing in row 735",
        "signature.edit('season'",
        classifier,
        reference=inputs,
        signature=signature,
    )
