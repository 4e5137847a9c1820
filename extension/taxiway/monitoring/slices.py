"""Which slice of an input column a row is in: the one place that says so.

A slice is the same in every window: a column of numbers is cut at the reference's quartiles, any other has a
slice for each of the reference's most frequent values, one for all other values, and one where it is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError
from taxiway.monitoring.log import INPUT
from taxiway.monitoring.profiles import ColumnSummary, View, profile, summary
from taxiway.monitoring.sketches import sketch_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MISSING = "(missing)"
OTHER = "(other)"
MOST_VALUES = 12
FEW_NUMBERS = 8
LONGEST = 128  # as long as a sketch keeps a frequent value


@dataclass(frozen=True, slots=True)
class Slicing:
    """How one column parts the rows.

    Attributes
    ----------
    column
        By its own name, without the log's prefix.
    edges
        Where numbers are cut, increasing; each slice holds its upper edge. Empty for other columns.
    values
        The values, as texts, that have a slice of their own.
    """

    column: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    def name(self, value: str) -> str:
        """Name a slice for people: ``weather = 'rain'``, ``wind in (2, 3.1]``, ``wind is missing``."""
        if value == MISSING:
            return f"{self.column} is missing"
        if value == OTHER:
            return f"{self.column} has another value"
        if self.edges:
            return f"{self.column} in {value}"
        return f"{self.column} = {value if _is_number(value) else repr(value)}"

    def split(self, column: pd.Series[Any]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Give each slice that has rows, as its value and the rows, (n,), of which each is in one slice."""
        import numpy as np

        codes, labels = self._numbers(column) if self.edges else self._texts(column)
        for code in np.unique(codes):
            yield labels[code], codes == code

    def _numbers(self, column: pd.Series[Any]) -> tuple[NDArray[np.int64], list[str]]:
        import numpy as np
        import pandas as pd

        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        codes = np.searchsorted(np.array(self.edges), numbers, side="left").astype("int64")
        short = [f"{edge:.6g}" for edge in self.edges]
        bounds = ["-inf", *(short if len(set(short)) == len(short) else map(str, self.edges)), "inf"]
        labels = [f"({low}, {high}]" for low, high in pairwise(bounds)]
        labels[-1] = labels[-1][:-1] + ")"
        codes[np.isnan(numbers)] = len(labels)  # a text among numbers is in no range
        codes[column.isna().to_numpy()] = len(labels) + 1
        return codes, [*labels, OTHER, MISSING]

    def _texts(self, column: pd.Series[Any]) -> tuple[NDArray[np.int64], list[str]]:
        import numpy as np
        import pandas as pd

        codes = np.full(len(column), len(self.values) + 1, dtype="int64")
        places = {value: place for place, value in enumerate(self.values)}
        numbers, distinct = pd.factorize(column)
        found = np.array([places.get(as_text(value), len(self.values)) for value in distinct], dtype="int64")
        present = numbers >= 0
        codes[present] = found[numbers[present]] if len(found) else 0
        return codes, [*self.values, OTHER, MISSING]


def as_text(value: Any) -> str:
    """Write a value as a slice's: a whole number without a fraction, a text no longer than ``LONGEST``."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and isfinite(value) and value == int(value):
        value = int(value)
    return str(value)[:LONGEST]


def slicings(columns: Iterable[str], reference: View) -> list[Slicing]:
    """Say how these columns part the rows, by the profile of what the Model was trained on.

    Raises
    ------
    InputError
        The reference has no such column.
    """
    seen = summary(reference)
    found = []
    for column in columns:
        name = column.removeprefix(INPUT)
        if name not in seen:
            raise InputError(
                f"There is no input column {name!r} to slice by.", hint="Name a column of the signature."
            )
        found.append(_slicing(name, seen[name], reference))
    return found


def _slicing(name: str, one: ColumnSummary, reference: View) -> Slicing:
    if one.kind != "numeric":
        texts = [as_text(value) for value, _ in one.frequent[:MOST_VALUES]]
        return Slicing(name, values=tuple(dict.fromkeys(texts)))
    sketch = sketch_of(reference, name)
    if sketch is not None and len(numbers := sketch.support()) <= FEW_NUMBERS:
        return Slicing(name, values=tuple(map(as_text, numbers)))
    quartiles = (one.quantiles.get(share, 0.0) for share in (0.25, 0.5, 0.75))
    return Slicing(name, edges=tuple(sorted({edge for edge in quartiles if edge < (one.maximum or 0.0)})))


def slicings_of_rows(columns: Sequence[str], frame: pd.DataFrame) -> list[Slicing]:
    """Say how these columns part the rows, by the rows themselves, where there is no reference.

    Raises
    ------
    InputError
        The frame has no such column.
    """
    full = [column if column in frame else INPUT + column for column in columns]
    chosen = frame[[name for name in dict.fromkeys(full) if name in frame]]
    chosen = chosen.rename(columns=lambda name: name.removeprefix(INPUT))
    return slicings([name.removeprefix(INPUT) for name in full], profile(chosen))


def split(
    frame: pd.DataFrame, parted: Iterable[Slicing]
) -> Iterator[tuple[str, str, str, NDArray[np.bool_]]]:
    """Give every slice of the rows that has any.

    Parameters
    ----------
    frame
        Rows with the columns, by their own names or as the log has them (``in.…``). Rows that lack a
        column of theirs altogether are in its slice of missing values.

    Yields
    ------
    column, value, name, rows
        ``rows`` of shape (n,).
    """
    import numpy as np

    for one in parted:
        full = one.column if one.column in frame else INPUT + one.column
        if full not in frame:
            yield one.column, MISSING, one.name(MISSING), np.ones(len(frame), dtype=bool)
            continue
        for value, rows in one.split(frame[full]):
            yield one.column, value, one.name(value), rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
