"""The tests and distances that drift is judged by, on counts and distribution functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMOOTHING = 0.5


def psi(reference: NDArray[np.float64], window: NDArray[np.float64]) -> float:
    """Give the population stability index between two sets of counts over the same bins.

    Σ (wᵢ − rᵢ) ln(wᵢ / rᵢ) over the bins' shares (Siddiqi, *Credit Risk Scorecards*, 2006), which is the
    Jeffreys divergence. Half a count is added to each bin, so that an empty bin has a finite share.
    """
    import numpy as np

    r, w = reference + SMOOTHING, window + SMOOTHING
    r, w = r / r.sum(), w / w.sum()
    return float(np.sum((w - r) * np.log(w / r)))


def psi_bias(bins: int, n_reference: float, n_window: float) -> float:
    """Give what PSI is on average between two samples of one distribution.

    (B − 1)(1/n + 1/m), from PSI ~ (1/n + 1/m) χ²(B − 1) (Yurdakul, *Statistical Properties of Population
    Stability Index*, Western Michigan University, 2018).
    """
    return max(bins - 1, 0) * (1 / n_reference + 1 / n_window)


def ks_p_value(statistic: float, n_reference: int, n_window: int) -> float:
    """Give the asymptotic two-sided p-value of a two-sample Kolmogorov–Smirnov statistic.

    As ``scipy.stats.ks_2samp(method="asymp")``: the one-sample law at the effective size nm/(n + m)
    (Hodges, *Arkiv för Matematik* 3, 1958).
    """
    from scipy.stats import kstwo

    if statistic <= 0:
        return 1.0
    effective = n_reference * n_window / (n_reference + n_window)
    return float(min(1.0, kstwo.sf(statistic, max(round(effective), 1))))


def chi2_test(reference: NDArray[np.float64], window: NDArray[np.float64]) -> tuple[float, float, str]:
    """Test two sets of counts over the same categories for homogeneity.

    Pearson's χ² without Yates' correction; of two categories with an expected count below 5, Fisher's
    exact test.

    Returns
    -------
    tuple
        χ², the p-value and the test's name, ``chi2`` or ``fisher``.
    """
    import numpy as np
    from scipy.stats import chi2_contingency, fisher_exact

    table = np.vstack([reference, window])
    if table.shape[1] < 2:
        return 0.0, 1.0, "chi2"
    result = chi2_contingency(table, correction=False)
    if table.shape[1] == 2 and result.expected_freq.min() < 5:
        return float(result.statistic), float(fisher_exact(np.rint(table).astype(int)).pvalue), "fisher"
    return float(result.statistic), float(result.pvalue), "chi2"


def pool_rare(
    reference: NDArray[np.float64], window: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pool the rarest categories until χ² holds: no expected count below 1, a fifth at most below 5.

    The rule is Cochran's (*Biometrics* 10, 1954). Two categories are left as they are.
    """
    import numpy as np

    order = np.argsort(-(reference + window), kind="stable")
    r, w = reference[order].copy(), window[order].copy()
    smaller = min(r.sum(), w.sum()) / max(r.sum() + w.sum(), 1)
    while len(r) > 2:
        expected = (r + w) * smaller
        if expected.min() >= 1 and np.mean(expected < 5) <= 0.2:
            break
        last = np.argsort(expected)[:2]
        r[last[1]] += r[last[0]]
        w[last[1]] += w[last[0]]
        r, w = np.delete(r, last[0]), np.delete(w, last[0])
    return r, w


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, *Scandinavian Journal of Statistics* 6, 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, (len(p_values) - rank) * p_values[i])
        adjusted[i] = min(1.0, largest)
    return adjusted


def share_change_p_value(reference: tuple[int, int], window: tuple[int, int]) -> float:
    """Give Fisher's exact two-sided p-value that two shares, each (count, of how many), are one."""
    from scipy.stats import fisher_exact

    (a, n), (b, m) = reference, window
    return float(fisher_exact([[a, n - a], [b, m - b]]).pvalue)
