"""Requests of a single row, read back many at a time: as the columns of one record."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Record = dict[str, Any]

MOST_ROWS = 256  # at a time: their objects fit into a processor's cache, and their memory serves the next
_OWN = itemgetter("row", "answer", "request", "time", "latency_ms")
_SHARED = itemgetter("kind", "times", "model", "role", "findings", "unnamed")
_FIELDS = 11
_Shape = tuple[tuple[Any, ...], tuple[str, ...], tuple[str, ...]]


class RowJoiner:
    """Makes of the requests of a single row that follow each other one record, as if they were one request.

    All must be plain: written as they came, named after their requests, without findings or times of their
    own, and of the same Model, role and columns. Such a record is ``joined``: its ``request``, ``time`` and
    ``latency_ms`` are of one value a row. They and the cells are ``packed``: no object is kept for a row,
    which is what takes time and memory.

    Parameters
    ----------
    known
        Gives the form that readers know of a record that is not joined; None if it has none.

    Attributes
    ----------
    records
        What was made so far; complete after ``flush``.
    """

    def __init__(self, known: Callable[[Record], Record | None]) -> None:
        self.records: list[Record] = []
        self._known = known
        self._waiting: list[Record] = []

    def add(self, record: Record) -> None:
        """Take in a record of a ``row``, as it was written."""
        self._waiting.append(record)
        if len(self._waiting) >= MOST_ROWS:
            self.flush()

    def append(self, record: Record) -> None:
        """Take any other record, in the form that readers know."""
        self.flush()
        self.records.append(record)

    def flush(self) -> None:
        """Have everything that was added in ``records``."""
        waiting, self._waiting = self._waiting, []
        if len(waiting) > 1 and (whole := _joined(waiting)) is not None:
            self.records.append(whole)
            return
        for shape, run in groupby(waiting, _shape):
            alike = list(run)
            if shape is not None and len(alike) > 1 and (one := _joined(alike)) is not None:
                self.records.append(one)
            else:
                self.records += filter(None, map(self._known, alike))


def _shape(record: Record) -> _Shape | None:
    """Give what a plain record has in common with those that it can be joined to; None if it is not plain."""
    try:
        (row,), answer, *_ = _OWN(record)
        shared = _SHARED(record)
    except (KeyError, TypeError, ValueError):
        return None
    if len(record) - ("trace" in record) != _FIELDS or not type(row) is type(answer) is dict:
        return None
    kind, times, model, role, findings, unnamed = shared
    plain = kind == "prediction" and times is None and not findings and unnamed == 1
    return (shared, tuple(row), tuple(answer)) if plain and type(model) is type(role) is str else None


def _joined(records: list[Record]) -> Record | None:
    """Join records; None if they are not all plain and of one shape. What is done for each is done in C."""
    if (shape := _shape(records[0])) is None:
        return None
    (kind, times, model, role, *_), inputs, outputs = shape
    count = len(records)
    try:
        rows, answers, requests, received, latencies = zip(*map(_OWN, records), strict=True)
        shared = [*map(_SHARED, records)]
        given = [*chain.from_iterable(rows)]
        cells = _columns(given, inputs), _columns(answers, outputs)
    except (KeyError, TypeError):
        return None
    alike = shared.count(shape[0]) == [*map(len, rows)].count(1) == count
    if not alike or {len(record) - ("trace" in record) for record in records} != {_FIELDS} or None in cells:
        return None
    ids = packed(requests)
    return {
        "kind": kind,
        "joined": True,
        "time": packed(received),
        "times": times,
        "model": model,
        "role": role,
        "request": ids,
        "ids": ids,
        "latency_ms": packed(latencies),
        "findings": [],
        "inputs": cells[0],
        "outputs": cells[1],
    }


def _columns(rows: Sequence[dict[str, Any]], names: tuple[str, ...]) -> dict[str, Any] | None:
    """Give rows as columns; None if not all have these names in this order."""
    if [*map(tuple, rows)].count(names) < len(rows):
        return None
    width = len(names)
    cells = [*chain.from_iterable(map(dict.values, rows))]
    types = [*map(type, cells)]
    if types == types[:width] * len(rows):  # the commonest case by far, and quick to find
        columns = (_array(types[place], cells[place::width]) for place in range(width))
    else:
        columns = (packed(cells[place::width]) for place in range(width))
    return dict(zip(names, columns, strict=True))


def packed(values: Sequence[Any]) -> Sequence[Any] | pa.Array:
    """Give values of one plain type, of which some may be missing, as an Arrow array; all others as they are.

    Nothing is converted: the array's ``to_pylist`` gives the same values, of the same types.
    """
    types = set(map(type, values))
    if len(types) == 1:
        return _array(types.pop(), values)
    types.discard(type(None))
    if len(types) != 1 or not types <= {float, int, str}:
        return values
    pa, plain = _arrow()
    try:
        return pa.array(values, plain[types.pop()])
    except (pa.ArrowException, OverflowError):  # an integer of more than 64 bits
        return values


def _array(kind: type, values: Sequence[Any]) -> Sequence[Any] | pa.Array:
    """Pack values that are all of one type."""
    pa, plain = _arrow()
    if kind is str or kind is bool:
        return pa.array(values, plain[kind])
    if kind is type(None):
        return pa.nulls(len(values))
    if kind not in plain:
        return values
    try:  # three times as fast as Arrow
        data = struct.pack(f"={len(values)}{'d' if kind is float else 'q'}", *values)
    except struct.error:  # an integer of more than 64 bits
        return values
    return pa.Array.from_buffers(plain[kind], len(values), [None, pa.py_buffer(data)])


@cache
def _arrow() -> tuple[Any, dict[type, pa.DataType]]:
    """Give Arrow, which serving itself does not import, and its types by those of the values."""
    import pyarrow as pa

    return pa, {float: pa.float64(), int: pa.int64(), str: pa.large_string(), bool: pa.bool_()}
