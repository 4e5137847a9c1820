"""``weights.safetensors``: the weights of an ONNX graph in a file that any safetensors reader opens.

The tensors of ``model.onnx`` name that file, an offset and a length, and ONNX Runtime reads the bytes there.
It would as well read any file that a tensor names, and memory of this process where older releases are told
an address. So a graph is read first, by the few fields in which a tensor can lie (``onnx.proto``), and
refused if one of its tensors refers to anything but a tensor of that file beside it.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import orjson

from taxiway.serving.engines import EngineError

FILE = "weights.safetensors"

#: Message of onnx.proto → its fields that hold a tensor, or a message that can hold one → which it is.
HOLDS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "AttributeProto": {
        **{5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto"},
        **{22: "SparseTensorProto", 23: "SparseTensorProto"},
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
#: The field of a TensorProto that says where else its values lie: entries of a key (1) and a value (2).
EXTERNAL_DATA = 13

#: The key without which nothing can be named; most graphs have none.
_KEY = b"location"
_LONGEST_HEADER = 64 * 2**20
_DEEPEST = 64
_NUMBER = re.compile(rb"0|[1-9]\d{0,17}")
_Entry: TypeAlias = dict[bytes, bytes]


def check(graph: Path) -> int:
    """See that a graph refers to nothing but tensors of the ``weights.safetensors`` beside it.

    Parameters
    ----------
    graph
        The path of ``model.onnx``.

    Returns
    -------
    int
        The bytes that are to be loaded: of the graph, and of the weights if it refers to any.

    Raises
    ------
    EngineError
        It cannot be read, or refers to something else: another file, or bytes that are no tensor there.
    """
    try:
        with graph.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            entries = _entries(file.fileno()) if size else []
    except OSError as error:
        raise EngineError(f"{graph.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise EngineError(f"{graph.name} cannot be loaded: {error}") from error
    if not entries:
        return size
    for entry in entries:
        location = entry.get(b"location", b"")
        if location != FILE.encode():
            shown = location.decode(errors="replace")[:100]
            raise EngineError(f"{graph.name} has weights in {shown!r}, and may have them in {FILE} alone")
    known = set(places(graph.with_name(FILE)).values())
    for entry in entries:
        place = tuple(entry.get(key, b"") for key in (b"offset", b"length"))
        if not all(map(_NUMBER.fullmatch, place)) or tuple(map(int, place)) not in known:
            raise EngineError(f"{graph.name} reads bytes of {FILE} that are no tensor there")
    return size + graph.with_name(FILE).stat().st_size


def places(path: Path) -> dict[str, tuple[int, int]]:
    """Give where each tensor of a safetensors file lies: name → offset in the file and length, in bytes.

    The format is eight bytes with the length of a header, the header as JSON, and the data; see the
    description in the README of huggingface/safetensors.

    Raises
    ------
    EngineError
        It is no such file, a link, or says of a tensor that it lies beyond the end.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            length = int.from_bytes(file.read(8), "little") if stat.S_ISREG(found.st_mode) else -1
            if not 0 < length <= min(found.st_size - 8, _LONGEST_HEADER):
                raise EngineError(f"{path.name} is no safetensors file")
            header = orjson.loads(file.read(length))
        start, left = 8 + length, found.st_size - 8 - length
        header.pop("__metadata__", None)
        ends = {name: tuple(said["data_offsets"]) for name, said in header.items()}
        if any(not 0 <= begin <= end <= left for begin, end in ends.values()):
            raise EngineError(f"{path.name} has a tensor that lies beyond its end")
        return {str(name): (start + begin, end - begin) for name, (begin, end) in ends.items()}
    except OSError as error:
        raise EngineError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EngineError(f"{path.name} is no safetensors file") from error


def _entries(descriptor: int) -> list[_Entry]:
    """Give what each tensor of a graph says of where its values lie, of those that say anything."""
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        if data.find(_KEY) < 0:
            return []
        return list(_outside(data, 0, len(data), "ModelProto", 0))


def _outside(data: mmap.mmap, at: int, end: int, kind: str, depth: int) -> Iterator[_Entry]:
    if depth > _DEEPEST:
        raise ValueError("its messages lie too deep in each other")
    if kind == "TensorProto":
        entries = [part for field, *part in _fields(data, at, end) if field == EXTERNAL_DATA]
        if entries:
            yield _read(data, entries)
        return
    # A column may be called so. Attributes hold a forest's numbers, each of which is a field of its own; they
    # are repeated, and so never put together of parts, of which another one would have the key.
    if kind == "AttributeProto" and data.find(_KEY, at, end) < 0:
        return
    holds = HOLDS[kind]
    for field, begin, stop in _fields(data, at, end):
        if field in holds:
            yield from _outside(data, begin, stop, holds[field], depth + 1)


def _read(data: mmap.mmap, entries: list[list[int]]) -> _Entry:
    read: _Entry = {}
    for begin, stop in entries:
        parts = [(field, data[first:last]) for field, first, last in _fields(data, begin, stop)]
        if sorted(field for field, _ in parts) != [1, 2]:
            raise ValueError("a place is not a key and a value")
        key, value = (text for _, text in sorted(parts))
        if key in read:
            raise ValueError("a tensor lies in two places")
        read[key] = value
    return read


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Give the fields of a message whose value is bytes: number, and where the value begins and ends.

    See "Encoding" of the documentation of Protocol Buffers; groups, which ONNX has none of, are refused.
    """
    while at < end:
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if tag >> 32 or tag < 8:
            raise ValueError("it has a field of no number")
        if kind == 2:
            size, at = _varint(data, at, end)
            if size > end - at:
                raise ValueError("a field is longer than what holds it")
            yield tag >> 3, at, at + size
            at += size
        elif kind == 0:
            _, at = _varint(data, at, end)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("it has a group")
    if at > end:
        raise ValueError("a field is longer than what holds it")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise ValueError("a number does not end")
