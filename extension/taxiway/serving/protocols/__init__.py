"""The languages that clients speak: each module turns a body into a Batch, and a Prediction into a body.

None of them predicts, checks or logs: that is the same for all of them, in ``taxiway.serving.predictor``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from taxiway.serving.findings import Finding
from taxiway.serving.requests import Batch
from taxiway.signature import Signature

JSON = b"application/json"

RequestHeaders = Mapping[bytes, bytes]


class Answer(NamedTuple):
    """A response; a body of None has been sent already, and ``told`` means that it holds the findings."""

    status: int
    body: bytes | None
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    told: bool = False


@dataclass(slots=True)
class Prediction:
    """What the model says of one request's rows.

    Attributes
    ----------
    request
        The request's id.
    ids
        One a row.
    outputs
        Output name → one value a row.
    findings
        What the data has that was not expected, and was let pass.
    """

    request: str
    ids: list[str]
    outputs: dict[str, list[Any]]
    findings: list[Finding]


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
