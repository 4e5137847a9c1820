"""The languages that clients speak: each module turns a body into a Batch, and a Prediction into a body.

None of them predicts, checks or logs: that is the same for all of them, in ``taxiway.serving.predictor``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from taxiway.serving.findings import Finding
from taxiway.serving.identifiers import prediction_ids
from taxiway.serving.requests import Array, Batch
from taxiway.signature import Signature

JSON = b"application/json"

#: Output name → one value a row, all of them lists or all of them arrays.
Outputs = Mapping[str, list[Any] | Array]

RequestHeaders = Mapping[bytes, bytes]


class Answer(NamedTuple):
    """A response; a body of None has been sent already, and ``told`` means that it holds the findings."""

    status: int
    body: bytes | None
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    told: bool = False


class Prediction:
    """What the model says of one request's rows.

    Attributes
    ----------
    request
        The request's id.
    rows
        The number of rows.
    given
        One id a row if the client gave them.
    arrays
        Output name → numbers, of shape (rows,); None where they are lists, or not all numbers.
    findings
        What the data has that was not expected, and was let pass.
    """

    __slots__ = ("_outputs", "arrays", "findings", "given", "request", "rows")

    def __init__(
        self,
        request: str,
        rows: int,
        outputs: Outputs,
        *,
        ids: list[str] | None = None,
        findings: Sequence[Finding] = (),
    ) -> None:
        self.request = request
        self.rows = rows
        self.given = ids
        self.findings = list(findings)
        self._outputs = outputs
        arrays = {name: one for name, one in outputs.items() if isinstance(one, np.ndarray)}
        numbers = bool(arrays) and all(one.dtype.kind in "fiub" for one in arrays.values())
        self.arrays = arrays if numbers else None

    @property
    def ids(self) -> list[str]:
        """One id a row."""
        return prediction_ids(self.request, self.given, self.rows)

    @property
    def outputs(self) -> dict[str, list[Any]]:
        """Output name → one value a row."""
        return {
            name: values.tolist() if isinstance(values, np.ndarray) else values
            for name, values in self._outputs.items()
        }


class Question(NamedTuple):
    """What a body asks: its rows, and how the answer is to be written."""

    batch: Batch
    answer: Callable[[Prediction], Answer]


@dataclass(frozen=True, slots=True)
class Served:
    """What a protocol may know of the Model that is served.

    Parameters
    ----------
    name, version, role
        The Model, and whether it is live or the shadow.
    signature
        Its columns.
    max_rows
        The most rows that one request may have.
    """

    name: str
    version: str
    role: str
    signature: Signature
    max_rows: int

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"


def rows_of(outputs: Mapping[str, list[Any]]) -> list[Any]:
    """Give one object a row, or one value a row where the Model has a single output."""
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
