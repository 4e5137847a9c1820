"""The two forms of TF Serving, which MLflow reads too: ``instances`` by row and ``inputs`` by column."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Served
from taxiway.serving.requests import Batch, from_columns, from_records, from_split

_ROWS = "Send a list of objects, or of lists with the values in the signature's order."
_COLUMNS = 'Send {"name": [value, ...], ...}, one list a column, or a list of rows.'


def by_row(rows: Any, served: Served) -> Batch:
    """Read rows: objects, lists in the signature's order, or bare values where there is one column.

    Raises
    ------
    Problem
        400 where they are none of these, 413 where there are too many.
    """
    names = served.signature.names
    if type(rows) is not list or not rows:
        raise Problem(400, "There is no list of rows.", hint=_ROWS)
    if type(rows[0]) is dict:
        plain = [
            {name: _scalar(value) for name, value in row.items()} if type(row) is dict else row
            for row in rows
        ]
        return from_records(plain, names, served.max_rows)
    if type(rows[0]) is not list and len(names) == 1:
        rows = [[row] for row in rows]
    plain = [[_scalar(value) for value in row] if type(row) is list else row for row in rows]
    return from_split({"columns": list(names), "data": plain}, names, served.max_rows)


def by_column(columns: Any, served: Served) -> Batch:
    """Read columns: an object of lists; or a list, which is one of rows.

    Raises
    ------
    Problem
        400 where it is neither, 413 where there are too many rows.
    """
    if type(columns) is list:
        return by_row(columns, served)
    if type(columns) is not dict or not columns:
        raise Problem(400, "There is no object of columns.", hint=_COLUMNS)
    plain = {
        name: [_scalar(value) for value in values] if type(values) is list else values
        for name, values in columns.items()
    }
    return from_columns(plain, served.signature.names, served.max_rows)


def _scalar(value: Any) -> Any:
    """Take a value out of a list of its own, and a text out of its base64; leave the rest as it is."""
    if type(value) is list and len(value) == 1:
        value = value[0]
    if type(value) is dict and value.keys() == {"b64"} and type(value["b64"]) is str:
        try:
            return base64.b64decode(value["b64"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise Problem(
                400, "A value under b64 is not the base64 of UTF-8 text.", hint="Send the text itself."
            ) from None
    return value
