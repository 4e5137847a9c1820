"""The comparison within slices of the inputs, so that a gain on the whole hides no loss on a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.monitoring.slices import Slicing, slicings_of_rows, split
from taxiway.monitoring.statistics import holm
from taxiway.shadow.paired import Difference

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
MIN_ROWS = 20


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
    slices: Sequence[str | Slicing],
    measure: Callable[..., Difference],
    *,
    seed: int = 0,
) -> tuple[SliceDifference, ...]:
    """Measure the difference within each slice of these input columns.

    Parameters
    ----------
    labelled
        The pairs, row for row with ``live`` and ``shadow`` (hits or absolute errors).
    slices
        Columns, by their own names or as the frame has them, or how the reference parts the rows by them.

    Raises
    ------
    InputError
        A column was not logged.
    """
    named = [one for one in slices if isinstance(one, str)]
    parted = [one for one in slices if isinstance(one, Slicing)]
    if named:
        parted += slicings_of_rows(named, labelled)
    found = [
        (column, value, name, measure(live[rows], shadow[rows], seed=seed))
        for column, value, name, rows in split(labelled, parted)
    ]
    p = iter(holm([difference.p_value for *_, difference in found if difference.n >= MIN_ROWS]))
    rows = []
    for column, value, name, difference in found:
        adjusted = next(p) if difference.n >= MIN_ROWS else None
        worse = adjusted is not None and adjusted < ALPHA and difference.value < 0
        rows.append(SliceDifference(column, value, name, difference, adjusted, worse))
    return tuple(rows)
