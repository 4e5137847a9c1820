"""Comma-separated values (RFC 4180), UTF-8. An empty cell is a missing value, as pandas writes it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Prediction, Served
from taxiway.serving.requests import Batch, from_columns, too_many
from taxiway.signature import Column

_HINT = "Send a header with the columns' names and one line a row, in UTF-8."
_LONGEST_INTEGER = 18
_BOOLEANS = {"true": True, "false": False}
_NULLS = frozenset(("", "nan", "NaN"))


def decode(served: Served, body: bytes, *, header: bool | None = True) -> Batch:
    """Read a table.

    Parameters
    ----------
    header
        Whether the first line names the columns; None looks. Without names the columns are in the
        signature's order.

    Raises
    ------
    Problem
        400 where it is not such a table, 413 where it has too many rows.
    """
    rows = _rows(body, served.max_rows)
    names: Sequence[str] = served.signature.names
    if header is None:
        header = bool(rows) and _is_header(rows[0], names)
    if header:
        names, rows = (rows[0] if rows else ()), rows[1:]
    if not rows:
        raise Problem(400, "The request has no rows.", hint=_HINT)
    too_many(len(rows), served.max_rows)
    if len(set(names)) != len(names):
        raise Problem(400, "The header names a column twice.", hint=_HINT)
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise Problem(
                400, f"Row {number} has {len(row)} cells; there are {len(names)} columns.", hint=_HINT
            )
    known = {column.name: column for column in served.signature.inputs}
    columns = {
        name: _values(cells, known.get(name))
        for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }
    return from_columns(columns, served.signature.names, served.max_rows)


def encode(prediction: Prediction, *, header: bool = True, ids: bool = True) -> bytes:
    """Write one line a row."""
    columns = ({"id": prediction.ids} if ids else {}) | prediction.outputs
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _rows(body: bytes, max_rows: int) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        text = body.decode("utf-8-sig")
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            if row:
                rows.append(row)
                # One more than rows, for the header.
                if len(rows) > max_rows + 1:
                    break
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem(400, f"The body is not CSV: {error}.", hint=_HINT) from None
    return rows


def _is_header(cells: list[str], names: Sequence[str]) -> bool:
    """Whether a first line names columns: all are known, or some are and none is a number."""
    known = set(names)
    if known.issuperset(cells):
        return len(set(cells)) == len(cells)
    return not known.isdisjoint(cells) and not any(isinstance(_number(cell), float | int) for cell in cells)


def _values(cells: Sequence[str], column: Column | None) -> list[Any]:
    if column is None or column.dtype == "string":
        return [cell or None for cell in cells]
    if column.dtype == "bool":
        return [_BOOLEANS.get(cell.strip().lower(), cell or None) for cell in cells]
    if column.dtype in ("int64", "int32"):
        return [_number(cell) for cell in cells]
    return [_float(cell) for cell in cells]


def _number(cell: str) -> float | str | None:
    """Read an integer, or else what ``_float`` reads."""
    text = cell.strip()
    if text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= _LONGEST_INTEGER:
        return int(text)
    return _float(text)


def _float(cell: str) -> float | str | None:
    """Read a number; what is none stays the text that it is, for the validation to name it."""
    text = cell.strip()
    if text in _NULLS:
        return None
    # Python's own notation of numbers is no one else's.
    if "_" in text or not text.isascii():
        return cell
    try:
        number = float(text)
    except ValueError:
        return cell
    return None if math.isnan(number) else number
