"""One JSON object a line: each row is answered where it stands, and a bad one harms no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Prediction, Served
from taxiway.serving.protocols.native import identified
from taxiway.serving.requests import Batch, from_records, load_json, too_many

_HINT = "Send one object a line, a row each."


def decode(served: Served, body: bytes) -> Batch:
    """Read all lines as one batch, in which one bad line refuses all.

    Raises
    ------
    Problem
        400 where a line is no row, 413 where there are too many.
    """
    lines = [line for line in body.split(b"\n") if not line.isspace() and line]
    too_many(len(lines), served.max_rows)
    names = served.signature.names
    return from_records(
        [read_row(line, names, number) for number, line in enumerate(lines)], names, len(lines)
    )


def read_row(line: bytes, names: Sequence[str], number: int) -> dict[str, Any]:
    """Read a line: an object, or a list of the values in the signature's order.

    Raises
    ------
    Problem
        400 where it is neither.
    """
    try:
        row = load_json(line)
    except Problem as problem:
        raise Problem(400, f"Row {number} is not JSON.", hint=_HINT) from problem
    if type(row) is list:
        if len(row) != len(names):
            raise Problem(400, f"Row {number} is not a list of {len(names)} values.", hint=_HINT)
        return dict(zip(names, row, strict=True))
    if type(row) is not dict:
        raise Problem(400, f"Row {number} is not an object.", hint=_HINT)
    return row


def encode(prediction: Prediction) -> bytes:
    """Write one object a row."""
    return b"".join(lines(prediction, range(prediction.rows)))


def lines(prediction: Prediction, numbers: Sequence[int]) -> list[bytes]:
    """Write each row, under its number; what was found in a row stands beside its outputs."""
    rows = identified(prediction)
    for finding in prediction.findings:
        place = finding["row"] or 0
        rows[place].setdefault("findings", []).append({**finding, "row": numbers[place]})
    return [write_row(row) for row in rows]


def write_row(row: Mapping[str, Any]) -> bytes:
    """Write one line."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def write_problem(number: int, problem: Problem) -> bytes:
    """Write the line of a row that is not answered."""
    return write_row({"row": number, **problem.document()})
