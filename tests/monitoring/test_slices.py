"""A row is in the same slice of a column in every window, and in one only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from vega_datasets import data

from taxiway.errors import InputError
from taxiway.monitoring.profiles import profile
from taxiway.monitoring.slices import MISSING, OTHER, Slicing, slicings, slicings_of_rows, split


@pytest.fixture(scope="module")
def weather() -> pd.DataFrame:
    return data.seattle_weather()


def rows_by(frame: pd.DataFrame, parted: list[Slicing]) -> dict[str, int]:
    return {name: int(rows.sum()) for _, _, name, rows in split(frame, parted)}


def test_numbers_are_cut_at_the_references_quartiles_whatever_the_window(weather):
    (parted,) = slicings(["temp_max"], profile(weather))
    assert parted.edges == pytest.approx(np.quantile(weather["temp_max"], [0.25, 0.5, 0.75]), abs=0.6)
    summer = weather[weather["date"].dt.month == 7]
    whole, part = (rows_by(frame, [parted]) for frame in (weather, summer))
    assert set(part) <= set(whole)
    assert len(whole) == 4
    assert min(whole.values()) > 0.2 * len(weather)
    assert max(part.values()) > 0.7 * len(summer), "a hot month is in one slice, not in four"


def test_every_row_is_in_one_slice_of_a_column(weather):
    frame = weather.assign(weather=weather["weather"].mask(weather.index % 7 == 0))
    parted = slicings(["weather", "wind"], profile(frame[:500]))
    counted = {"weather": np.zeros(len(frame)), "wind": np.zeros(len(frame))}
    for column, _, _, rows in split(frame, parted):
        counted[column] += rows
    assert all((one == 1).all() for one in counted.values())


def test_a_value_that_the_reference_has_not_is_in_the_slice_of_others_and_a_missing_one_in_its_own():
    reference = profile(pd.DataFrame({"kind": ["sun"] * 5 + ["rain"] * 3}))
    frame = pd.DataFrame({"in.kind": ["sun", "hail", None, "rain", "(other)"]})
    found = {value: rows.tolist() for _, value, _, rows in split(frame, slicings(["in.kind"], reference))}
    assert found == {
        "sun": [True, False, False, False, False],
        "rain": [False, False, False, True, False],
        OTHER: [False, True, False, False, True],
        MISSING: [False, False, True, False, False],
    }


def test_many_values_are_bounded_and_the_most_frequent_have_their_own():
    words = [f"w{i}" for i in range(1000) for _ in range(1 + (i < 5) * 50)]
    (parted,) = slicings(["x"], profile(pd.DataFrame({"x": words})))
    assert len(parted.values) <= 12
    assert {f"w{i}" for i in range(5)} <= set(parted.values)


@pytest.mark.parametrize(
    ("reference", "row", "name"),
    [
        ([1, 2, 3], 2.0, "x = 2"),
        ([0.5, 1.0], 1, "x = 1"),
        ([True, False], True, "x = 'True'"),
        (["007", "7"], "007", "x = 007"),
        (["é" * 500], "é" * 500, "x = '" + "é" * 128 + "'"),
    ],
)
def test_a_value_is_found_again_whatever_its_type_in_the_log(reference, row, name):
    parted = slicings(["x"], profile(pd.DataFrame({"x": reference})))
    assert list(rows_by(pd.DataFrame({"x": [row]}), parted)) == [name]


def test_edges_that_look_alike_still_name_different_slices():
    values = 1e6 + np.arange(100) / 1e4
    (parted,) = slicings(["x"], profile(pd.DataFrame({"x": values})))
    assert len(rows_by(pd.DataFrame({"x": values}), [parted])) == 4


def test_texts_among_numbers_and_a_column_that_is_gone_stop_nothing():
    (parted,) = slicings(["x"], profile(pd.DataFrame({"x": np.arange(100.0)})))
    mixed = pd.DataFrame({"x": pd.Series([1, "odd", None, np.inf], dtype=object)})
    assert list(rows_by(mixed, [parted]).values()) == [1, 1, 1, 1]
    assert rows_by(pd.DataFrame({"y": [1, 2]}), [parted]) == {"x is missing": 2}
    assert rows_by(mixed[:0], [parted]) == {}


def test_without_a_reference_the_rows_themselves_say_where_to_cut(weather):
    (parted,) = slicings_of_rows(["in.wind"], weather.rename(columns={"wind": "in.wind"}))
    assert parted.column == "wind"
    assert parted.edges == pytest.approx(np.quantile(weather["wind"], [0.25, 0.5, 0.75]), abs=0.2)


def test_a_column_that_the_reference_has_not_is_named():
    with pytest.raises(InputError, match="'moon'"):
        slicings(["moon"], profile(pd.DataFrame({"x": [1]})))
