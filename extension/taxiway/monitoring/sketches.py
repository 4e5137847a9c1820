"""The sketches inside a whylogs profile, as drift needs them: quantiles of numbers, counts of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

View: TypeAlias = Any  # whylogs.core.DatasetProfileView: whylogs has no types


@dataclass(frozen=True, slots=True)
class Sketch:
    """A KLL quantile sketch of the finite numbers of a column (Karnin, Lang and Liberty, FOCS 2016).

    Attributes
    ----------
    n
        Numbers seen.
    rank_error
        The largest error of ``cdf`` at 99 % confidence; 0 while the sketch still holds every number.
    """

    n: int
    minimum: float
    maximum: float
    rank_error: float
    _kll: Any

    def cdf(self, points: Sequence[float]) -> list[float]:
        """Give P(X ≤ point) for strictly increasing points."""
        return list(self._kll.get_cdf(list(points), True)[:-1]) if len(points) else []

    def quantiles(self, fractions: Sequence[float]) -> list[float]:
        """Give the values at these fractions of the ranks."""
        return list(self._kll.get_quantiles(list(fractions)))

    def support(self, most: int = 2048) -> list[float]:
        """Give the distinct numbers the sketch holds, or ``most`` of them evenly by rank."""
        size = min(self.n, most)
        inner = self._kll.get_quantiles([(i + 0.5) / size for i in range(size)])
        return sorted({self.minimum, *inner, self.maximum})


def sketch_of(view: View, column: str) -> Sketch | None:
    """Give a column's quantile sketch; None if the column is absent or has no numbers."""
    found = view.get_column(column)
    metric = found.get_metric("distribution") if found is not None else None
    if metric is None or metric.kll.value.is_empty():
        return None
    kll = metric.kll.value
    error = float(kll.normalized_rank_error(False)) if kll.is_estimation_mode() else 0.0
    return Sketch(int(kll.get_n()), float(kll.get_min_value()), float(kll.get_max_value()), error, kll)


@dataclass(frozen=True, slots=True)
class Frequencies:
    """The frequent values of a column, most frequent first, and how many values were counted in all.

    ``exact`` while every value has its own counter (up to some hundreds of distinct values).
    """

    counts: dict[str, int]
    total: int
    exact: bool


def frequencies_of(view: View, column: str) -> Frequencies:
    """Give a column's frequent values; empty if the column is absent or not counted by value."""
    found = view.get_column(column)
    metric = found.get_metric("frequent_items") if found is not None else None
    if metric is None or metric.frequent_strings.value.is_empty():
        return Frequencies({}, 0, exact=True)
    items = metric.strings
    counts = {item.value: int(item.est) for item in sorted(items, key=lambda item: (-item.est, item.value))}
    total = int(metric.frequent_strings.value.get_total_weight())
    return Frequencies(counts, total, exact=sum(counts.values()) == total)
