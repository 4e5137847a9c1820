"""The comparison within slices of the inputs, so that a gain on the whole hides no loss on a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError
from taxiway.monitoring.log import INPUT
from taxiway.monitoring.statistics import holm
from taxiway.shadow.paired import Difference

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
MIN_ROWS = 20
_FEW = 8
_MOST_VALUES = 12


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """The paired difference within one slice.

    Attributes
    ----------
    name
        For people: ``weather = 'rain'``, ``temp_max in (10.0, 15.6]``.
    p_value
        Two-sided, Holm's adjusted p-value over all slices with enough rows.
    worse
        Whether the shadow is significantly worse here.
    """

    column: str
    value: str
    name: str
    difference: Difference
    p_value: float | None
    worse: bool


def slice_differences(
    labelled: pd.DataFrame,
    live: Any,
    shadow: Any,
    columns: Sequence[str],
    measure: Callable[..., Difference],
    *,
    seed: int = 0,
) -> tuple[SliceDifference, ...]:
    """Measure the difference within each slice of these input columns.

    Parameters
    ----------
    labelled
        The pairs, row for row with ``live`` and ``shadow`` (hits or absolute errors).
    columns
        By their own names, or as the frame has them.

    Raises
    ------
    InputError
        A column was not logged.
    """
    found = [
        (column, value, name, measure(live[rows], shadow[rows], seed=seed))
        for column in columns
        for value, name, rows in _slices(labelled, column)
    ]
    p = iter(holm([difference.p_value for *_, difference in found if difference.n >= MIN_ROWS]))
    rows = []
    for column, value, name, difference in found:
        adjusted = next(p) if difference.n >= MIN_ROWS else None
        worse = adjusted is not None and adjusted < ALPHA and difference.value < 0
        rows.append(SliceDifference(column, value, name, difference, adjusted, worse))
    return tuple(rows)


def _slices(labelled: pd.DataFrame, column: str) -> Iterator[tuple[str, str, Any]]:
    import pandas as pd

    full = column if column in labelled else INPUT + column
    if full not in labelled:
        raise InputError(
            f"There is no input column {column!r} to slice by.", hint="Name a column of the signature."
        )
    values = labelled[full]
    short = full.removeprefix(INPUT)
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if is_number and values.nunique() > _FEW:
        parts = pd.qcut(values, 4, duplicates="drop")
        for part in parts.cat.categories:
            yield str(part), f"{short} in {part}", (parts == part).to_numpy()
    else:
        for value in values.value_counts().index[:_MOST_VALUES]:
            yield str(value), f"{short} = {value!r}", (values == value).to_numpy(dtype=bool)
    missing = values.isna().to_numpy()
    if missing.any():
        yield "missing", f"{short} is missing", missing
