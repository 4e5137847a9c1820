"""What a column looks like, from the sketches of profiles, checked against the raw data."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from taxiway.monitoring import profiles
from taxiway.monitoring.distributions import LEVELS, MOST_BINS, brief, compare, distribution, picture
from tests.monitoring.weather import of_year, seattle


@pytest.fixture(scope="module")
def years() -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = seattle()
    return of_year(frame, 2012), of_year(frame, 2015)


def test_bins_hold_the_shares_of_the_raw_data(years: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    before, after = years
    shown = distribution("temp_max", profiles.profile(after), profiles.profile(before))
    assert shown.kind == "numeric"
    assert 8 <= len(shown.edges) - 1 <= MOST_BINS + 2
    assert np.allclose(np.diff(shown.edges), np.diff(shown.edges)[0])
    inner = [-np.inf, *shown.edges[1:-1], np.inf]
    for raw, shares in ((before, shown.reference), (after, shown.window)):
        assert shares is not None
        expected = pd.cut(raw["temp_max"], inner).value_counts(sort=False, normalize=True)
        assert sum(shares) == pytest.approx(1)
        assert np.abs(np.cumsum(shares) - np.cumsum(expected)).max() < 0.03  # the sketch's rank error


def test_categories_are_shares_and_new_and_vanished_ones_are_marked() -> None:
    before = pd.DataFrame({"sky": ["sun"] * 6 + ["rain"] * 4})
    after = pd.DataFrame({"sky": ["sun"] * 5 + ["hail"] * 5})
    shown = distribution("sky", profiles.profile(after), profiles.profile(before))
    told = {one.value: (one.reference, one.window, one.new, one.vanished) for one in shown.categories}
    assert told == {
        "sun": (0.6, 0.5, False, False),
        "rain": (0.4, 0.0, False, True),
        "hail": (0.0, 0.5, True, False),
    }
    assert [one.value for one in shown.categories] == ["sun", "rain", "hail"]


def test_whole_numbers_of_a_few_values_have_a_bin_each() -> None:
    shown = distribution("n", profiles.profile(pd.DataFrame({"n": [1, 2, 2, 3]})))
    assert shown.edges == (0.5, 1.5, 2.5, 3.5)
    assert shown.window == (0.25, 0.5, 0.25)
    assert shown.reference is None


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([7.25] * 5, "numeric"),
        ([1e300, -1e300, 1e-300], "numeric"),
        ([1e18, 1e18 + 256], "numeric"),
        ([0.1, np.inf, -np.inf, np.nan], "numeric"),
        ([None, None], "none"),
        ([], "none"),
        ([datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 30)], "datetime"),
        ([object(), object()], "none"),
        (["x" * 100_000, "y"], "categorical"),
    ],
)
def test_odd_columns_have_a_picture_or_a_sentence(values: list[object], kind: str) -> None:
    [column] = picture(profiles.profile(pd.DataFrame({"c": values}))).columns
    shown = column.distribution
    assert shown.kind == kind
    assert (shown.text != "") == (kind == "none")
    assert all(len(one.value) <= 200 for one in shown.categories)
    if shown.window is not None:
        assert len(shown.window) == len(shown.edges) - 1
        assert sum(shown.window) == pytest.approx(1)


def test_a_retyped_column_is_told_and_shown_as_far_as_it_can_be() -> None:
    before, after = pd.DataFrame({"c": [1.5, 2.5]}), pd.DataFrame({"c": ["a", "b"]})
    shown = distribution("c", profiles.profile(after), profiles.profile(before))
    assert shown.text == "Its values are categorical, the reference's numeric."
    assert [(one.value, one.reference, one.window) for one in shown.categories] == [
        ("a", None, 0.5),
        ("b", None, 0.5),
    ]


def test_a_comparison_puts_what_one_side_lacks_first_then_the_most_drifted(
    years: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    before, after = years
    pairs = compare(profiles.profile(before.drop(columns="wind")), profiles.profile(after))
    assert pairs[0].column == "wind"
    assert pairs[0].reference is None
    assert pairs[0].drift is None
    drifted = [pair.drift.drifted for pair in pairs[1:] if pair.drift]
    assert drifted == sorted(drifted, reverse=True)


def test_a_profile_is_told_with_its_time_rows_and_columns(
    years: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    time = datetime(2012, 1, 1, tzinfo=UTC)
    told = picture(profiles.profile(years[0].assign(when=pd.Timestamp("2012-03-01")), time=time))
    assert (told.time, told.rows, told.total) == (time, 366, len(years[0].columns) + 1)
    assert not [key for key in told.metadata if key.startswith("taxiway.temporal")]


def test_a_brief_has_the_quantiles_or_the_shares(years: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    view = profiles.profile(years[0])
    quantiles = brief(view, "temp_max").quantiles
    assert quantiles == pytest.approx(years[0]["temp_max"].quantile(LEVELS), abs=0.6)
    assert brief(view, "weather").shares["rain"] == pytest.approx((years[0]["weather"] == "rain").mean())
