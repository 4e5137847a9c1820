"""The Arrow IPC stream, read and written with numpy alone.

Format: https://arrow.apache.org/docs/format/Columnar.html. The light library that there is for it
(nanoarrow 0.9) can be made to crash the process by a few wrong bytes; here each length is checked.
Numbers, booleans, texts (also as views or from a dictionary) and nulls are read, uncompressed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Prediction, Served
from taxiway.serving.protocols.arrow_columns import MOST_TEXT, Field, Reader, fields_of, pad, written
from taxiway.serving.protocols.flatbuffers import Malformed, Scalar, Structs, Table, write
from taxiway.serving.requests import Batch, from_columns, too_many

_CONTINUATION = b"\xff\xff\xff\xff"
_HINT = "Send an uncompressed Arrow IPC stream, such as pyarrow.ipc.new_stream writes."
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_VERSION = 4


def decode(served: Served, body: bytes) -> Batch:
    """Read a stream's record batches as one.

    Raises
    ------
    Problem
        400 where it is not such a stream, 413 where it has too many rows or too much text.
    """
    try:
        columns = _read(body, served)
    except Malformed as error:
        raise Problem(400, f"The body is not an Arrow stream that is read: {error}.", hint=_HINT) from None
    return from_columns(columns, served.signature.names, served.max_rows)


def encode(served: Served, prediction: Prediction) -> bytes:
    """Write the ids and the outputs as a stream of one record batch."""
    columns = [("id", "string", prediction.ids)]
    columns += [(one.name, one.dtype, prediction.outputs[one.name]) for one in served.signature.outputs]
    rows = len(prediction.ids)
    fields, nodes, buffers, body = [], [], [], bytearray()
    for name, dtype, values in columns:
        described, nulls, parts = written(name, dtype, values)
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


def _messages(body: bytes) -> Iterator[tuple[int, Table, memoryview]]:
    """Give each message's kind, header and body."""
    place, view = 0, memoryview(body)
    while place < len(body):
        if body[place : place + 4] != _CONTINUATION or len(body) < place + 8:
            raise Malformed("a message does not begin as one does")
        length = int.from_bytes(body[place + 4 : place + 8], "little", signed=True)
        if length == 0:
            return
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
        yield message.number(1, "B"), header, view[start : start + size]
        place = start + size


@dataclass(slots=True)
class _Stream:
    """What has been read of a stream."""

    fields: list[Field]
    columns: dict[str, list[Any]]
    dictionaries: dict[int, list[Any]] = field(default_factory=dict)
    rows: int = 0
    characters: int = 0


def _read(body: bytes, served: Served) -> dict[str, list[Any]]:
    messages = _messages(body)
    kind, header, _ = next(messages, (0, None, b""))
    if kind != _SCHEMA or header is None:
        raise Malformed("it does not begin with a schema")
    if header.number(0, "h"):
        raise Malformed("its numbers are big-endian")
    fields = fields_of(header)
    stream = _Stream(fields, {one.name: [] for one in fields})
    if not fields:
        raise Malformed("it has no columns")
    if len(stream.columns) != len(fields):
        raise Malformed("two columns have the same name")
    for kind, header, content in messages:
        if kind == _DICTIONARY:
            _add_dictionary(stream, header, content)
        elif kind == _BATCH:
            _add_batch(stream, header, content, served)
        else:
            raise Malformed(f"a message is of the kind {kind}")
    return stream.columns


def _add_dictionary(stream: _Stream, header: Table, content: memoryview) -> None:
    number, batch = header.number(0, "q"), header.table(1)
    owner = next((one for one in stream.fields if one.dictionary == number), None)
    if batch is None or owner is None:
        raise Malformed("a dictionary belongs to no column")
    values = _reader(batch, content).values(owner.value)
    if header.number(2, "B") and number in stream.dictionaries:
        stream.dictionaries[number] += values
    else:
        stream.dictionaries[number] = values


def _add_batch(stream: _Stream, header: Table, content: memoryview, served: Served) -> None:
    reader = _reader(header, content)
    stream.rows += reader.rows
    too_many(stream.rows, served.max_rows)
    names: Sequence[str] = served.signature.names
    for one in stream.fields:
        if one.name not in names:
            reader.skip(one)
            stream.columns[one.name] += [one.kind] * reader.rows
            continue
        values = reader.values(one)
        if one.dictionary is not None:
            words = stream.dictionaries.get(one.dictionary, [])
            values = [None if key is None else _word(words, key) for key in values]
        # A text may be pointed to by every row: what is small here could be large in the log.
        stream.characters += sum(len(value) for value in values if type(value) is str)
        if stream.characters > MOST_TEXT:
            raise Problem(413, "The stream holds too much text.", hint="Send the rows in several requests.")
        stream.columns[one.name] += values


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
