"""The body of a prediction request, turned into columns.

Three shapes of JSON are read, which are what pandas' ``to_dict`` gives: records (a bare list, or under
``"records"``), ``"columns"`` and ``"split"``; other protocols' bodies become one of them. Only the
signature's columns become lists; of a column that the signature does not know, the name, one value and a
count are kept and the rest is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from taxiway.serving.findings import shorten
from taxiway.serving.problems import Problem

SHAPES = (
    'Send a list of objects, {"records": [{...}]}, {"columns": {"name": [...]}} '
    'or {"split": {"columns": [...], "data": [[...]]}}.'
)
MAX_ID_LENGTH = 256
#: The years 1 to 9998 in epoch seconds: what a calendar holds, with room for the end of a window.
FIRST_TIME, END_OF_TIME = -62_135_596_800.0, 253_370_764_800.0

Array = np.ndarray[Any, np.dtype[Any]]
MAX_COLUMNS = 10_000


class _Absent:
    """The type of ``ABSENT``: the value of a column that one row of several lacks."""

    __slots__ = ()


ABSENT = _Absent()


@dataclass(slots=True)
class Extra:
    """A column that the signature does not know: where it was first seen, how often, and one value."""

    row: int
    count: int
    example: Any


class Batch:
    """One request's rows.

    Attributes
    ----------
    rows
        The number of rows.
    ids, times
        One a row if the client gave them; times are in epoch seconds.
    extra
        Columns that the signature does not know, by name.
    arrays
        The columns as arrays of shape (rows,), where they came as such and nobody asked for ``columns`` yet.
    """

    __slots__ = ("_columns", "arrays", "extra", "ids", "rows", "times")

    def __init__(
        self,
        columns: dict[str, list[Any]] | None,
        rows: int,
        *,
        arrays: dict[str, Array] | None = None,
    ) -> None:
        self._columns = columns
        self.arrays = arrays
        self.rows = rows
        self.ids: list[str] | None = None
        self.times: list[float] | None = None
        self.extra: dict[str, Extra] = {}

    @property
    def columns(self) -> dict[str, list[Any]]:
        """Values by column, for the signature's columns that are there; ``ABSENT`` where a row lacks one."""
        if self._columns is None:
            self._columns = {name: values_of(array) for name, array in (self.arrays or {}).items()}
            self.arrays = None
        return self._columns


def values_of(array: Array) -> list[Any]:
    """Give an array's numbers as a list; NaN, which is a missing value, as None."""
    values: list[Any] = array.tolist()
    if array.dtype.kind == "f" and np.isnan(array).any():
        return [None if value != value else value for value in values]
    return values


def batch_of(data: Any, names: Sequence[str], *, max_rows: int) -> Batch:
    """Turn a request's JSON into columns.

    Parameters
    ----------
    data
        What ``load_json`` gave.
    names
        The signature's columns.
    max_rows
        The most rows that one request may have.

    Raises
    ------
    Problem
        400 where the body has none of the shapes, 413 where it has too many rows.
    """
    if type(data) is list:
        return from_records(data, names, max_rows)
    if type(data) is not dict:
        raise Problem(400, "The body is neither a list nor an object.")
    shapes = data.keys() & {"records", "columns", "split"}
    if len(shapes) != 1:
        raise Problem(400, "The body has none, or several, of the shapes that are read.")
    shape = shapes.pop()
    content = data[shape]
    if shape == "records":
        batch = from_records(content, names, max_rows)
    elif shape == "columns":
        batch = from_columns(content, names, max_rows)
    else:
        batch = from_split(content, names, max_rows)
    if data.get("ids") is not None:
        batch.ids = read_ids(data["ids"], batch.rows)
    if data.get("times") is not None:
        batch.times = read_times(data["times"], batch.rows)
    return batch


def body_of(batch: Batch) -> bytes:
    """Write a batch as the body of ``/predict`` that would have given it."""
    extra = {name: [shorten(one.example)] * batch.rows for name, one in batch.extra.items()}
    columns = batch.columns | extra
    records = [
        {name: value for name, value in zip(columns, row, strict=True) if value is not ABSENT}
        for row in zip(*columns.values(), strict=True)
    ] or [{}] * batch.rows
    document = {"records": records, "ids": batch.ids, "times": batch.times}
    return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)


def load_json(body: bytes) -> Any:
    """Read JSON; ``NaN``, which many writers emit for a missing value, is read as null.

    Raises
    ------
    Problem
        400 where it is not JSON in UTF-8, or cannot be written as such again.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = Problem(400, f"The body is not JSON: {error}.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        hint = "Send JSON in UTF-8, and not compressed."
        raise Problem(400, "The body is not a text in UTF-8.", hint=hint) from None
    try:
        data = json.loads(text, parse_constant=_constant, parse_int=_integer)
        # Half a surrogate pair, which Python reads, is no text: neither a model nor the log can take it.
        orjson.dumps(data)
    except (ValueError, TypeError, RecursionError):
        raise problem from None
    return data


def _constant(text: str) -> float | None:
    return None if text == "NaN" else float(text)


def _integer(text: str) -> float:
    # Python refuses to read integers of thousands of digits, and no column can hold them.
    return int(text) if len(text) < 20 else float(text)


def from_records(rows: Any, names: Sequence[str], max_rows: int) -> Batch:
    """Turn a list of objects, one a row, into columns; see ``batch_of``."""
    if type(rows) is not list:
        raise Problem(400, '"records" is not a list.')
    check_rows(len(rows), max_rows)
    for number, row in enumerate(rows):
        if type(row) is not dict:
            raise Problem(400, f"Row {number} is not an object.")
    first = rows[0]
    keys = first.keys()
    count = len(rows)
    too_wide(len(keys), names)
    if count == 1:
        batch = Batch({name: [first[name]] for name in names if name in first}, 1)
    elif all(row.keys() == keys for row in rows):
        batch = Batch({name: [row[name] for row in rows] for name in names if name in first}, count)
    else:
        return _ragged(rows, names)
    if len(batch.columns) != len(keys):
        for name in keys - batch.columns.keys():
            batch.extra[name] = Extra(0, count, first[name])
    return batch


def _ragged(rows: list[dict[str, Any]], names: Sequence[str]) -> Batch:
    known = set(names)
    present = {name for row in rows for name in row.keys() & known}
    batch = Batch(
        {name: [row.get(name, ABSENT) for row in rows] for name in names if name in present}, len(rows)
    )
    for number, row in enumerate(rows):
        for name in row.keys() - known:
            if (extra := batch.extra.get(name)) is None:
                batch.extra[name] = Extra(number, 1, row[name])
                too_wide(len(batch.extra), names)
            else:
                extra.count += 1
    return batch


def from_columns(columns: Any, names: Sequence[str], max_rows: int) -> Batch:
    """Take an object of equally long lists, one a column; see ``batch_of``."""
    if type(columns) is not dict or not columns:
        raise Problem(400, '"columns" is not an object of lists.')
    too_wide(len(columns), names)
    lengths: dict[int, str] = {}
    for name, values in columns.items():
        if type(values) is not list:
            raise Problem(400, f"Column {name!r} is not a list.")
        lengths.setdefault(len(values), name)
    if len(lengths) > 1:
        (one, first), (other, second) = list(lengths.items())[:2]
        raise Problem(
            400,
            f"Column {first!r} has {one} values and {second!r} has {other}.",
            hint="Send as many values for every column.",
        )
    rows = next(iter(lengths))
    check_rows(rows, max_rows)
    return _named(columns, names, rows)


def from_split(split: Any, names: Sequence[str], max_rows: int) -> Batch:
    """Turn ``{"columns": names, "data": rows}`` into columns; see ``batch_of``."""
    if (
        type(split) is not dict
        or type(split.get("columns")) is not list
        or type(split.get("data")) is not list
    ):
        raise Problem(400, '"split" needs the lists "columns" and "data".')
    header, data = split["columns"], split["data"]
    too_wide(len(header), names)
    if not all(type(name) is str for name in header) or len(set(header)) != len(header):
        raise Problem(400, 'The names in "columns" are not distinct texts.')
    check_rows(len(data), max_rows)
    for number, row in enumerate(data):
        if type(row) is not list or len(row) != len(header):
            raise Problem(400, f"Row {number} is not a list of {len(header)} values.")
    values = zip(*data, strict=True)
    return _named({name: list(column) for name, column in zip(header, values, strict=True)}, names, len(data))


def _named(columns: dict[str, list[Any]], names: Sequence[str], rows: int) -> Batch:
    batch = Batch({name: columns[name] for name in names if name in columns}, rows)
    for name in columns.keys() - batch.columns.keys():
        batch.extra[name] = Extra(0, rows, columns[name][0])
    return batch


def check_rows(rows: int, max_rows: int) -> None:
    """Refuse a request of no rows, with 400, and one of more than it may have, with 413."""
    if rows == 0:
        raise Problem(400, "The request has no rows.")
    too_many(rows, max_rows)


def too_many(rows: int, max_rows: int) -> None:
    """Refuse more rows than one request may have, with 413."""
    if rows > max_rows:
        raise Problem(
            413,
            f"The request has {rows:,} rows; at most {max_rows:,} are taken.",
            hint="Send the rows in several requests.",
        )


def too_wide(columns: int, names: Collection[str]) -> None:
    """Refuse far more columns than there are, with 413: each that is not known costs more than its value."""
    most = max(MAX_COLUMNS, 2 * len(names))
    if columns > most:
        raise Problem(
            413,
            f"The request has {columns:,} columns; at most {most:,} are taken.",
            hint="Send the columns that GET /schema names.",
        )


def read_ids(ids: Any, rows: int) -> list[str]:
    """Check the client's ids: one a row, distinct, non-empty text."""
    if type(ids) is not list or len(ids) != rows:
        raise Problem(400, f'"ids" is not a list of {rows} texts.', hint="Send one id a row, or none.")
    if not all(type(one) is str and 0 < len(one) <= MAX_ID_LENGTH for one in ids):
        raise Problem(
            400,
            '"ids" holds something else than text.',
            hint=f"An id is a text of 1 to {MAX_ID_LENGTH} characters.",
        )
    if len(set(ids)) != rows:
        raise Problem(400, '"ids" holds the same id twice.', hint="Give every row an id of its own.")
    return ids


def read_times(times: Any, rows: int) -> list[float]:
    """Read the data's own times: one a row, ISO 8601 or epoch seconds; UTC where no offset is given.

    Raises
    ------
    Problem
        400 where one is neither, or not within the years 1 to 9998 of UTC.
    """
    if type(times) is not list or len(times) != rows:
        raise Problem(400, f'"times" is not a list of {rows} times.', hint="Send one time a row, or none.")
    return list(_seconds(times))


def _seconds(times: Iterable[Any]) -> Iterable[float]:
    for row, time in enumerate(times):
        seconds = float(time) if type(time) in (int, float) else _iso_seconds(row, time)
        if not FIRST_TIME <= seconds < END_OF_TIME:
            raise Problem(
                400,
                f"The time of row {row} is not within the years 1 to 9998 (UTC).",
                hint="Send epoch seconds. Milliseconds are the usual cause: divide them by 1,000.",
            )
        yield seconds


def _iso_seconds(row: int, time: Any) -> float:
    try:
        moment = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        raise Problem(
            400,
            f"The time of row {row} is neither ISO 8601 nor epoch seconds.",
            hint='Send times such as "2015-01-31T12:00:00Z" or 1422705600.',
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
