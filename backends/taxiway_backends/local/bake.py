"""Whether a new Model does as well as the one before it: a judgement on counts.

A share is out of bounds when the lower end of its confidence interval is (Wilson's score interval at
99 %: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927), so
that a single unlucky answer of a few takes nothing back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from taxiway.backends import Bake
from taxiway.serving.metrics import BUCKETS

#: Fewer answers than these tell nothing of a 95th percentile.
ENOUGH = 100
#: Seconds by which an answer may always be later: less is the machine's noise, whatever the factor.
SLACK_SECONDS = 0.005
_Z = 2.576
_SLOWEST = 0.05
_EDGES = tuple(pairwise((0.0, *BUCKETS, float("inf"))))


@dataclass(frozen=True, slots=True)
class Totals:
    """What serving processes counted since they started.

    Attributes
    ----------
    answers, failures
        Predictions, and those of them with a 5xx status.
    buckets
        Predictions by their time, as in ``taxiway.serving.metrics``.
    """

    answers: int = 0
    failures: int = 0
    buckets: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)

    def __add__(self, other: Totals) -> Totals:
        buckets = tuple(map(sum, zip(self.buckets, other.buckets, strict=True)))
        return Totals(self.answers + other.answers, self.failures + other.failures, buckets)


def slow_from(totals: Totals, factor: float) -> float | None:
    """Give the seconds from which an answer of the new Model is a slow one.

    Parameters
    ----------
    totals
        Of the Model before it.
    factor
        ``Bake.latency_factor``.

    Returns
    -------
    float or None
        None where there is too little to compare with.
    """
    count = sum(totals.buckets)
    if count < ENOUGH:
        return None
    left = (1 - _SLOWEST) * count
    for (low, high), inside in zip(_EDGES, totals.buckets, strict=True):
        if left <= inside and high != float("inf"):
            percentile = low + (high - low) * left / inside
            return max(factor * percentile, percentile + SLACK_SECONDS)
        left -= inside
    return None


def find_fault(totals: Totals, bake: Bake, slow: float | None) -> str:
    """Say why the new Model is out of its bounds; empty where it is not.

    Parameters
    ----------
    totals
        Of the new Model.
    bake
        The bounds.
    slow
        What ``slow_from`` gave.
    """
    failed, answers = totals.failures, totals.answers
    if failed > 1 and at_least(failed, answers) > bake.error_rate:
        share = f"{failed} of {answers} predictions failed"
        return f"{share} ({failed / answers:.1%}, allowed are {bake.error_rate:.1%})"
    timed = sum(totals.buckets)
    if slow is not None and timed >= ENOUGH:
        late = _slower(totals.buckets, slow)
        if at_least(late, timed) > _SLOWEST:
            return f"{late / timed:.0%} of the answers took longer than {slow * 1000:.3g} ms (allowed are 5%)"
    return ""


def at_least(hits: float, count: int) -> float:
    """Give the lower end of a share's confidence interval."""
    if not count:
        return 0.0
    share, square = hits / count, _Z * _Z
    centre = share + square / (2 * count)
    spread = _Z * sqrt(share * (1 - share) / count + square / (4 * count * count))
    return (centre - spread) / (1 + square / count)


def _slower(buckets: Sequence[int], seconds: float) -> float:
    """Estimate how many answers took longer; within a bucket they are taken to be spread evenly."""
    late = 0.0
    for (low, high), inside in zip(_EDGES, buckets, strict=True):
        if low >= seconds:
            late += inside
        elif seconds < high != float("inf"):
            late += inside * (high - seconds) / (high - low)
    return late
