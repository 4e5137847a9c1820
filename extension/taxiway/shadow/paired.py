"""Paired differences between two models on the same rows: intervals, tests, and how many more are needed."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 4000
_Z = 1.959963984540054  # the normal law's 97.5 % quantile
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better the shadow is than the live Model on the same rows.

    Attributes
    ----------
    value, low, high
        Mean gain of the shadow with its 95 % interval: accuracy of the shadow less the live one's, or the
        live Model's mean absolute error less the shadow's. Positive: the shadow is better.
    p_value
        Two-sided, that there is no difference.
    spread
        Standard deviation of the gain over single rows.
    """

    metric: Literal["accuracy", "mae"]
    n: int
    live: float
    shadow: float
    value: float
    low: float
    high: float
    p_value: float
    spread: float


def accuracy_difference(
    live: NDArray[np.bool_], shadow: NDArray[np.bool_], *, seed: int = 0, confidence: float = CONFIDENCE
) -> Difference:
    """Compare hits on the same rows.

    The interval is a paired bootstrap: a row is a win, a loss or a tie for the shadow, so resampling rows
    is drawing the three counts from a multinomial. Half a row is added to each count first, as Agresti and
    Min add (*Statistics in Medicine* 24, 2005), else no discordant row would mean no uncertainty. The test
    is McNemar's, exact (*Psychometrika* 12, 1947): among the discordant rows, wins are a fair coin's.
    """
    import numpy as np
    from scipy.stats import binomtest

    n = len(live)
    wins, losses = int((shadow & ~live).sum()), int((live & ~shadow).sum())
    counts = np.array([wins, losses, n - wins - losses]) + 0.5
    drawn = np.random.default_rng(seed).multinomial(n, counts / counts.sum(), size=RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [(1 - confidence) / 2, (1 + confidence) / 2])
    value = (wins - losses) / n
    p = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    smoothed = (wins - losses) / (n + 1.5)
    spread = sqrt(max((wins + losses + 1) / (n + 1.5) - smoothed**2, 0.0))
    means = float(live.mean()), float(shadow.mean())
    return Difference("accuracy", n, *means, value, float(low), float(high), float(p), spread)


def error_difference(
    live: NDArray[np.float64], shadow: NDArray[np.float64], *, seed: int = 0, confidence: float = CONFIDENCE
) -> Difference:
    """Compare absolute errors on the same rows: paired bootstrap interval, paired t-test."""
    import numpy as np
    from scipy.stats import ttest_1samp

    gain = live - shadow
    spread = float(gain.std(ddof=1)) if len(gain) > 1 else 0.0
    p = float(ttest_1samp(gain, 0).pvalue) if spread > 0 else (1.0 if gain.mean() == 0 else 0.0)
    low, high = np.quantile(_resampled_means(gain, seed), [(1 - confidence) / 2, (1 + confidence) / 2])
    means = float(live.mean()), float(shadow.mean())
    return Difference("mae", len(gain), *means, float(gain.mean()), float(low), float(high), p, spread)


def _resampled_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    import numpy as np

    drawn = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(values))  # bounded memory, whatever the number of rows
    sizes = [min(step, RESAMPLES - done) for done in range(0, RESAMPLES, step)]
    return np.concatenate(
        [values[drawn.integers(0, len(values), (size, len(values)))].mean(axis=1) for size in sizes]
    )


def rows_needed(difference: Difference, margin: float) -> int | None:
    """Estimate how many rows in all decide it, should the difference stay as it is.

    The half-width z·s/√n of the interval must fall below the distance from the gain to what it is tested
    against: −margin for a shadow that is no worse, 0 for one that is worse. None if no number would do.
    """
    distance = difference.value + margin if difference.value >= 0 else -difference.value
    if distance <= 0 or difference.spread == 0:
        return None
    return ceil((_Z * difference.spread / distance) ** 2)
