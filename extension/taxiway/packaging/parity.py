"""Parity: the exported model, asked what the original was asked, answers the same.

Labels, and all that is no real number, must be equal. A real number must lie within
``absolute + relative * |original|`` of the original's, by the dtype in which it was computed: that of the
output or that of the graph, whichever is the narrower. For float32 that is 1e-5 and 1e-4 (seven
significant digits go in, some are lost on the way), for float64 1e-6 and 1e-5. Of entities the scores are
such numbers, and all else must be equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import ParityError
from taxiway.packaging.frameworks import Answers, Precision
from taxiway.serving.agreement import apart
from taxiway.serving.engines import ENTITIES
from taxiway.signature import aligned

if TYPE_CHECKING:
    import pandas as pd

#: Dtype → (absolute, relative).
TOLERANCES: dict[Precision, tuple[float, float]] = {"float32": (1e-5, 1e-4), "float64": (1e-6, 1e-5)}
#: As many rows of the reference are compared, evenly spread, besides the whole sample.
MOST_ROWS = 5_000
_HEADING = ("output", "dtype", "rows that differ", "largest difference", "tolerance")
_MOST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class OutputParity:
    """One output column.

    Parameters
    ----------
    dtype
        What the exported model answers with.
    differing
        Rows beyond tolerance.
    largest
        The largest difference; None for what must be equal, and where a number became none at all.
    absolute, relative
        The tolerance; both are 0 for what must be equal.
    """

    name: str
    dtype: str
    differing: int
    largest: float | None
    absolute: float
    relative: float

    @property
    def tolerance(self) -> str:
        """The tolerance in words."""
        if not self.absolute and not self.relative:
            return "equal"
        return f"{self.absolute:g} + {self.relative:g} × |original|"


@dataclass(frozen=True, slots=True)
class WorstRow:
    """The row with the largest difference, relative to the tolerance: its inputs and both answers."""

    index: str
    inputs: Mapping[str, Any]
    original: Mapping[str, Any]
    exported: Mapping[str, Any]

    def __str__(self) -> str:
        answers = [("answer", "original", "exported")]
        answers += [(name, str(value), str(self.exported[name])) for name, value in self.original.items()]
        inputs = [("input", "value")] + [(name, str(value)) for name, value in self.inputs.items()]
        return "\n".join([f"Worst is row {self.index}.", _short(answers), _short(inputs)])


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
    waived
        Whether it was accepted although it did not pass.
    tried
        What other precisions gave.
    """

    passed: bool
    precision: Precision
    rows: int
    differing: int
    outputs: tuple[OutputParity, ...]
    worst: WorstRow
    waived: bool = False
    tried: tuple[Parity, ...] = ()

    @property
    def largest(self) -> float:
        """The largest difference of any numeric output."""
        return max((output.largest for output in self.outputs if output.largest is not None), default=0.0)

    @property
    def tolerances(self) -> dict[str, tuple[float, float]]:
        """Output → (absolute, relative) tolerance."""
        return {output.name: (output.absolute, output.relative) for output in self.outputs}

    def sentence(self) -> str:
        """Say the result."""
        what = "answered alike" if self.passed else "differ"
        rows = f"{self.rows:,} rows" if self.passed else f"{self.differing:,} of {self.rows:,} rows"
        return f"{rows} {what} in {self.precision}, the largest difference {self.largest:.2g}."

    def table(self) -> str:
        """Write one line per output: the rows that differ, the largest difference and the tolerance."""
        rows = [_HEADING]
        for output in self.outputs:
            largest = "" if output.largest is None else f"{output.largest:.3g}"
            rows.append((output.name, output.dtype, f"{output.differing:,}", largest, output.tolerance))
        return _short(rows)

    def after(self, *others: Parity) -> Parity:
        """Give this one with ``others`` recorded as tried besides it."""
        return replace(self, tried=others)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form, which ``from_dict`` reads; an infinite difference is None."""
        body = asdict(self)
        for report in (body, *body["tried"]):
            for output in report["outputs"]:
                output["largest"] = plain(output["largest"])
        return body

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Parity:
        """Read what ``to_dict`` gave."""
        return cls(
            **{
                **data,
                "outputs": tuple(OutputParity(**output) for output in data["outputs"]),
                "worst": WorstRow(**data["worst"]),
                "tried": tuple(cls.from_dict(other) for other in data["tried"]),
            }
        )

    def __str__(self) -> str:
        return "\n\n".join([self.sentence(), self.table(), str(self.worst)])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def refusal(tried: Sequence[Parity]) -> ParityError:
    """Give the error that says that no precision answers as the original does; its table is of the best."""
    best = min(tried, key=rank)
    figures = " ".join(report.sentence() for report in tried)
    worst = best.worst
    error = ParityError(
        f"The exported model does not answer as the original does: {figures} "
        f"Worst is row {worst.index}: {_first_change(worst)}.",
        hint="Simplify the step that differs, or accept it with waive=('parity',).",
    )
    error.table = f"{best.table()}\n\n{worst}"
    return error


def rank(report: Parity) -> tuple[int, float]:
    """Give by what the better one of two reports is found: fewer rows that differ, then by less."""
    return report.differing, report.largest


def chosen_rows(reference: pd.DataFrame, sample: pd.DataFrame | None) -> pd.DataFrame:
    """Give the rows to compare: the sample, and up to ``MOST_ROWS`` of the reference, evenly spread."""
    import pandas as pd

    rows = reference.iloc[spread(len(reference), MOST_ROWS)]
    return rows if sample is None else pd.concat([sample, rows])


def spread(rows: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give up to ``most`` row numbers, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).round().astype(np.int64))


def compare(original: Answers, exported: Answers, frame: pd.DataFrame, precision: Precision) -> Parity:
    """Compare two models' answers for the rows of ``frame``, output by output.

    Raises
    ------
    ParityError
        The exported model lacks an output, or does not give one answer per row.
    """
    worst, excess, outputs = 0, -1.0, []
    differing = np.zeros(len(frame), dtype=bool)
    for name, expected in original.items():
        given = _answer(name, exported, len(frame))
        absolute, relative = tolerance(name, given.dtype, precision)
        distance = distances(name, expected, given)
        with np.errstate(invalid="ignore", divide="ignore"):
            real = bool(absolute) and expected.dtype.kind in "fiub"
            allowed = absolute + relative * (np.abs(expected.astype(np.float64)) if real else 1.0)
            multiple = np.where(distance == 0, 0.0, distance / allowed)
        multiple[np.isnan(multiple)] = np.inf
        differing |= multiple > 1
        if multiple.size and multiple.max() > excess:
            worst, excess = int(multiple.argmax()), float(multiple.max())
        largest = float(distance.max(initial=0.0)) if absolute else None
        dtype = "string" if given.dtype.kind in "OUST" else str(given.dtype)
        outputs.append(OutputParity(name, dtype, int((multiple > 1).sum()), largest, absolute, relative))
    count = int(differing.sum())
    return Parity(
        count == 0, precision, len(frame), count, tuple(outputs), _row(worst, original, exported, frame)
    )


def tolerance(name: str, dtype: np.dtype[Any], precision: Precision) -> tuple[float, float]:
    """Give (absolute, relative) for an output of that name and dtype; (0, 0) if it must be equal."""
    if name == ENTITIES:
        return TOLERANCES["float32"]
    if name.startswith("label") or dtype.kind != "f":
        return 0.0, 0.0
    return TOLERANCES["float64" if precision == "float64" and dtype.itemsize >= 8 else "float32"]


def distances(
    name: str, expected: np.ndarray[Any, Any], given: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give how far the answers are apart, row by row; infinity where they cannot be compared by number."""
    if name == ENTITIES:
        return np.array([apart(*pair) for pair in zip(expected, given, strict=True)])
    numbers = all(values.dtype.kind in "fiub" for values in (expected, given))
    if name.startswith("label") or not numbers:
        equal = expected == given if numbers else expected.astype(object) == given.astype(object)
        return np.where(np.asarray(equal, dtype=bool), 0.0, np.inf)
    one, other = expected.astype(np.float64), given.astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance: np.ndarray[Any, np.dtype[np.float64]] = np.abs(one - other)
    distance[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    distance[np.isnan(distance)] = np.inf
    return distance


def _answer(name: str, exported: Answers, rows: int) -> np.ndarray[Any, Any]:
    if name not in exported:
        raise ParityError(
            f"The exported model has no output {name!r}, and the original has.", hint="Report it to Taxiway."
        )
    given = exported[name]
    if given.shape != (rows,):
        raise ParityError(
            f"The exported model gives {name!r} in the shape {given.shape} for {rows:,} rows.",
            hint="Let the model take any number of rows: one row in, one value out.",
        )
    return given


def _row(row: int, original: Answers, exported: Answers, frame: pd.DataFrame) -> WorstRow:
    return WorstRow(
        str(frame.index[row]),
        {str(name): plain(frame[name].iloc[row]) for name in frame.columns},
        {name: plain(values[row]) for name, values in original.items()},
        {name: plain(exported[name][row]) for name in original},
    )


def _first_change(worst: WorstRow) -> str:
    """Say the first answers that are not the same, not more than three."""
    changed = {name: value for name, value in worst.original.items() if worst.exported[name] != value}
    names = list(changed or worst.original)[:3]
    one, other = ({name: side[name] for name in names} for side in (worst.original, worst.exported))
    return f"{one} became {other}"


def _short(rows: Sequence[Sequence[str]]) -> str:
    left_out = len(rows) - 1 - _MOST_SHOWN
    text = aligned([[cell[:60] for cell in row] for row in rows[: _MOST_SHOWN + 1]])
    return f"{text}\nand {left_out} more" if left_out > 0 else text


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
