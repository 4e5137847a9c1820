from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial import distance
from vega_datasets import local_data

from taxiway.errors import CorruptionError, NotFoundError
from taxiway.monitoring import digest
from taxiway.monitoring.drift import drift
from taxiway.monitoring.profiles import merge, profile, read, write
from tests.monitoring.weather import of_month, of_year, seattle

# of both sides: the KLL sketch's own at 99 % (k = 1024), and half a space between the points of a digest
SKETCH_ERROR = 2 * (0.0027 + 1 / 512)


@pytest.fixture(scope="module")
def weather():
    return seattle()


@pytest.fixture(scope="module")
def reference(weather):
    return of_year(weather, 2012)


def compared(reference: pd.DataFrame, window: pd.DataFrame, **more):
    return {one.column: one for one in drift(profile(reference), profile(window), **more)}


def test_january_2013_against_2012_flags_the_temperatures(weather, reference):
    found = compared(reference, of_month(weather, 2013, 1))
    assert {name for name, one in found.items() if one.drifted} == {"temp_max", "temp_min"}
    assert found["temp_max"].psi > 1
    assert found["temp_max"].p_value < 1e-6
    assert found["temp_max"].text == "median 14.7 → 6.1"


def test_what_moved_is_told_where_the_median_has_not(weather, reference):
    found = compared(reference, of_month(weather, 2013, 7))["precipitation"]
    assert found.drifted
    assert found.text == "median 0 as before, 90th percentile 11.2 → 0"


def test_windows_of_the_reference_itself_raise_few_false_alarms(reference):
    view, rng = profile(reference), np.random.default_rng(2012)
    windows = (reference.iloc[rng.choice(len(reference), 30)] for _ in range(150))
    alarms = sum(any(one.drifted for one in drift(view, profile(window))) for window in windows)
    assert alarms <= 1, f"{alarms} of 150 windows"  # make bench-monitoring draws a thousand


def test_a_huge_window_of_the_same_distribution_does_not_drift_over_a_trifle():
    rng = np.random.default_rng(1)
    before = {"x": rng.normal(size=50_000), "c": rng.choice(list("abc"), 50_000)}
    after = {"x": rng.normal(0.04, size=50_000), "c": rng.choice(list("abc"), 50_000, p=[0.35, 0.33, 0.32])}
    found = compared(pd.DataFrame(before), pd.DataFrame(after))
    assert found["x"].p_value < 0.01
    assert found["c"].p_value < 0.01
    assert not found["x"].drifted
    assert not found["c"].drifted


def test_ks_from_exact_sketches_is_scipys_on_the_raw_data(weather, reference):
    window = of_month(weather, 2014, 8)
    for column in ("precipitation", "temp_max", "temp_min", "wind"):
        expected = stats.ks_2samp(reference[column], window[column], method="asymp")
        one = compared(reference[[column]], window[[column]])[column]
        assert one.statistic == pytest.approx(expected.statistic), column
        assert one.p_value == pytest.approx(expected.pvalue, rel=0.2, abs=1e-6), column


def test_ks_from_large_sketches_is_scipys_within_the_sketches_error():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=40_000), rng.normal(0.2, size=40_000)
    one = compared(pd.DataFrame({"x": a}), pd.DataFrame({"x": b}))["x"]
    assert one.statistic == pytest.approx(stats.ks_2samp(a, b).statistic, abs=2 * 0.0027 + 1 / 2048)


def test_chi2_is_scipys_on_the_raw_data(weather):
    reference, window = of_year(weather, 2013), of_year(weather, 2014)
    table = pd.concat([reference["weather"].value_counts(), window["weather"].value_counts()], axis=1)
    one = compared(reference[["weather"]], window[["weather"]])["weather"]
    expected = stats.chi2_contingency(table.fillna(0).T.to_numpy(), correction=False)
    assert one.test == "chi2"
    assert one.statistic == pytest.approx(expected.statistic)
    assert one.p_value == pytest.approx(expected.pvalue)


def test_psi_is_the_textbooks_on_the_raw_data(weather, reference):
    window = of_month(weather, 2013, 1)["temp_max"]
    edges = [-np.inf, *np.quantile(reference["temp_max"], np.arange(1, 10) / 10), np.inf]
    r, w = (np.histogram(values, edges)[0] + 0.5 for values in (reference["temp_max"], window))
    r, w = r / r.sum(), w / w.sum()
    one = compared(reference, of_month(weather, 2013, 1))["temp_max"]
    assert one.psi_raw == pytest.approx(np.sum((w - r) * np.log(w / r)), rel=0.1)
    assert one.psi == pytest.approx(one.psi_raw - 9 * (1 / 366 + 1 / 31), abs=0.04)


@pytest.mark.parametrize(("rows", "said"), [(0, "has 0 values"), (1, "has 1 values"), (9, "has 9 values")])
def test_too_few_rows_are_told_and_never_drift(reference, rows, said):
    found = compared(reference, reference.head(rows))
    assert not any(one.drifted or one.tested for one in found.values())
    assert all("too few rows" in one.text and said in one.text for one in found.values())


def test_a_reference_of_too_few_rows_is_told(reference):
    assert "the reference has 3 values" in compared(reference.head(3), reference)["wind"].text


def test_an_all_null_column_is_told_and_its_null_share_has_drifted(reference):
    one = compared(reference, reference.head(40).assign(wind=None))["wind"]
    assert not one.drifted
    assert "too few rows" in one.text
    assert one.null_drifted
    assert one.null_share_change == 1.0


def test_a_few_more_missing_values_are_no_drift(reference):
    window = reference.head(40).copy()
    window.loc[window.index[0], "wind"] = np.nan
    assert not compared(reference, window)["wind"].null_drifted


def test_a_constant_column_that_moves_below_drifts():
    frame = pd.DataFrame({"x": [5.0] * 200})
    assert not compared(frame, frame.head(50))["x"].drifted
    assert compared(frame, pd.DataFrame({"x": [4.0] * 50}))["x"].drifted
    assert compared(frame, pd.DataFrame({"x": [6.0] * 50}))["x"].drifted


def test_new_and_vanished_categories_are_named(reference):
    window = pd.DataFrame({"weather": ["hail"] * 20 + ["rain"] * 20})
    one = compared(reference[["weather"]], window)["weather"]
    assert one.drifted
    assert one.new_categories == ("hail",)
    assert one.vanished_categories == ("drizzle", "fog", "snow", "sun")


def test_a_new_category_is_named_where_it_moved_most(reference):
    known = reference[["weather"]].head(60)
    several = pd.DataFrame({"weather": [*known["weather"].head(35), *["hail"] * 35]})
    assert compared(reference[["weather"]], several)["weather"].text == "share of 'hail' 0% → 50%"
    many = pd.DataFrame({"weather": [*known["weather"].head(35), *[f"hail {size}" for size in range(35)]]})
    assert compared(reference[["weather"]], many)["weather"].text == "share of other values 0% → 50%"


def test_a_million_categories_do_not_crash_and_do_not_drift():
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"id": rng.integers(0, 10**6, 50_000).astype(str)})
    window = pd.DataFrame({"id": rng.integers(0, 10**6, 5_000).astype(str)})
    assert not compared(reference, window)["id"].drifted
    assert not compared(reference, window.head(30))["id"].drifted


def test_texts_that_are_nearly_all_new_every_time_do_not_drift():
    texts = pd.DataFrame({"note": [f"note {i}" for i in range(500)]})
    assert not compared(texts.head(400), texts.tail(100))["note"].drifted


def test_a_number_that_became_text_is_told_not_judged(reference):
    one = compared(reference, reference.head(50).assign(wind="strong"))["wind"]
    assert not one.drifted
    assert one.text == "not judged: its values are categorical, the reference's numeric"


def test_times_are_not_judged(weather):
    frame = weather[["date"]]
    assert "times always move on" in compared(frame.head(300), frame.tail(300))["date"].text


def test_a_column_that_one_side_lacks_is_told_when_asked_for(reference):
    found = compared(reference, reference.drop(columns="wind"), columns=["wind", "temp_max", "moon"])
    assert "the window has no such column" in found["wind"].text
    assert "the reference has no such column" in found["moon"].text
    assert list(found) == ["wind", "temp_max", "moon"]


def test_the_p_values_are_adjusted_for_the_number_of_columns(weather, reference):
    window = of_month(weather, 2013, 9)
    together, alone = compared(reference, window), compared(reference[["wind"]], window[["wind"]])
    assert together["wind"].p_value > alone["wind"].p_value


def test_merged_and_stored_windows_give_the_same_verdict(weather, reference, tmp_path):
    window = of_month(weather, 2013, 7)
    view = read(write(merge([profile(window[:10]), profile(window[10:])]), tmp_path / "w.bin"))
    whole = drift(profile(reference), profile(window))
    assert [(a.column, a.drifted) for a in drift(profile(reference), view)] == [
        (b.column, b.drifted) for b in whole
    ]


def test_every_verdict_is_json(reference):
    window = reference.head(40).assign(wind=None)
    for one in drift(profile(reference), profile(window)):
        assert json.loads(json.dumps(asdict(one), allow_nan=False))["column"] == one.column


def shares(values: pd.Series, edges: np.ndarray) -> np.ndarray:
    """Give the shares of raw values between edges; half a value is added to each, as PSI does."""
    counts = np.diff(np.searchsorted(np.sort(values), edges, "right"), prepend=0, append=len(values))
    return (counts + 0.5) / (counts + 0.5).sum()


def jeffreys(r: np.ndarray, w: np.ndarray) -> float:
    return stats.entropy(r, w) + stats.entropy(w, r)


def euclidean(r: np.ndarray, w: np.ndarray) -> float:
    return distance.euclidean(r**0.5, w**0.5) / 2**0.5


def moved(measure: Callable[[np.ndarray, np.ndarray], float], r: np.ndarray, w: np.ndarray) -> float:
    """Bound how far a measure of shares moves when each distribution function is off by ``SKETCH_ERROR`` / 2.

    What one edge is off takes from one bin and gives to the next. To first order the moves add up.
    """
    total, step = 0.0, 1e-6
    for i in range(len(r) - 1):
        off = np.zeros(len(r))
        off[i], off[i + 1] = step, -step
        total += abs(measure(r + off, w) - measure(r, w)) + abs(measure(r, w + off) - measure(r, w))
    return total / step * SKETCH_ERROR / 2


@pytest.mark.parametrize("month", [1, 9])
def test_every_distance_is_scipys_on_real_raw_data_within_the_sketches_error(month):
    """An hour a row: beyond what a sketch keeps exactly."""
    temps = local_data.sf_temps()
    a, b = temps["temp"], temps["temp"][pd.to_datetime(temps["date"]).dt.month == month]
    before, after = (digest.of_view(profile(values.to_frame())) for values in (a, b))
    one = drift(before, after)[0]
    assert one.statistic == pytest.approx(stats.ks_2samp(a, b).statistic, abs=SKETCH_ERROR)
    # an error of e in the distribution function moves at most e times the range
    bound = SKETCH_ERROR * (a.max() - a.min()) / a.std()
    assert one.wasserstein == pytest.approx(stats.wasserstein_distance(a, b) / a.std(), abs=bound)
    edges = before["temp"].points.edges
    r, w = shares(a, edges), shares(b, edges)
    bits = partial(distance.jensenshannon, base=2)
    for found, measure in ((one.psi_raw, jeffreys), (one.jensen_shannon, bits), (one.hellinger, euclidean)):
        assert found == pytest.approx(measure(r, w), abs=moved(measure, r, w)), measure


def test_the_distances_between_categories_are_scipys_on_raw_data(weather):
    reference, window = of_year(weather, 2013), of_year(weather, 2014)
    one = compared(reference[["weather"]], window[["weather"]])["weather"]
    kinds = sorted(set(reference["weather"]) | set(window["weather"]))
    r, w = (frame["weather"].value_counts().reindex(kinds, fill_value=0) for frame in (reference, window))
    assert one.jensen_shannon == pytest.approx(distance.jensenshannon(r, w, 2))
    assert one.hellinger == pytest.approx(euclidean(r / r.sum(), w / w.sum()))
    r, w = r + 0.5, w + 0.5
    assert one.psi_raw == pytest.approx(jeffreys(r / r.sum(), w / w.sum()))
    assert one.wasserstein is None


@pytest.mark.parametrize("rows", [100, 1_000, 10_000, 100_000, 1_000_000])
def test_a_verdict_does_not_flip_with_the_number_of_rows(rows):
    """Planted: half a standard deviation and more, a changed share, and differences too small to matter."""
    rng = np.random.default_rng(rows)
    before = {"still": rng.normal(size=5000), "trifle": rng.normal(size=5000), "moved": rng.normal(size=5000)}
    after = {
        "still": rng.normal(size=rows),
        "trifle": rng.normal(0.05, size=rows),
        "moved": rng.normal(0.8, size=rows),
    }
    before |= {"kind": rng.choice(list("abc"), 5000), "same": rng.choice(list("abc"), 5000)}
    after |= {"kind": rng.choice(list("abc"), rows, p=[0.7, 0.2, 0.1]), "same": rng.choice(list("abc"), rows)}
    window = profile(pd.DataFrame(after))
    found = drift(profile(pd.DataFrame(before)), window)
    assert {one.column for one in found if one.drifted} == {"moved", "kind"}
    # nor does what a comparison costs grow with them
    held = [one.points for one in digest.of_view(window).values() if one.points is not None]
    assert max(len(points.values) for points in held) <= 512


def test_a_stored_profile_gives_the_verdicts_of_the_one_in_memory(weather, tmp_path):
    for name, frame in {"days": weather, "hours": local_data.sf_temps(), "none": weather.head(0)}.items():
        view = profile(frame)
        found = digest.read(write(view, tmp_path / name))
        assert drift(found, found) == drift(view, view)
    whole = (tmp_path / "days").read_bytes()
    for size in (0, 3, 40, len(whole) // 2, len(whole) - 300):
        (tmp_path / "cut").write_bytes(whole[:size])
        with pytest.raises(CorruptionError):
            digest.read(tmp_path / "cut")
    with pytest.raises(NotFoundError):
        digest.read(tmp_path / "absent")
    damaged = bytearray(whole)
    damaged[-60] ^= 1  # in the digest
    (tmp_path / "damaged").write_bytes(damaged)
    with pytest.raises(CorruptionError, match="checksum"):
        digest.read(tmp_path / "damaged")


def test_a_profile_of_plain_whylogs_is_read_too(weather, tmp_path):
    import whylogs

    profile(weather.head(1))  # mends whylogs for NumPy 2
    (tmp_path / "plain.bin").write_bytes(whylogs.log(weather[["wind", "temp_max"]]).view().serialize())
    found = drift(digest.read(tmp_path / "plain.bin"), profile(of_month(weather, 2013, 1)))
    assert {one.column for one in found if one.drifted} == {"temp_max"}
