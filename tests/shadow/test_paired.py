from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from taxiway.shadow.paired import accuracy_difference, error_difference, rows_needed


def hits(both: int, live: int, shadow: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.array([True] * (both + live) + [False] * (shadow + neither))
    b = np.array([True] * both + [False] * live + [True] * shadow + [False] * neither)
    return a, b


def test_mcnemars_p_value_is_the_exact_binomials():
    found = accuracy_difference(*hits(60, 5, 20, 15))
    assert found.p_value == pytest.approx(stats.binomtest(20, 25).pvalue)
    assert (found.live, found.shadow, found.value) == (0.65, 0.80, 0.15)


def test_the_interval_is_close_to_a_bootstrap_of_the_rows():
    live, shadow = hits(600, 50, 90, 60)
    found = accuracy_difference(live, shadow)
    gain = shadow.astype(float) - live
    expected = stats.bootstrap((gain,), np.mean, rng=np.random.default_rng(1), method="percentile")
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.004)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.004)


def test_no_discordant_row_still_leaves_some_uncertainty():
    found = accuracy_difference(*hits(40, 0, 0, 10))
    assert found.low < 0 < found.high
    assert found.p_value == 1.0


def test_the_interval_covers_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(400):
        counts = rng.multinomial(80, [0.6, 0.1, 0.2, 0.1])
        found = accuracy_difference(*hits(*counts))
        covered += found.low <= 0.1 <= found.high
    assert covered / 400 >= 0.92


def test_the_regressions_interval_and_p_value_are_scipys():
    rng = np.random.default_rng(2)
    live, shadow = np.abs(rng.normal(size=400)), np.abs(rng.normal(scale=0.8, size=400))
    found = error_difference(live, shadow)
    assert found.p_value == pytest.approx(stats.ttest_rel(live, shadow).pvalue)
    expected = stats.ttest_1samp(live - shadow, 0).confidence_interval(0.95)
    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert found.high == pytest.approx(expected.high, abs=0.02)


def test_the_same_seed_gives_the_same_interval():
    data = hits(60, 5, 20, 15)
    assert accuracy_difference(*data, seed=3) == accuracy_difference(*data, seed=3)


def test_that_many_rows_do_decide_it():
    small = accuracy_difference(*hits(70, 9, 12, 9))
    needed = rows_needed(small, 0.01)
    assert needed is not None
    factor = needed / 100
    large = accuracy_difference(*hits(*(round(factor * count) for count in (70, 9, 12, 9))))
    assert large.low == pytest.approx(-0.01, abs=0.004)
