"""The Arrow IPC stream, read and written with numpy alone.

Format: https://arrow.apache.org/docs/format/Columnar.html. The light library that there is for it
(nanoarrow 0.9) can be made to crash the process by a few wrong bytes; here each length is checked.
Numbers, booleans, texts (also as views or from a dictionary) and nulls are read, uncompressed. Of a
column that the signature does not know, only the first value is read.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Prediction, Served
from taxiway.serving.protocols.arrow_columns import (
    MOST_TEXT,
    UNREAD,
    Field,
    Reader,
    fields_of,
    ids_written,
    pad,
    written,
)
from taxiway.serving.protocols.flatbuffers import Malformed, Scalar, Structs, Table, write
from taxiway.serving.requests import Array, Batch, Extra, check_rows, too_many, too_wide

_CONTINUATION = b"\xff\xff\xff\xff"
_HINT = "Send an uncompressed Arrow IPC stream, such as pyarrow.ipc.new_stream writes."
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_VERSION = 4
_LONGEST_KNOWN = 2**16
_MOST_WORDS = 256  # of a dictionary of which one word at most is shown


def decode(served: Served, body: bytes) -> Batch:
    """Read a stream's record batches as one.

    Raises
    ------
    Problem
        400 where it is not such a stream, 413 where it has too many rows or columns or too much text.
    """
    if (batch := decode_numbers(served, body)) is not None:
        return batch
    try:
        return _read(served, body)
    except Malformed as error:
        raise Problem(400, f"The body is not an Arrow stream that is read: {error}.", hint=_HINT) from None


def decode_numbers(served: Served, body: bytes) -> Batch | None:
    """Read a single record batch of the signature's columns, all of them numbers and none missing.

    It takes no longer for many rows than for few. None where the stream is anything else, or not one.

    Raises
    ------
    Problem
        413 where it has too many rows.
    """
    try:
        return _read_numbers(served, body)
    except Malformed:
        return None


def encode(served: Served, prediction: Prediction) -> bytes:
    """Write the ids and the outputs as a stream of one record batch."""
    rows = prediction.rows
    columns = [ids_written(prediction)]
    for one in served.signature.outputs:
        values = prediction.arrays[one.name] if prediction.arrays else prediction.outputs[one.name]
        columns.append(written(one.name, one.dtype, values))
    fields, nodes, buffers, body = [], [], [], bytearray()
    for described, nulls, parts in columns:
        fields.append(described)
        nodes.append((rows, nulls))
        for part in parts:
            buffers.append((len(body), len(part)))
            body += pad(part)
    batch = {0: Scalar("q", rows), 1: Structs("qq", nodes), 2: Structs("qq", buffers)}
    messages = (_message(_SCHEMA, {1: fields}, b""), _message(_BATCH, batch, bytes(body)))
    return b"".join((*messages, _CONTINUATION, bytes(4)))


def _message(kind: int, header: dict[int, Any], body: bytes) -> bytes:
    metadata = pad(
        write({0: Scalar("h", _VERSION), 1: Scalar("B", kind), 2: header, 3: Scalar("q", len(body))})
    )
    return b"".join((_CONTINUATION, struct.pack("<i", len(metadata)), metadata, body))


class _Message(NamedTuple):
    """A message of a stream: its kind, header and body, and where the next one begins."""

    kind: int
    header: Table
    body: memoryview
    end: int


def _message_at(body: bytes, place: int) -> _Message | None:
    """Read a message; None at the stream's end."""
    if place >= len(body):
        return None
    if body[place : place + 4] != _CONTINUATION or len(body) < place + 8:
        raise Malformed("a message does not begin as one does")
    length = int.from_bytes(body[place + 4 : place + 8], "little", signed=True)
    if length == 0:
        return None
    start = place + 8 + length
    if length < 0 or start > len(body):
        raise Malformed("a message is longer than the body")
    message = Table.root(body[place + 8 : start])
    size = message.number(3, "q")
    if size < 0 or start + size > len(body):
        raise Malformed("a message is longer than the body")
    header = message.table(2)
    if header is None:
        raise Malformed("a message has no header")
    return _Message(message.number(1, "B"), header, memoryview(body)[start : start + size], start + size)


def _schema_of(message: _Message | None, names: Collection[str] | None = None) -> list[Field]:
    """Read the columns of the message that a stream begins with; of ``names`` there may not be far more."""
    if message is None or message.kind != _SCHEMA:
        raise Malformed("it does not begin with a schema")
    if message.header.number(0, "h"):
        raise Malformed("its numbers are big-endian")
    if names is not None:
        too_wide(message.header.length(1), names)
    fields = fields_of(message.header)
    if not fields:
        raise Malformed("it has no columns")
    if len({one.name for one in fields}) != len(fields):
        raise Malformed("two columns have the same name")
    return fields


@lru_cache(maxsize=16)
def _known_schema(message: bytes) -> list[Field]:
    """Read a schema: clients send the same one again and again."""
    return _schema_of(_message_at(message, 0))


class _Stream:
    """What has been read of a stream: whole columns of the signature, and one value of each other."""

    def __init__(self, fields: list[Field], served: Served) -> None:
        names = frozenset(served.signature.names)
        self.fields = fields
        self.max_rows = served.max_rows
        self.columns: dict[str, list[Any]] = {one.name: [] for one in fields if one.name in names}
        self.extra: dict[str, Extra] = {}
        self.rows = 0
        self._words: dict[int, list[Any]] = {}
        self._characters = 0
        # A dictionary may be shared; it is read whole if one of its columns is the signature's.
        self._owners: dict[int, Field] = {}
        for one in sorted(fields, key=lambda one: one.name in names):
            if one.dictionary is not None:
                self._owners[one.dictionary] = one

    def add_dictionary(self, header: Table, content: memoryview) -> None:
        number, batch = header.number(0, "q"), header.table(1)
        owner = self._owners.get(number)
        if batch is None or owner is None:
            raise Malformed("a dictionary belongs to no column")
        if not header.number(2, "B"):
            self._words.pop(number, None)
        words = self._words.setdefault(number, [])
        reader = _reader(batch, content)
        most = None
        if owner.name in self.columns:
            too_many(len(words) + reader.rows, self.max_rows)
        elif owner.value.kind in UNREAD:
            return
        else:
            most = _MOST_WORDS - len(words)
        found = reader.values(owner.value, most)
        self._count(found)
        words += found

    def add_batch(self, header: Table, content: memoryview) -> None:
        reader = _reader(header, content)
        too_many(self.rows + reader.rows, self.max_rows)
        for one in self.fields:
            if (column := self.columns.get(one.name)) is not None:
                column += self._values(one, reader)
            elif one.name in self.extra or not reader.rows:
                reader.skip(one)
            else:
                self.extra[one.name] = Extra(0, 0, self._first(one, reader))
        self.rows += reader.rows

    def _values(self, one: Field, reader: Reader) -> list[Any]:
        values = reader.values(one)
        if one.dictionary is not None:
            words = self._words.get(one.dictionary, [])
            values = [None if key is None else _word(words, key) for key in values]
        self._count(values)
        return values

    def _first(self, one: Field, reader: Reader) -> Any:
        """Give the value of the first row; of one that is not read, the kind."""
        if one.kind in UNREAD:
            reader.skip(one)
            return one.kind
        (value,) = reader.values(one, 1)
        if one.dictionary is not None and value is not None:
            words = self._words.get(one.dictionary, [])
            value = words[value] if 0 <= value < len(words) else one.value.kind
        self._count([value])
        return value

    def _count(self, values: list[Any]) -> None:
        # A text may be pointed to by every row: what is small here could be large in the log.
        self._characters += sum(len(value) for value in values if type(value) is str)
        if self._characters > MOST_TEXT:
            raise Problem(413, "The stream holds too much text.", hint="Send the rows in several requests.")


def _read(served: Served, body: bytes) -> Batch:
    names = served.signature.names
    message = _message_at(body, 0)
    stream = _Stream(_schema_of(message, names), served)
    while message is not None and (message := _message_at(body, message.end)) is not None:
        if message.kind == _DICTIONARY:
            stream.add_dictionary(message.header, message.body)
        elif message.kind == _BATCH:
            stream.add_batch(message.header, message.body)
        else:
            raise Malformed(f"a message is of the kind {message.kind}")
    check_rows(stream.rows, served.max_rows)
    for extra in stream.extra.values():
        extra.count = stream.rows
    batch = Batch({name: stream.columns[name] for name in names if name in stream.columns}, stream.rows)
    batch.extra = stream.extra
    return batch


def _read_numbers(served: Served, body: bytes) -> Batch | None:
    first = _message_at(body, 0)
    if first is None or first.end > _LONGEST_KNOWN:
        return None
    fields, names = _known_schema(body[: first.end]), served.signature.names
    batch = _message_at(body, first.end)
    if batch is None or batch.kind != _BATCH or _message_at(body, batch.end) is not None:
        return None
    reader = _reader(batch.header, batch.body)
    if not reader.rows or len(fields) != len(names):
        return None
    too_many(reader.rows, served.max_rows)
    arrays: dict[str, Array] = {}
    for one in fields:
        if (array := reader.numbers(one)) is None:
            return None
        arrays[one.name] = array
    if arrays.keys() != set(names):
        return None
    return Batch(None, reader.rows, arrays={name: arrays[name] for name in names})


def _word(words: list[Any], key: Any) -> Any:
    if not 0 <= key < len(words):
        raise Malformed("a key is not in its dictionary")
    return words[key]


def _reader(batch: Table, content: memoryview) -> Reader:
    if batch.table(3) is not None:
        raise Malformed("it is compressed")
    rows = batch.number(0, "q")
    if rows < 0:
        raise Malformed("a batch has fewer than no rows")
    return Reader(rows, batch.structs(1, "qq"), batch.structs(2, "qq"), batch.structs(4, "q"), content)
