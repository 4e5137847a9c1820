"""Parity: the exported model, asked what the original was asked, answers the same.

Labels must be equal. A number must lie within ``absolute + relative * |original|`` of the original's:
1e-5 and 1e-4 for a graph in float32 (eight significant digits go in, some are lost on the way), 1e-6 and
1e-5 for one in double precision, whose tree ensembles still answer in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.packaging.frameworks import Answers, Precision

if TYPE_CHECKING:
    import pandas as pd

#: Precision → (absolute, relative).
TOLERANCES: dict[Precision, tuple[float, float]] = {"float32": (1e-5, 1e-4), "float64": (1e-6, 1e-5)}
#: As many rows of the reference are compared, evenly spread, besides the whole sample.
MOST_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class OutputParity:
    """One output column: how many rows are beyond tolerance, and the largest difference."""

    name: str
    differing: int
    largest: float | None


@dataclass(frozen=True, slots=True)
class WorstRow:
    """The row with the largest difference, relative to the tolerance."""

    index: str
    inputs: Mapping[str, Any]
    original: Mapping[str, Any]
    exported: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parity:
    """How the exported model compared with the original.

    Parameters
    ----------
    passed
        Whether every row was within tolerance.
    precision
        Of the export that was kept.
    rows, differing
        Rows compared, and rows beyond tolerance.
    tried
        What other precisions gave, in the same form .
    """

    passed: bool
    precision: Precision
    rows: int
    differing: int
    absolute: float
    relative: float
    outputs: tuple[OutputParity, ...]
    worst: WorstRow
    waived: bool = False
    tried: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def largest(self) -> float:
        """The largest difference of any numeric output."""
        return max((output.largest for output in self.outputs if output.largest is not None), default=0.0)

    def sentence(self) -> str:
        """Say the result."""
        what = "answered alike" if self.passed else "differ"
        rows = f"{self.rows:,} rows" if self.passed else f"{self.differing:,} of {self.rows:,} rows"
        return f"{rows} {what} in {self.precision}, the largest difference {self.largest:.2g}."

    def after(self, *others: Parity) -> Parity:
        """Give this one with ``others`` recorded as tried besides it."""
        return replace(self, tried=tuple(other.to_dict() for other in others))

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form; a difference that is no number (NaN against a number) is None."""
        body = asdict(self)
        for output in body["outputs"]:
            output["largest"] = plain(output["largest"])
        return body


def chosen_rows(reference: pd.DataFrame, sample: pd.DataFrame | None) -> pd.DataFrame:
    """Give the rows to compare: the sample, and up to ``MOST_ROWS`` of the reference, evenly spread."""
    import pandas as pd

    rows = reference.iloc[spread(len(reference), MOST_ROWS)]
    return rows if sample is None else pd.concat([sample, rows])


def spread(rows: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give up to ``most`` row numbers, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).round().astype(np.int64))


def compare(original: Answers, exported: Answers, frame: pd.DataFrame, precision: Precision) -> Parity:
    """Compare two models' answers for the rows of ``frame``, output by output."""
    absolute, relative = TOLERANCES[precision]
    excess = np.zeros(len(frame))
    outputs = []
    for name, expected in original.items():
        distance, beyond = _beyond(name, expected, exported[name], absolute, relative)
        excess = np.maximum(excess, beyond)
        largest = float(np.nanmax(distance)) if distance is not None else None
        outputs.append(OutputParity(name, int((beyond > 1).sum()), largest))
    differing = int((excess > 1).sum())
    worst = _row(int(excess.argmax()), original, exported, frame)
    return Parity(differing == 0, precision, len(frame), differing, absolute, relative, tuple(outputs), worst)


def _beyond(
    name: str, expected: np.ndarray[Any, Any], given: np.ndarray[Any, Any], absolute: float, relative: float
) -> tuple[np.ndarray[Any, Any] | None, np.ndarray[Any, Any]]:
    """Give the distances (None for labels), and each as a multiple of the tolerance."""
    if name == "label":
        return None, np.where(np.asarray(expected == given, dtype=bool), 0.0, np.inf)
    one, other = expected.astype(np.float64), given.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(one - other)
        distance[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
        distance[np.isnan(distance)] = np.inf
        multiple = np.where(distance == 0, 0.0, distance / (absolute + relative * np.abs(one)))
    multiple[np.isnan(multiple)] = np.inf
    return distance, multiple


def _row(row: int, original: Answers, exported: Answers, frame: pd.DataFrame) -> WorstRow:
    return WorstRow(
        str(frame.index[row]),
        {str(name): plain(frame[name].iloc[row]) for name in frame.columns},
        {name: plain(values[row]) for name, values in original.items()},
        {name: plain(exported[name][row]) for name in original},
    )


def plain(value: Any) -> Any:
    """Give a value as JSON has it: missing and infinite become None."""
    import pandas as pd

    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def records(frame: pd.DataFrame) -> Sequence[dict[str, Any]]:
    """Give the rows of a frame as JSON objects."""
    columns = {str(name): [plain(value) for value in frame[name]] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
