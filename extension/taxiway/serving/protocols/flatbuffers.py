"""As much of FlatBuffers as the metadata of an Arrow stream needs, safe against any bytes.

Layout: https://flatbuffers.dev/internals/. Every access is checked against the buffer's ends.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class Malformed(ValueError):
    """The bytes are not what they claim to be."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table within a buffer: fields are read by their number in the schema."""

    buffer: bytes
    position: int

    @classmethod
    def root(cls, buffer: bytes) -> Table:
        """Give the table that the buffer is of."""
        return cls(buffer, _at("<I", buffer, 0))

    def number(self, field: int, form: str, default: int = 0) -> int:
        """Read a scalar of the ``struct`` format ``form``."""
        place = self._place(field)
        return default if place is None else _at(f"<{form}", self.buffer, place)

    def table(self, field: int) -> Table | None:
        """Read a table."""
        place = self._target(field)
        return None if place is None else Table(self.buffer, place)

    def text(self, field: int) -> str:
        """Read a text; empty where there is none."""
        place = self._target(field)
        if place is None:
            return ""
        start, length = self._vector(place, 1)
        try:
            return self.buffer[start : start + length].decode()
        except UnicodeDecodeError:
            raise Malformed("a name is not UTF-8") from None

    def length(self, field: int) -> int:
        """Give the number of tables in a vector of them, without reading one."""
        place = self._target(field)
        return 0 if place is None else self._vector(place, 4)[1]

    def tables(self, field: int) -> list[Table]:
        """Read a vector of tables."""
        place = self._target(field)
        if place is None:
            return []
        start, length = self._vector(place, 4)
        places = range(start, start + 4 * length, 4)
        return [Table(self.buffer, one + _at("<I", self.buffer, one)) for one in places]

    def structs(self, field: int, form: str) -> list[tuple[int, ...]]:
        """Read a vector of structs of the ``struct`` format ``form``."""
        place = self._target(field)
        if place is None:
            return []
        size = struct.calcsize(f"<{form}")
        start, length = self._vector(place, size)
        return list(struct.iter_unpack(f"<{form}", self.buffer[start : start + size * length]))

    def _place(self, field: int) -> int | None:
        vtable = self.position - _at("<i", self.buffer, self.position)
        entry = 4 + 2 * field
        if entry + 2 > _at("<H", self.buffer, vtable):
            return None
        offset = _at("<H", self.buffer, vtable + entry)
        return self.position + offset if offset else None

    def _target(self, field: int) -> int | None:
        place = self._place(field)
        return None if place is None else place + _at("<I", self.buffer, place)

    def _vector(self, place: int, size: int) -> tuple[int, int]:
        length = _at("<I", self.buffer, place)
        if place + 4 + size * length > len(self.buffer):
            raise Malformed("a vector is longer than its message")
        return place + 4, length


def _at(form: str, buffer: bytes, place: int) -> int:
    # A negative place would be counted from the end.
    if place < 0:
        raise Malformed("an offset points outside its message")
    try:
        value: int = struct.unpack_from(form, buffer, place)[0]
    except struct.error:
        raise Malformed("an offset points outside its message") from None
    return value


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar to be written, of a ``struct`` format."""

    form: str
    value: int


@dataclass(frozen=True, slots=True)
class Structs:
    """A vector of structs to be written, of a ``struct`` format."""

    form: str
    rows: Sequence[tuple[int, ...]]


#: What a field of a table to be written may be: None leaves it out, a dict is a table.
Field = Scalar | Structs | str | list[Any] | dict[int, Any] | None


def write(root: dict[int, Field]) -> bytes:
    """Write a buffer whose root is the table with these fields, by number."""
    out = bytearray(8)
    struct.pack_into("<I", out, 0, _write_table(out, root))
    return bytes(out)


def _write_table(out: bytearray, fields: dict[int, Field]) -> int:
    """Write a vtable, its table, and then what the table points to."""
    given = {number: value for number, value in fields.items() if value is not None}
    entries = max(given, default=-1) + 1
    _pad(out, 8)
    vtable = len(out)
    out += bytes(4 + 2 * entries)
    _pad(out, 8)
    position = len(out)
    # Every field takes eight bytes, which aligns whatever it is.
    size = 8 + 8 * len(given)
    out += bytes(size)
    struct.pack_into("<HH", out, vtable, 4 + 2 * entries, size)
    struct.pack_into("<i", out, position, position - vtable)
    for slot, (number, value) in enumerate(given.items(), start=1):
        place = position + 8 * slot
        struct.pack_into("<H", out, vtable + 4 + 2 * number, place - position)
        if isinstance(value, Scalar):
            struct.pack_into(f"<{value.form}", out, place, value.value)
        else:
            target = _write_target(out, value)
            struct.pack_into("<I", out, place, target - place)
    return position


def _write_target(out: bytearray, value: Structs | str | list[Any] | dict[int, Any]) -> int:
    if isinstance(value, dict):
        return _write_table(out, value)
    # A vector's elements, after its length of four bytes, are aligned to eight.
    _pad(out, 8)
    out += bytes(4)
    place = len(out)
    if isinstance(value, str):
        text = value.encode()
        out += struct.pack("<I", len(text)) + text + b"\0"
    elif isinstance(value, Structs):
        out += struct.pack("<I", len(value.rows))
        for row in value.rows:
            out += struct.pack(f"<{value.form}", *row)
    else:
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for index, table in enumerate(value):
            slot = place + 4 + 4 * index
            target = _write_table(out, table)
            struct.pack_into("<I", out, slot, target - slot)
    return place


def _pad(out: bytearray, size: int) -> None:
    out += bytes(-len(out) % size)
