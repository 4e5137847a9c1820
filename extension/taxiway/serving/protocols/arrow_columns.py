"""The columns of an Arrow record batch: from buffers to values, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from taxiway.serving.protocols import Prediction
from taxiway.serving.protocols.flatbuffers import Malformed, Scalar, Table
from taxiway.serving.requests import Array, values_of

#: A column's field for a schema, its null count, and its buffers.
Written = tuple[dict[int, Any], int, list[bytes]]

#: The most characters that one stream may hold.
MOST_TEXT = 16 * 2**20
#: The numbers of Arrow's types in its FlatBuffers schema (Schema.fbs).
_NULL, _INT, _FLOAT, _BINARY, _TEXT, _BOOL = 1, 2, 3, 4, 5, 6
_LARGE_BINARY, _LARGE_TEXT, _TEXT_VIEW = 19, 20, 24
#: Types that are skipped where a column is not the signature's, with their number of buffers.
_SKIPPED = {
    _BINARY: ("binary", 3),
    7: ("decimal", 2),
    8: ("date", 2),
    9: ("time", 2),
    10: ("timestamp", 2),
    11: ("interval", 2),
    15: ("binary", 2),
    18: ("duration", 2),
    _LARGE_BINARY: ("binary", 3),
}
#: The kinds of columns that are passed over.
UNREAD = frozenset(kind for kind, _ in _SKIPPED.values())
_FLOATS = (np.float16, np.float32, np.float64)
_SIZES = (8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name, the kind of its values, and the number of its dictionary if it has one.

    ``dtype`` is that of the numbers in its buffer; where there is a dictionary these are keys into it,
    and ``words`` is what the dictionary holds.
    """

    name: str
    kind: str
    dtype: np.dtype[Any] | None = None
    buffers: int = 2
    dictionary: int | None = None
    words: Field | None = None

    @property
    def value(self) -> Field:
        """The field of the dictionary's own values."""
        return self.words or self


def fields_of(schema: Table) -> list[Field]:
    """Read the columns of a schema.

    Raises
    ------
    Malformed
        A column holds something else than single values.
    """
    fields, characters = [], 0
    for table in schema.tables(1):
        fields.append(_field(table))
        characters += len(fields[-1].name)
        # Each of many columns may point to the same long name.
        if characters > len(schema.buffer):
            raise Malformed("the names of its columns overlap")
    return fields


def _field(table: Table) -> Field:
    name = table.text(0)
    plain = _typed(name, table.number(2, "B"), table.table(3))
    encoding = table.table(4)
    if encoding is None:
        return plain
    if plain.kind == "null":
        raise Malformed(f"column {name!r} has a dictionary of nothing")
    keys = _typed(name, _INT, encoding.table(1)) if encoding.table(1) else _integers(name, 32, signed=True)
    return replace(keys, dictionary=encoding.number(0, "q"), words=plain)


def _typed(name: str, number: int, details: Table | None) -> Field:
    if number == _NULL:
        return Field(name, "null", buffers=0)
    if number == _BOOL:
        return Field(name, "bool")
    if number in (_TEXT, _LARGE_TEXT):
        return Field(name, "text", np.dtype("<i4" if number == _TEXT else "<i8"), 3)
    if number == _TEXT_VIEW:
        return Field(name, "view")
    if number in _SKIPPED:
        kind, buffers = _SKIPPED[number]
        return Field(name, kind, None, buffers)
    if number == _INT and details is not None:
        return _integers(name, details.number(0, "i"), signed=bool(details.number(1, "B")))
    if number == _FLOAT and details is not None and 0 <= (place := details.number(0, "h")) < len(_FLOATS):
        return Field(name, "number", np.dtype(_FLOATS[place]).newbyteorder("<"))
    raise Malformed(f"column {name!r} does not hold numbers, booleans or texts")


def _integers(name: str, size: int, *, signed: bool) -> Field:
    if size not in _SIZES:
        raise Malformed(f"column {name!r} has integers of {size} bits")
    return Field(name, "number", np.dtype(f"<{'i' if signed else 'u'}{size // 8}"))


class Reader:
    """Reads the columns of one record batch, one after the other, in the schema's order.

    Parameters
    ----------
    rows
        The number of rows.
    nodes
        Length and null count of each column.
    buffers
        Offset and length of each buffer in ``content``.
    variadic
        How many data buffers each column of views has.
    content
        The message's body.

    Raises
    ------
    Malformed
        The buffers take more than there is.
    """

    def __init__(
        self,
        rows: int,
        nodes: Sequence[tuple[int, ...]],
        buffers: Sequence[tuple[int, ...]],
        variadic: Sequence[tuple[int, ...]],
        content: memoryview,
    ) -> None:
        self.rows = rows
        # No writer lets buffers overlap; who does wants much to be made of little.
        if sum(abs(length) for _, length in buffers) > len(content):
            raise Malformed("its buffers overlap")
        self._nodes = iter(nodes)
        self._buffers = iter(buffers)
        self._variadic = iter(variadic)
        self._content = content

    def skip(self, field: Field) -> None:
        """Go past a column."""
        self._nulls()
        for _ in range(field.buffers + (self._views() if field.kind == "view" else 0)):
            self._buffer()

    def values(self, field: Field, most: int | None = None) -> list[Any]:
        """Read a column, or its first ``most`` values; a missing value, and NaN, is None.

        Raises
        ------
        Malformed
            The buffers are too short, or the column is of a kind that is not read.
        """
        count = self.rows if most is None else min(self.rows, most)
        nulls = self._nulls()
        if field.kind == "null":
            return [None] * count
        validity = self._buffer()
        present = self._bits(validity, count) if nulls and count else None
        if field.kind == "number" and field.dtype is not None:
            return _chosen(values_of(self._numbers(field.dtype, count)), present)
        if field.kind == "bool":
            return _chosen(self._bits(self._buffer(), count).tolist(), present)
        if field.kind == "text" and field.dtype is not None:
            return _chosen(self._texts(field.dtype, count), present)
        if field.kind == "view":
            return _chosen(self._viewed(count), present)
        raise Malformed(f"column {field.name!r} holds values of the type {field.kind}")

    def numbers(self, field: Field) -> Array | None:
        """Give a column of numbers as they lie there; None where one is missing, or it is of another kind."""
        if self._nulls() or field.kind != "number" or field.dtype is None or field.dictionary is not None:
            return None
        self._buffer()
        return self._numbers(field.dtype, self.rows)

    def _nulls(self) -> int:
        length, nulls = next(self._nodes, (-1, 0))
        if length != self.rows:
            raise Malformed("a column is not as long as its batch")
        return nulls

    def _views(self) -> int:
        (count,) = next(self._variadic, (-1,))
        if count < 0 or count > len(self._content):
            raise Malformed("a column of views has no count of buffers")
        return count

    def _buffer(self) -> memoryview:
        offset, length = next(self._buffers, (-1, 0))
        if offset < 0 or length < 0 or offset + length > len(self._content):
            raise Malformed("a buffer lies outside its message")
        return self._content[offset : offset + length]

    def _bits(self, buffer: memoryview, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if 8 * len(buffer) < count:
            raise Malformed("a buffer is too short")
        packed = np.frombuffer(buffer, np.uint8)
        return np.unpackbits(packed, count=count, bitorder="little").astype(bool)

    def _numbers(self, dtype: np.dtype[Any], count: int) -> Array:
        buffer = self._buffer()
        if len(buffer) < count * dtype.itemsize:
            raise Malformed("a buffer is too short")
        return np.frombuffer(buffer, dtype, count)

    def _texts(self, dtype: np.dtype[Any], count: int) -> list[str]:
        if not count:
            self._buffer(), self._buffer()
            return []
        offsets = self._numbers(dtype, count + 1)
        data = self._buffer()
        if offsets[0] < 0 or offsets[-1] > len(data) or (offsets[1:] < offsets[:-1]).any():
            raise Malformed("an offset lies outside its text")
        ends = offsets.tolist()
        return [_text(data[start:end]) for start, end in pairwise(ends)]

    def _viewed(self, count: int) -> list[str]:
        views = self._buffer()
        if len(views) < 16 * count:
            raise Malformed("a buffer is too short")
        data = [self._buffer() for _ in range(self._views())]
        heads = np.frombuffer(views, "<i4", 4 * count).reshape(-1, 4).tolist()
        if sum(head[0] for head in heads) > MOST_TEXT:
            raise Malformed("its views hold too much text")
        texts = []
        for row, (length, _, number, offset) in enumerate(heads):
            if 0 <= length <= 12:
                texts.append(_text(views[16 * row + 4 : 16 * row + 4 + length]))
            elif 0 <= number < len(data) and 0 <= offset <= offset + length <= len(data[number]):
                texts.append(_text(data[number][offset : offset + length]))
            else:
                raise Malformed("a view lies outside its text")
        return texts


def ids_written(prediction: Prediction) -> Written:
    """Do what ``written`` does for the ids."""
    if prediction.given is not None or prediction.rows == 1:
        return written("id", "string", prediction.ids)
    # One after the other they are the request's id, each time followed by the number of a row.
    head = prediction.request.encode("ascii")
    numbers, ends = _numbered(prediction.rows)
    ends = ends + len(head) * np.arange(len(ends))
    return _described("id", _LARGE_TEXT, {}), 0, [b"", ends.tobytes(), head + head.join(numbers)]


@lru_cache(maxsize=4)
def _numbered(rows: int) -> tuple[list[bytes], Array]:
    """Give what follows the request in the ids of so many rows, and where each ends in the row of all."""
    numbers = [b"-%d" % row for row in range(rows)]
    return numbers, np.cumsum([0, *map(len, numbers)], dtype="<i8")


def written(name: str, dtype: str, values: Sequence[Any] | Array) -> Written:
    """Give a column's field for a schema, its null count, and its buffers."""
    nulls, validity = 0, b""
    if not isinstance(values, np.ndarray) and None in values:
        present = np.array([value is not None for value in values])
        nulls = len(values) - int(present.sum())
        validity = np.packbits(present, bitorder="little").tobytes()
        values = [("" if dtype == "string" else 0) if value is None else value for value in values]
    if dtype == "string":
        texts = [str(value).encode() for value in values]
        ends = np.cumsum([0, *map(len, texts)], dtype="<i8")
        return _described(name, _LARGE_TEXT, {}), nulls, [validity, ends.tobytes(), b"".join(texts)]
    if dtype == "bool":
        bits = np.packbits(np.array(values, bool), bitorder="little")
        return _described(name, _BOOL, {}), nulls, [validity, bits.tobytes()]
    numbers = np.array(values, np.dtype(dtype).newbyteorder("<"))
    if dtype.startswith("float"):
        details = {0: Scalar("h", 2 if dtype == "float64" else 1)}
        return _described(name, _FLOAT, details), nulls, [validity, numbers.tobytes()]
    details = {0: Scalar("i", 8 * numbers.itemsize), 1: Scalar("B", 1)}
    return _described(name, _INT, details), nulls, [validity, numbers.tobytes()]


def pad(data: bytes) -> bytes:
    """Lengthen to a multiple of eight bytes."""
    return data + bytes(-len(data) % 8)


def _described(name: str, number: int, details: dict[int, Any]) -> dict[int, Any]:
    # pyarrow takes no field without a list of children, though it be empty.
    return {0: name, 1: Scalar("B", 1), 2: Scalar("B", number), 3: details, 5: []}


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None


def _chosen(values: list[Any], present: np.ndarray[Any, np.dtype[np.bool_]] | None) -> list[Any]:
    if present is None:
        return values
    return [value if there else None for value, there in zip(values, present.tolist(), strict=True)]
