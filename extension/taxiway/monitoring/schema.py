"""The shape of the data, from two profiles: what was added, removed, renamed, retyped, rescaled, emptied.

A request that the signature does not expect is told at once (``taxiway.monitoring.findings``); what only
shows in many rows (another unit, a constant, missing values) is told here, from the window's profile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, get_args

from taxiway.monitoring.profiles import ColumnSummary
from taxiway.monitoring.statistics import share_change_p_value

ChangeKind = Literal[
    "added",
    "removed",
    "renamed",
    "reordered",
    "retyped",
    "rescaled",
    "null_share",
    "new_category",
    "constant",
    "out_of_range",
]
CHANGE_KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)

MIN_ROWS = 30
ALPHA = 0.001
NULL_SHARE = 0.05
ALIKE = 0.6
_FEWEST_DISTINCT = 5
_FEWEST_LEVELS = 4  # among the quantiles compared
_MOST_NEW = 20
_MOST_PAIRS = 200
_INNER = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """How the shape of one column differs from the reference.

    Attributes
    ----------
    column
        Its name in the reference, or in the window if it was added.
    related
        Of a rename, the new name; else empty.
    text
        A sentence fragment for people that begins with the column's name.
    value
        The factor of ``rescaled``, the share of ``null_share``, the count of ``new_category``; else None.
    expected, found
        The reference's and the window's: types, units, names.
    example
        A value, where there is one to show; None for a column marked sensitive.
    """

    kind: ChangeKind
    column: str
    text: str
    related: str = ""
    value: float | None = None
    expected: str = ""
    found: str = ""
    example: Any = None


@dataclass(frozen=True, slots=True)
class Unit:
    """A change of unit that happens: window = factor · reference + offset."""

    factor: float
    offset: float
    name: str


def _units() -> tuple[Unit, ...]:
    powers = [(10.0**k, f"a factor of {10**k:,}") for k in (1, 2, 3, 6, 9)]
    known = [
        (60.0, "minutes for hours, or seconds for minutes"),
        (3600.0, "seconds for hours"),
        (86400.0, "seconds for days"),
        (24.0, "hours for days"),
        (2.2046226, "pounds for kilograms"),
        (1 / 1.609344, "miles for kilometres"),
        (3.2808399, "feet for metres"),
        (1 / 2.54, "inches for centimetres"),
        (1 / 25.4, "inches for millimetres"),
    ]
    both = [unit for factor, name in [*powers, *known] for unit in _and_back(factor, 0.0, name)]
    return (
        *both,
        *_and_back(1.8, 32.0, "Fahrenheit for Celsius"),
        *_and_back(1.0, 273.15, "kelvin for Celsius"),
    )


def _and_back(factor: float, offset: float, name: str) -> tuple[Unit, Unit]:
    new, _, old = name.partition(" for ")
    reverse = f"{old} for {new}" if old and "," not in name else f"{name}, the other way"
    return Unit(factor, offset, name), Unit(1 / factor, -offset / factor, reverse)


UNITS = _units()


def schema_changes(
    reference: Mapping[str, ColumnSummary],
    window: Mapping[str, ColumnSummary],
    *,
    sensitive: Sequence[str] = (),
    min_rows: int = MIN_ROWS,
) -> list[SchemaChange]:
    """Compare the shape of a window with the reference's, column by column.

    Parameters
    ----------
    reference, window
        As ``taxiway.monitoring.profiles.summary`` gives them.
    sensitive
        Columns of which no value is to be shown.
    min_rows
        Fewer values than this tell nothing of unit, constancy or missing values.

    Returns
    -------
    list of SchemaChange
        By kind in the order of ``CHANGE_KINDS``, then by column. A rename stands in the place of the column
        that was removed and the one that was added.
    """
    gone = sorted(reference.keys() - window.keys())
    come = sorted(window.keys() - reference.keys())
    renamed = _renames(gone, come, reference, window)
    changes: list[SchemaChange] = []
    for old, new in renamed.items():
        text = f"`{old}` seems to be named `{new}` now"
        changes.append(SchemaChange("renamed", old, text, related=new, expected=old, found=new))
    for name in come:
        if name not in renamed.values():
            changes.append(_added(window[name], hide=name in sensitive))
    changes += [
        SchemaChange("removed", name, f"`{name}` is gone", expected=_type(reference[name]), found="absent")
        for name in gone
        if name not in renamed
    ]
    for name in sorted(reference.keys() & window.keys()):
        changes += _of_column(reference[name], window[name], min_rows, hide=name in sensitive)
    return sorted(changes, key=lambda change: (CHANGE_KINDS.index(change.kind), change.column))


def _added(column: ColumnSummary, *, hide: bool) -> SchemaChange:
    example = None if hide else _example(column)
    shown = "" if example is None else f", example {example!r}"
    return SchemaChange(
        "added",
        column.column,
        f"`{column.column}` is new ({_type(column)}{shown})",
        expected="absent",
        found=_type(column),
        example=example,
    )


def _of_column(
    before: ColumnSummary, after: ColumnSummary, min_rows: int, *, hide: bool
) -> Iterator[SchemaChange]:
    name = before.column
    old, new = _type(before), _type(after)
    if "empty" not in (old, new) and old != new and {old, new} != {"integer", "number"}:
        text = f"`{name}` is {new}, the reference's is {old}"
        example = None if hide else _example(after)
        yield SchemaChange("retyped", name, text, expected=old, found=new, example=example)
        return
    yield from _emptied(before, after, min_rows)
    if after.rows - after.nulls < min_rows:
        return
    constant = _constant(before, after, hide=hide)
    if constant is not None:
        yield constant
        return
    if before.kind == after.kind == "numeric":
        yield from _rescaled(before, after, hide=hide)
    elif before.kind == after.kind == "categorical":
        yield from _new_categories(before, after, hide=hide)


def _emptied(before: ColumnSummary, after: ColumnSummary, min_rows: int) -> Iterator[SchemaChange]:
    """Tell of a share of missing values that grew by more than chance (Fisher's exact test) and matters."""
    if min(before.rows, after.rows) < min_rows:
        return
    old, new = before.nulls / before.rows, after.nulls / after.rows
    if new - old < NULL_SHARE:
        return
    if share_change_p_value((before.nulls, before.rows), (after.nulls, after.rows)) < ALPHA:
        text = f"`{before.column}` is missing in {new:.0%} of the rows, in {old:.0%} of the reference's"
        yield SchemaChange(
            "null_share", before.column, text, value=new, expected=f"{old:.0%}", found=f"{new:.0%}"
        )


def _constant(before: ColumnSummary, after: ColumnSummary, *, hide: bool) -> SchemaChange | None:
    """Tell of a column that has one value only, where the reference's shares make that no accident."""
    value = _only_value(after)
    if value is None or _only_value(before) is not None:
        return None
    count = after.rows - after.nulls
    share = _largest_share(before)
    if share**count >= ALPHA:
        return None
    shown = "one value" if hide else f"{value}"
    text = f"`{before.column}` is always {shown} in {count:,} rows"
    return SchemaChange(
        "constant",
        before.column,
        text,
        expected=f"about {before.distinct or 0:,.0f} values",
        found="one value",
        example=None if hide else value,
    )


def _only_value(column: ColumnSummary) -> str | None:
    if column.minimum is not None:
        return f"{column.minimum:g}" if column.minimum == column.maximum and not column.infinities else None
    if len(column.frequent) == 1 and (column.distinct or 0) < 1.5:
        return column.frequent[0][0]
    return None


def _largest_share(column: ColumnSummary) -> float:
    """Bound the share of the most frequent value from above, by what the profile has of it."""
    if column.kind == "categorical" and column.frequent:
        count = max(column.rows - column.nulls, 1)
        return min(1.0, (column.frequent[0][1] + 1) / (count + 1))
    points = sorted(column.quantiles.items())
    fractions = [0.0, *(fraction for fraction, _ in points), 1.0]
    widest = 0.0
    for i, (_, value) in enumerate(points):
        last = max(j for j, (_, other) in enumerate(points) if other == value)
        widest = max(widest, fractions[last + 2] - fractions[i])  # up to the neighbours, which differ
    return widest


def _rescaled(before: ColumnSummary, after: ColumnSummary, *, hide: bool) -> Iterator[SchemaChange]:
    unit = guess_unit(before, after)
    if unit is None:
        return
    factor = f"{unit.factor:,.6g}" + (f" and {unit.offset:+g}" if unit.offset else "")
    text = f"`{before.column}` looks as if in another unit: × {factor} ({unit.name})"
    medians = [] if hide else [f"median {side.quantiles[0.5]:.4g}" for side in (before, after)]
    expected, found = medians or ("", "")
    if medians:
        text += f", {expected} → {found.removeprefix('median ')}"
    yield SchemaChange(
        "rescaled",
        before.column,
        text,
        value=unit.factor,
        expected=expected,
        found=found,
    )


def guess_unit(before: ColumnSummary, after: ColumnSummary) -> Unit | None:
    """Find the change of unit that makes the window's quantiles the reference's, if one plainly does.

    The distance is the mean absolute difference of seven quantiles, in units of the 5 %–95 % range. A unit is
    accepted where it explains the window within the error of its quantiles, and the window is at least four
    times as far from the reference as it stands. A factor below ten, which seasons have too, is one only
    where the window's median lies outside the reference's 1 %–99 % range.
    """
    if (before.distinct or 0) < _FEWEST_DISTINCT or not before.quantiles or not after.quantiles:
        return None
    old, new = ([one.quantiles[fraction] for fraction in _INNER] for one in (before, after))
    if min(len(set(old)), len(set(new))) < _FEWEST_LEVELS:
        return None
    outside = not before.quantiles[0.01] <= after.quantiles[0.5] <= before.quantiles[0.99]
    count = after.rows - after.nulls - after.infinities
    tolerance = 0.08 + 0.5 / count**0.5
    likely = [unit for unit in UNITS if outside or not 0.1 < unit.factor < 10]
    best = min(likely, key=lambda unit: _distance(old, new, unit))
    distance = _distance(old, new, best)
    spread = max(old[-1] - old[0], new[-1] - new[0])
    now = sum(abs(b - a) for a, b in zip(old, new, strict=True)) / len(old) / spread
    return best if distance <= tolerance and 4 * distance < now else None


def _distance(old: Sequence[float], new: Sequence[float], unit: Unit) -> float:
    expected = [unit.factor * value + unit.offset for value in old]
    spread = max(expected[-1] - expected[0], new[-1] - new[0])
    return sum(abs(a - b) for a, b in zip(expected, new, strict=True)) / len(new) / spread


def _new_categories(before: ColumnSummary, after: ColumnSummary, *, hide: bool) -> Iterator[SchemaChange]:
    known = {value for value, _ in before.frequent}
    if not known or (before.distinct or 0) > 1.1 * len(known) + 1:
        return  # not every value of the reference is known by name
    fresh = [(value, count) for value, count in after.frequent if value not in known]
    if not fresh:
        return
    names = ", ".join(repr(value) for value, _ in fresh[:_MOST_NEW])
    count = sum(count for _, count in fresh)
    what = f"{len(fresh)} new {'category' if len(fresh) == 1 else 'categories'}"
    text = f"`{before.column}` has {what} in {count:,} rows" + ("" if hide else f": {names}")
    yield SchemaChange(
        "new_category", before.column, text, value=float(count), example=None if hide else fresh[0][0]
    )


def _type(column: ColumnSummary) -> str:
    """Name what most values are, in words: integer, number, string, boolean, time, object; or empty."""
    if column.kind == "datetime":
        return "time"
    most = max(column.types.items(), key=lambda item: item[1], default=("", 0))
    names = {"integral": "integer", "fractional": "number"}
    return names.get(most[0], most[0]) if most[1] else "empty"


def _example(column: ColumnSummary) -> Any:
    if column.frequent:
        return column.frequent[0][0]
    return column.quantiles.get(0.5)


def _renames(
    gone: Sequence[str],
    come: Sequence[str],
    reference: Mapping[str, ColumnSummary],
    window: Mapping[str, ColumnSummary],
) -> dict[str, str]:
    """Pair removed with added columns that are alike by name and by values, the most alike first."""
    scored = [
        (likeness(old, new) / 2 + _resemblance(reference[old], window[new]) / 2, old, new)
        for old in gone[:_MOST_PAIRS]
        for new in come[:_MOST_PAIRS]
        if _compatible(_type(reference[old]), _type(window[new]))
    ]
    return pair(scored)


def pair(scored: Sequence[tuple[float, str, str]]) -> dict[str, str]:
    """Pair old with new names, the most alike first, each once; none that is less alike than ``ALIKE``."""
    pairs: dict[str, str] = {}
    taken: set[str] = set()
    for score, old, new in sorted(scored, key=lambda entry: (-entry[0], entry[1], entry[2])):
        if score >= ALIKE and old not in pairs and new not in taken:
            pairs[old] = new
            taken.add(new)
    return pairs


def likeness(one: str, other: str) -> float:
    """Say how alike two names are, 0 to 1: their words in any case or spelling, then their letters."""
    left, right = _words(one), _words(other)
    if left == right:
        return 1.0
    if left and right and (left <= right or right <= left):
        return 0.8
    return SequenceMatcher(None, "".join(sorted(left)), "".join(sorted(right))).ratio() * 0.5 + (
        SequenceMatcher(None, one.lower(), other.lower()).ratio() * 0.5
    )


def _words(name: str) -> set[str]:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[:200])
    return {word for word in re.split(r"[^0-9a-z]+", parted.lower()) if word}


def _compatible(old: str, new: str) -> bool:
    return old == new or "empty" in (old, new) or {old, new} == {"integer", "number"}


def _resemblance(before: ColumnSummary, after: ColumnSummary) -> float:
    """Say how alike two distributions are, 0 to 1."""
    if before.quantiles and after.quantiles:
        old, new = ([one.quantiles[fraction] for fraction in _INNER] for one in (before, after))
        spread = max(old[-1] - old[0], new[-1] - new[0])
        if spread == 0:
            return float(old == new)
        apart = sum(abs(a - b) for a, b in zip(old, new, strict=True)) / len(old) / spread
        return max(0.0, 1.0 - 2 * apart)
    if before.frequent and after.frequent:
        shares = [
            {value: count / max(sum(count for _, count in one.frequent), 1) for value, count in one.frequent}
            for one in (before, after)
        ]
        return sum(min(share, shares[1].get(value, 0.0)) for value, share in shares[0].items())
    return 0.0
