"""Requests of a single row, read back many at a time: as the columns of one record."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Record = dict[str, Any]

MOST_ROWS = 256  # at a time: their objects fit into a processor's cache, and their memory serves the next
_SHARED = itemgetter("kind", "times", "model", "role", "findings", "unnamed")
_FIELDS = 9
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
        self._begin()

    def add(self, record: Record, received: float, latency: float) -> None:
        """Take in a record of a ``row``, as it was written, and the two numbers of its stamp."""
        shape = _shape(record)
        if shape is None:
            self._alone(record, received, latency)
            return
        if shape != self._same or len(self._requests) >= MOST_ROWS:
            self.flush()
            self._begin(shape, record)
        self._requests.append(record["request"])
        self._times.append(received)
        self._latencies.append(latency)
        self._cells += record["row"][0].values()
        self._answers += record["answer"].values()

    def append(self, record: Record) -> None:
        """Take any other record, in the form that readers know."""
        self.flush()
        self.records.append(record)

    def flush(self) -> None:
        """Have everything that was added in ``records``."""
        if self._same is None:
            return
        if len(self._requests) > 1:
            self.records.append(self._joined(*self._same))
            self._begin()
        else:
            first, (received,), (latency,) = self._first, self._times, self._latencies
            self._begin()
            self._alone(first, received, latency)

    def _begin(self, shape: _Shape | None = None, first: Record | None = None) -> None:
        self._same, self._first = shape, first or {}
        self._requests: list[Any] = []
        self._times: list[float] = []
        self._latencies: list[float] = []
        self._cells: list[Any] = []
        self._answers: list[Any] = []

    def _alone(self, record: Record, received: float, latency: float) -> None:
        self.flush()
        if (one := self._known(record | {"time": received, "latency_ms": latency})) is not None:
            self.records.append(one)

    def _joined(self, shared: tuple[Any, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Record:
        kind, times, model, role, *_ = shared
        ids = packed(self._requests)
        return {
            "kind": kind,
            "joined": True,
            "time": packed(self._times),
            "times": times,
            "model": model,
            "role": role,
            "request": ids,
            "ids": ids,
            "latency_ms": packed(self._latencies),
            "findings": [],
            "inputs": _columns(self._cells, inputs),
            "outputs": _columns(self._answers, outputs),
        }


def _shape(record: Record) -> _Shape | None:
    """Give what a plain record has in common with those that it can be joined to; None if it is not plain."""
    try:
        (row,), answer, _ = record["row"], record["answer"], record["request"]
        shared = _SHARED(record)
    except (KeyError, TypeError, ValueError):
        return None
    if len(record) - ("trace" in record) != _FIELDS or not type(row) is type(answer) is dict:
        return None
    kind, times, model, role, findings, unnamed = shared
    plain = kind == "prediction" and times is None and not findings and unnamed == 1
    return (shared, tuple(row), tuple(answer)) if plain and type(model) is type(role) is str else None


def _columns(cells: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Give the cells of rows that follow each other as columns."""
    if not names:
        return {}
    width = len(names)
    types = [*map(type, cells)]
    if types == types[:width] * (len(cells) // width):  # the commonest case by far, and quick to find
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
