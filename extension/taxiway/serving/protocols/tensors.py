"""Tensors of the Open Inference Protocol: JSON data, and the bytes of its binary extension."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taxiway.serving.problems import Problem
from taxiway.serving.requests import values_of

_DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
#: A column's dtype → its name in the protocol.
DATATYPES: dict[str, str] = {
    "float64": "FP64",
    "float32": "FP32",
    "int64": "INT64",
    "int32": "INT32",
    "bool": "BOOL",
    "string": "BYTES",
}
_HINT = "See GET /v2/models/NAME for the inputs; shapes are [rows], [rows, 1] or [rows, columns]."


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor: its shape, and its values row by row, None where one is missing."""

    name: str
    shape: tuple[int, ...]
    values: list[Any]

    def columns(self) -> list[list[Any]]:
        """Give the columns of a tensor of shape (rows, columns)."""
        width = self.shape[1]
        return [self.values[place::width] for place in range(width)]


def read(data: Any, binary: memoryview, most: int) -> tuple[Tensor, int]:
    """Read one tensor.

    Parameters
    ----------
    data
        Its part of the request's JSON.
    binary
        What is left of the bytes behind the JSON.
    most
        The most values that it may have.

    Returns
    -------
    tensor, taken
        The tensor, and how many of the bytes were its.

    Raises
    ------
    Problem
        400 where shape, datatype and data do not go together, 413 where it is too large.
    """
    if type(data) is not dict or type(data.get("name")) is not str:
        raise Problem(400, "An input has no name.", hint=_HINT)
    name, shape, datatype = data["name"], data.get("shape"), data.get("datatype")
    if type(shape) is not list or not 1 <= len(shape) <= 2 or not all(_length(one) for one in shape):
        raise Problem(400, f"The shape of input {name!r} is not one that is taken.", hint=_HINT)
    if type(datatype) is not str or (datatype not in _DTYPES and datatype != "BYTES"):
        known = ", ".join((*_DTYPES, "BYTES"))
        raise Problem(400, f"Input {name!r} has no datatype that is known.", hint=f"Use one of {known}.")
    count = math.prod(shape)
    if count > most:
        raise Problem(
            413,
            f"Input {name!r} has {count:,} values; at most {most:,} are taken.",
            hint="Send the rows in several requests.",
        )
    parameters = data.get("parameters") or {}
    size = parameters.get("binary_data_size") if type(parameters) is dict else None
    if size is None:
        return Tensor(name, tuple(shape), _flat(name, data.get("data"), shape)), 0
    if "data" in data or not _length(size) or size > len(binary):
        raise Problem(
            400,
            f"The binary data of input {name!r} is not there in full.",
            hint="Send binary_data_size bytes for it behind the JSON, and no data.",
        )
    part = binary[:size]
    values = _texts(name, part, count) if datatype == "BYTES" else _numbers(name, part, datatype, count)
    return Tensor(name, tuple(shape), values), size


def to_bytes(values: Sequence[Any], dtype: str) -> bytes:
    """Write a column's values for the binary extension."""
    if dtype == "string":
        texts = [b"" if value is None else str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    missing: Any = math.nan if dtype.startswith("float") else 0
    form = np.dtype(_DTYPES[DATATYPES[dtype]])
    return np.array([missing if value is None else value for value in values], form).tobytes()


def _length(value: Any) -> bool:
    return type(value) is int and value >= 0


def _flat(name: str, data: Any, shape: list[int]) -> list[Any]:
    """Take JSON data, flat or nested as the shape is."""
    if type(data) is not list:
        raise Problem(400, f"Input {name!r} has no list of data.", hint=_HINT)
    if len(shape) == 2 and len(data) == shape[0] and all(type(row) is list for row in data):
        if any(len(row) != shape[1] for row in data):
            raise _unequal(name, shape)
        return [value for row in data for value in row]
    if len(data) != math.prod(shape):
        raise _unequal(name, shape)
    return data


def _numbers(name: str, part: memoryview, datatype: str, count: int) -> list[Any]:
    dtype = np.dtype(_DTYPES[datatype])
    if len(part) != count * dtype.itemsize:
        raise _unequal(name, [count])
    return values_of(np.frombuffer(part, dtype))


def _texts(name: str, part: memoryview, count: int) -> list[Any]:
    texts: list[Any] = []
    place = 0
    while place + 4 <= len(part) and len(texts) < count:
        end = place + 4 + struct.unpack_from("<I", part, place)[0]
        if end > len(part):
            break
        try:
            texts.append(str(part[place + 4 : end], "utf-8"))
        except UnicodeDecodeError:
            raise Problem(400, f"A text of input {name!r} is not UTF-8.", hint=_HINT) from None
        place = end
    if len(texts) != count or place != len(part):
        raise _unequal(name, [count])
    return texts


def _unequal(name: str, shape: list[int]) -> Problem:
    return Problem(400, f"The data of input {name!r} does not fill the shape {shape}.", hint=_HINT)
