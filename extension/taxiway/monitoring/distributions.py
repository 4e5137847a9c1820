"""What a column looks like in a profile, alone or over another: shares in shared bins, or of categories.

Everything is computed from the sketches that a whylogs profile holds, so its cost does not depend on the
number of rows. A share in a bin is off by at most the sketches' rank error (``Sketch.rank_error``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Literal

from taxiway.monitoring.drift import ColumnDrift, drift
from taxiway.monitoring.profiles import ColumnSummary, View, summary
from taxiway.monitoring.sketches import Frequencies, Sketch, frequencies_of, sketch_of

MOST_BINS = 30
MOST_CATEGORIES = 20
MOST_COLUMNS = 3000
MOST_LETTERS = 200
LEVELS = (0.05, 0.25, 0.50, 0.75, 0.95)
_TAIL = 0.005
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_TIME_STEPS = (
    *(1, 5, 15, 30, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY, 28 * _DAY, 91 * _DAY, 365 * _DAY),
)


@dataclass(frozen=True, slots=True)
class Category:
    """One category's share of the values on either side; ``new`` if the reference has none of it."""

    value: str
    reference: float | None
    window: float | None
    new: bool = False
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of one column, of one profile or of a window over a reference.

    Attributes
    ----------
    kind
        What is given: bins of numbers, bins of times (seconds since the epoch, UTC), categories, or nothing.
    edges
        n + 1 edges of n bins, ascending; the outermost bins hold what lies beyond them too.
    reference, window
        n shares that sum to 1; None where that side has no numbers.
    categories
        The categories with the largest shares; ``others`` is what is left on either side.
    text
        Why there is nothing to show, or what to know of it; empty if there is nothing to say.
    """

    kind: Literal["numeric", "datetime", "categorical", "none"]
    edges: tuple[float, ...] = ()
    reference: tuple[float, ...] | None = None
    window: tuple[float, ...] | None = None
    categories: tuple[Category, ...] = ()
    others: tuple[float | None, float | None] = (None, None)
    text: str = ""


@dataclass(frozen=True, slots=True)
class Brief:
    """The little of a column that is shown for every window: quantiles at ``LEVELS``, or shares."""

    quantiles: tuple[float, ...] | None = None
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ColumnPicture:
    """One column of one profile: its summary and its distribution."""

    summary: ColumnSummary
    distribution: Distribution


@dataclass(frozen=True, slots=True)
class ProfilePicture:
    """A whole profile; of more than ``MOST_COLUMNS`` columns the first by name, ``total`` counts all."""

    time: datetime | None
    created: datetime | None
    rows: int
    total: int
    metadata: dict[str, str]
    columns: tuple[ColumnPicture, ...]


@dataclass(frozen=True, slots=True)
class ColumnPair:
    """One column in two profiles; what one of them lacks is None."""

    column: str
    reference: ColumnSummary | None
    window: ColumnSummary | None
    drift: ColumnDrift | None
    distribution: Distribution


def distribution(column: str, window: View, reference: View | None = None) -> Distribution:
    """Give a column's distribution, over the reference's if there is one.

    Parameters
    ----------
    column
        Its name; a side that lacks it counts as empty.
    window, reference
        Profiles.
    """
    after = summary_of(window, column)
    before = summary_of(reference, column) if reference is not None else None
    return _distribution(column, window, after, reference, before)


def summary_of(view: View, column: str) -> ColumnSummary | None:
    """Summarise one column; None if the profile lacks it."""
    return summary(view).get(column)


def picture(view: View) -> ProfilePicture:
    """Give all that is shown of one profile."""
    found = summary(view)
    columns = tuple(
        ColumnPicture(one, _distribution(name, view, one, None, None))
        for name, one in list(found.items())[:MOST_COLUMNS]
    )
    return ProfilePicture(
        time=view.dataset_timestamp,
        created=view.creation_timestamp,
        rows=max((one.rows for one in found.values()), default=0),
        total=len(found),
        metadata={
            short(str(key)): short(str(value))
            for key, value in list(view.metadata.items())[:MOST_LETTERS]
            if not str(key).startswith("taxiway.temporal.")
        },
        columns=columns,
    )


def compare(reference: View, window: View) -> list[ColumnPair]:
    """Give every column of two profiles side by side: the drifted first, then the larger PSI."""
    before, after = summary(reference), summary(window)
    drifts = {one.column: one for one in drift(reference, window)}
    pairs = [
        ColumnPair(
            name,
            before.get(name),
            after.get(name),
            drifts.get(name),
            _distribution(name, window, after.get(name), reference, before.get(name)),
        )
        for name in sorted(before.keys() | after.keys())[:MOST_COLUMNS]
    ]
    return sorted(pairs, key=_calmness)


def brief(view: View, column: str) -> Brief:
    """Give a column's quantiles, or the shares of its most frequent values."""
    sketch = sketch_of(view, column)
    found = frequencies_of(view, column)
    if sketch is not None:
        return Brief(quantiles=tuple(sketch.quantiles(LEVELS)))
    return Brief(shares={short(value): n / found.total for value, n in list(found.counts.items())[:50]})


def short(text: str) -> str:
    """Cut a text that is too long to be shown."""
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _calmness(pair: ColumnPair) -> tuple[bool, bool, float, str]:
    one = pair.drift
    drifted = one is not None and one.drifted
    return one is not None, not drifted, -(one.psi or 0.0) if one else 0.0, pair.column


def _distribution(
    column: str,
    window: View,
    after: ColumnSummary | None,
    reference: View | None,
    before: ColumnSummary | None,
) -> Distribution:
    kinds = {one.kind for one in (before, after) if one is not None} - {"empty"}
    if not kinds:
        return Distribution("none", text="It has no value but nulls.")
    if "unknown" in kinds:
        return Distribution("none", text="Its values are of no type that a profile tells apart.")
    sketches = (
        sketch_of(reference, column) if reference is not None and before is not None else None,
        sketch_of(window, column) if after is not None else None,
    )
    words = (
        frequencies_of(reference, column) if reference is not None and before is not None else None,
        frequencies_of(window, column) if after is not None else None,
    )
    if len(kinds) > 1:
        text = (
            f"Its values are {after.kind if after else ''}, the reference's {before.kind if before else ''}."
        )
        shown = _categories(*words)
        return Distribution("categorical", categories=shown[0], others=shown[1], text=text)
    [kind] = kinds
    if kind == "categorical":
        categories, others = _categories(*words)
        text = "" if categories else "The profile does not count its values one by one."
        return Distribution("categorical", categories=categories, others=others, text=text)
    edges = _edges([one for one in sketches if one is not None], _whole(before, after), kind == "datetime")
    if not edges:
        return Distribution("none", text="The profile has no distribution of it.")
    return Distribution(
        "datetime" if kind == "datetime" else "numeric",
        edges=edges,
        reference=_shares(sketches[0], edges),
        window=_shares(sketches[1], edges),
    )


def _whole(*summaries: ColumnSummary | None) -> bool:
    """Whether all numbers are integers and few enough to have a bin each."""
    given = [one for one in summaries if one is not None and one.minimum is not None]
    low = min((one.minimum for one in given if one.minimum is not None), default=0.0)
    high = max((one.maximum for one in given if one.maximum is not None), default=0.0)
    return high - low < MOST_BINS and all(not one.types.get("fractional") for one in given)


def _edges(sketches: Sequence[Sketch], whole: bool, temporal: bool) -> tuple[float, ...]:
    """Give round edges over what lies between the 0.5 % and 99.5 % quantiles of either side."""
    if not sketches:
        return ()
    low = min(one.quantiles([_TAIL])[0] for one in sketches)
    high = max(one.quantiles([1 - _TAIL])[0] for one in sketches)
    if whole:
        first, last = math.floor(low), math.ceil(high)
        return tuple(first - 0.5 + i for i in range(last - first + 2))
    step = _step((high - low) / MOST_BINS, temporal)
    if step <= 0 or not math.isfinite(step):
        return _around(low)
    first, last = math.floor(low / step), math.ceil(high / step)
    edges = sorted({round(i * step, 12) if step > 1e-9 else i * step for i in range(first, last + 1)})
    return tuple(edges) if len(edges) > 1 else _around(low)


def _around(value: float) -> tuple[float, ...]:
    width = max(0.5, abs(value) * 1e-3)
    return (value - width, value + width)


def _step(width: float, temporal: bool) -> float:
    """Give the round width next above: 1, 2, 2.5 or 5 times a power of ten, or a usual length of time."""
    if width <= 0 or not math.isfinite(width):
        return 0.0
    if temporal:
        return float(next((step for step in _TIME_STEPS if step >= width), math.ceil(width)))
    power = 10.0 ** math.floor(math.log10(width))
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= width), 10 * power)


def _shares(sketch: Sketch | None, edges: Sequence[float]) -> tuple[float, ...] | None:
    if sketch is None:
        return None
    inner = list(edges[1:-1])
    cumulated = [0.0, *(sketch.cdf(inner) if inner else []), 1.0]
    return tuple(max(0.0, after - before) for before, after in pairwise(cumulated))


def _categories(
    reference: Frequencies | None, window: Frequencies | None
) -> tuple[tuple[Category, ...], tuple[float | None, float | None]]:
    """Give the categories that matter most on either side, the reference's most frequent first."""
    old, new = _by_share(reference), _by_share(window)
    ranked = sorted(old.keys() | new.keys(), key=lambda value: -max(old.get(value, 0), new.get(value, 0)))
    kept = sorted(ranked[:MOST_CATEGORIES], key=lambda value: (-old.get(value, 0), -new.get(value, 0), value))
    both = bool(old) and bool(new)
    exact = reference is not None and reference.exact, window is not None and window.exact
    categories = tuple(
        Category(
            short(value),
            old.get(value, 0.0) if old else None,
            new.get(value, 0.0) if new else None,
            new=both and exact[0] and value not in old,
            vanished=both and exact[1] and value not in new,
        )
        for value in kept
    )
    left = tuple(max(0.0, 1 - sum(side.get(v, 0) for v in kept)) if side else None for side in (old, new))
    return categories, (left[0], left[1])


def _by_share(found: Frequencies | None) -> dict[str, float]:
    if found is None or not found.total:
        return {}
    return {value: count / found.total for value, count in found.counts.items()}
