from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from taxiway.monitoring.statistics import (
    chi2_rows,
    distances,
    fisher_p_value,
    hellinger,
    holm,
    jensen_shannon,
    ks_p_value,
    pool_rare,
    psi,
    psi_bias,
    share_change_p_value,
)


def test_psi_is_the_symmetrised_relative_entropy():
    reference, window = np.array([50.0, 30, 20]), np.array([10.0, 20, 40])
    smooth = reference + 0.5, window + 0.5
    expected = stats.entropy(*smooth) + stats.entropy(*reversed(smooth))
    assert psi(reference, window) == pytest.approx(expected)


def test_psi_of_one_distribution_is_its_bias_on_average():
    rng = np.random.default_rng(7)
    drawn = [(rng.multinomial(3000, [0.1] * 10), rng.multinomial(300, [0.1] * 10)) for _ in range(2000)]
    mean = np.mean([psi(a.astype(float), b.astype(float)) for a, b in drawn])
    assert mean == pytest.approx(psi_bias(10, 3000, 300), rel=0.05)


@pytest.mark.parametrize(("n", "m"), [(366, 30), (100, 100), (5000, 20), (10**6, 10**6)])
def test_the_ks_p_value_is_scipys_within_the_published_error_and_never_below(n, m):
    statistics = np.sqrt((n + m) / (n * m)) * np.array([0.3, 0.6, 0.9, 1.2, 1.5, 1.8])
    expected = stats.kstwo.sf(statistics, round(n * m / (n + m)))
    found = ks_p_value(statistics, n, m)
    assert found == pytest.approx(expected, rel=0.15, abs=5e-4)
    assert (found >= expected * 0.995).all()


def test_the_distances_are_scipys_on_raw_data_with_ties():
    rng = np.random.default_rng(2)
    for a, b in [
        (rng.normal(size=400), rng.normal(0.4, 2, size=300)),
        (rng.integers(0, 9, 400).astype(float), rng.integers(2, 12, 70).astype(float)),
        (np.full(50, 5.0), np.full(20, 4.0)),
    ]:
        sides = [np.unique(side, return_counts=True) for side in (a, b)]
        values = tuple(one[None] for one, _ in sides)
        masses = tuple(count[None] / count.sum() for _, count in sides)
        d, moved = distances(values, masses)
        assert d[0] == pytest.approx(stats.ks_2samp(a, b).statistic)
        assert moved[0] == pytest.approx(stats.wasserstein_distance(a, b))


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 40)), min_size=2, max_size=30))
def test_the_distances_of_shares_are_scipys(counts):
    reference, window = (np.array(column, dtype=float) + 1e-9 for column in zip(*counts, strict=True))
    with np.errstate(invalid="ignore"):  # SciPy takes the root of a rounding error
        expected = np.nan_to_num(jensenshannon(reference, window, 2))
    assert jensen_shannon(reference, window) == pytest.approx(expected, abs=1e-6)
    r, w = reference / reference.sum(), window / window.sum()
    assert hellinger(reference, window) == pytest.approx(np.linalg.norm(r**0.5 - w**0.5) / 2**0.5, abs=1e-6)


def test_chi2_is_scipys_and_fishers_test_too():
    table = np.array([[120.0, 80, 60], [10, 20, 15]])
    expected = stats.chi2_contingency(table, correction=False)
    statistic, p = chi2_rows(*(np.append(counts, 0.0)[None] for counts in table))
    assert (statistic[0], p[0]) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))


@given(st.integers(0, 40), st.integers(1, 400), st.integers(0, 40), st.integers(1, 400))
def test_fishers_exact_test_is_scipys(a, n, b, m):
    a, b = min(a, n), min(b, m)
    expected = stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue
    assert fisher_p_value(a, n, b, m) == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 40)), min_size=2, max_size=30))
def test_pooling_keeps_the_totals_and_makes_chi2_hold(counts):
    reference, window = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    r, w = pool_rare(reference, window)
    assert (r.sum(), w.sum()) == (reference.sum(), window.sum())
    if len(r) > 2:
        expected = stats.contingency.expected_freq(np.vstack([r, w]))
        assert expected.min() >= 1
        assert (expected.min(axis=0) < 5).mean() <= 0.2


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = holm(p_values)
    assert all(raw <= one <= 1 for raw, one in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


def test_holm_is_the_published_procedure():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_changed_share_is_fishers_exact_test():
    expected = stats.fisher_exact([[0, 366], [6, 25]]).pvalue
    assert share_change_p_value((0, 366), (6, 31)) == pytest.approx(expected)
