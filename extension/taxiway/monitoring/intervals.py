"""Intervals of metrics whose cost does not grow with the number of rows, but for one pass over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 1000
GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Bootstrap:
    """The percentile bootstrap of metrics that are functions of sums over rows.

    Up to ``GROUPS`` rows, rows are drawn. Of more, rows are first put at random into ``GROUPS`` groups of one
    size, and groups are drawn: their sums are independent and alike, so that the law of a resampled sum has
    the same mean and (nearly) the same variance, for a cost of ``RESAMPLES`` × ``GROUPS`` whatever the number
    of rows. The percentiles are widened for few rows (Hesterberg, *American Statistician* 69, 2015), with
    which the plain ones are as narrow as a normal interval that divides by n.

    Parameters
    ----------
    n
        The number of rows, at least one.
    seed
        The same seed draws the same.
    """

    def __init__(self, n: int, *, seed: int = 0) -> None:
        import numpy as np

        drawn = np.random.default_rng(seed)
        self.n = n
        self._groups = min(n, GROUPS)
        self._of_row = np.arange(n) if n <= GROUPS else drawn.permutation(n) % GROUPS
        chosen = drawn.integers(0, self._groups, (RESAMPLES, self._groups))
        chosen += np.arange(RESAMPLES)[:, None] * self._groups
        counted = np.bincount(chosen.ravel(), minlength=RESAMPLES * self._groups)
        self._times = counted.reshape(RESAMPLES, self._groups).astype(float)

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the sums of ``values`` (n,): of all rows first, then of each resample; (1 + RESAMPLES,)."""
        import numpy as np

        of_groups = np.bincount(self._of_row, values, minlength=self._groups).astype(float)
        return self._resampled(of_groups[:, None])[:, 0]

    def counts(self, codes: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Give how often each code below ``k`` comes, of n codes; those below 0 are not counted.

        Returns
        -------
        ndarray
            Of all rows first, then of each resample; (1 + RESAMPLES, k).
        """
        import numpy as np

        known = codes >= 0
        places = self._of_row[known] * k + codes[known]
        counted = np.bincount(places, minlength=self._groups * k).reshape(self._groups, k)
        return self._resampled(counted.astype(float))

    def _resampled(self, of_groups: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        return np.vstack([of_groups.sum(axis=0)[None], self._times @ of_groups])

    def estimate(self, values: NDArray[np.float64]) -> Estimate:
        """Give the interval of a metric: its value first, then that of each resample."""
        import numpy as np

        low, high = np.nanquantile(values[1:], _percentiles(self.n))
        return Estimate(float(values[0]), float(low), float(high))

    def ratio(self, values: NDArray[np.float64], by: NDArray[np.float64]) -> Estimate:
        """Give the interval of the ratio of two sums; 0 where the divisor is."""
        import numpy as np

        return self.estimate(np.divide(values, by, out=np.zeros_like(values), where=by != 0))

    def mean(self, values: NDArray[np.float64]) -> Estimate:
        """Give the interval of a mean over all rows."""
        return self.estimate(self.sums(values) / self.n)


def _percentiles(n: int) -> tuple[float, float]:
    from scipy.stats import norm, t

    if n < 2:
        return 0.0, 1.0
    quantile = t.ppf((1 - CONFIDENCE) / 2, n - 1) * (n / (n - 1)) ** 0.5
    low = float(norm.cdf(quantile))
    return low, 1 - low


def wilson(hits: int, n: int) -> Estimate:
    """Give a share with Wilson's interval (*JASA* 22, 1927); ``n`` is at least one."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(hits / n, float(interval.low), float(interval.high))


def share_difference(one: Estimate, other: Estimate) -> Estimate:
    """Give the difference of two independent shares from their Wilson intervals.

    Newcombe's tenth method (*Statistics in Medicine* 17, 1998).
    """
    value = one.value - other.value
    down = ((one.value - one.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
    up = ((one.high - one.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
    return Estimate(value, value - down, value + up)


def mean_interval(values: NDArray[np.float64]) -> Estimate:
    """Give a mean with Student's interval; of one value, or of equal ones, it has no width."""
    from scipy.stats import t

    n, mean = len(values), float(values.mean())
    if n < 2:
        return Estimate(mean, mean, mean)
    half = float(t.isf((1 - CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / n**0.5)
    return Estimate(mean, mean - half, mean + half)


def welch(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Give Welch's two-sided p-value that two means are one (*Biometrika* 34, 1947)."""
    from scipy.stats import ttest_ind_from_stats

    (a, s, n), (b, t, m) = ((float(part.mean()), float(part.std(ddof=1)), len(part)) for part in (one, other))
    if s == 0 and t == 0:
        return 1.0 if a == b else 0.0
    return float(ttest_ind_from_stats(a, s, n, b, t, m, equal_var=False).pvalue)


def on_logit_scale(value: float, error: float) -> Estimate:
    """Give a share, or an area under a curve, with an interval that does not leave 0 to 1.

    Normal on the scale of log(v / (1 − v)), by the delta method; without width at 0 and at 1.
    """
    from scipy.special import expit, logit
    from scipy.stats import norm

    if not 0 < value < 1:
        return Estimate(value, value, value)
    half = norm.isf((1 - CONFIDENCE) / 2) * error / (value * (1 - value))
    return Estimate(value, float(expit(logit(value) - half)), float(expit(logit(value) + half)))
