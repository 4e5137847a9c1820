from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from taxiway.monitoring.statistics import (
    chi2_test,
    holm,
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


@pytest.mark.parametrize(("n", "m"), [(366, 30), (100, 100), (5000, 20)])
def test_the_ks_p_value_is_scipys(n, m):
    rng = np.random.default_rng(n)
    expected = stats.ks_2samp(rng.normal(size=n), rng.normal(0.5, size=m), method="asymp")
    assert ks_p_value(expected.statistic, n, m) == pytest.approx(expected.pvalue)


def test_chi2_is_scipys_and_small_counts_get_fishers_exact_test():
    table = np.array([[120.0, 80, 60], [10, 20, 15]])
    expected = stats.chi2_contingency(table, correction=False)
    assert chi2_test(*table) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue), "chi2")
    small = np.array([[360.0, 6], [28, 3]])
    assert chi2_test(*small)[1:] == (pytest.approx(stats.fisher_exact(small.astype(int)).pvalue), "fisher")


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
