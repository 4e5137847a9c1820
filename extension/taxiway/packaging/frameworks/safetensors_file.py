"""Weights of an ONNX graph in ``weights.safetensors`` beside it, which knows no limit of two gigabytes.

A graph of its own holds no more than protocol buffers do; safetensors are numbers and nothing else, which
readers of many languages open. A file of others that keeps its weights outside is written so, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks.extras import need
from taxiway.packaging.frameworks.graph import GraphProto, ModelProto, outside
from taxiway.serving.engines import weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

TensorProto: TypeAlias = Any

#: What both ONNX and safetensors, and NumPy between them, have.
_KINDS = {"bool", "float16", "float32", "float64"}
_KINDS |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
#: Bytes from which a number that is no weight is put with them; a smaller one may be a shape.
_LARGE = 1024
_SAVED = "onnx.save_model(model, path, save_as_external_data=True, location='weights.bin')"


@dataclass(frozen=True, slots=True)
class Apart:
    """A tensor of a graph, and its values."""

    tensor: TensorProto
    values: NDArray[Any]


def weights_of(graph: GraphProto, names: Mapping[str, str]) -> dict[str, Apart]:
    """Choose the tensors of a graph that are written beside it.

    Parameters
    ----------
    graph
        The GraphProto.
    names
        Name in the graph of each of the model's own weights → what its author calls it. A step after it may
        have become part of it, as a BatchNorm of a convolution.

    Returns
    -------
    dict
        Name in the file → the weights, and whatever else is large, under its name in the graph.
    """
    from onnx import numpy_helper

    chosen = {}
    for tensor in graph.initializer:
        if _kind(tensor) is None:
            continue
        values = numpy_helper.to_array(tensor)
        if values.nbytes and (tensor.name in names or values.nbytes >= _LARGE):
            chosen[names.get(tensor.name, str(tensor.name))] = Apart(tensor, values)
    return chosen


def weights_beside(model: ModelProto, path: Path) -> dict[str, Apart]:
    """Find the weights that an ONNX file of others keeps in files beside it.

    Parameters
    ----------
    model
        The ModelProto, loaded without them.
    path
        Where it was loaded from.

    Returns
    -------
    dict
        Name → the tensor and its values, which are not read yet; empty if the file is whole.

    Raises
    ------
    PackagingError
        One lies elsewhere than in a plain file of the same folder, or beyond its end; or has no name of its
        own, or values that safetensors have not got.
    """
    found: dict[str, Apart] = {}
    for tensor in outside(model):
        said = {entry.key: entry.value for entry in tensor.external_data}
        name, location, kind = str(tensor.name), said.get("location", ""), _kind(tensor)
        file = path.parent / location
        if Path(location).name != location or file.is_symlink() or not file.is_file():
            raise PackagingError(
                f"The weights {name!r} lie in {location!r}, which is no file beside {path.name}.",
                hint=f"Save it with its weights beside it: {_SAVED}.",
            )
        if kind is None or not name or name in found:
            raise PackagingError(
                f"The weights {name!r}, of type {tensor.data_type}, cannot be taken over from {location!r}.",
                hint="Export it with weights of 16, 32 or 64 bits, each with a name of its own.",
            )
        shape = tuple(int(size) for size in tensor.dims)
        length = math.prod(shape) * kind.itemsize
        start, told = (said.get(key, default) for key, default in (("offset", "0"), ("length", str(length))))
        if not start.isdecimal() or told != str(length) or int(start) + length > file.stat().st_size:
            raise PackagingError(
                f"The weights {name!r} do not lie where {path.name} says: byte {start} of {location!r}.",
                hint="Export the model again.",
            )
        found[name] = Apart(
            tensor, np.memmap(file, kind, "r", int(start), shape) if length else np.empty(shape, kind)
        )
    return found


def write(apart: Mapping[str, Apart], folder: Path) -> None:
    """Write tensors to ``weights.safetensors``, and let those of the graph refer to it.

    Parameters
    ----------
    apart
        Name in the file → tensor, which loses its own values. Nothing is written if there are none.
    folder
        Where ``model.onnx`` will lie.

    Raises
    ------
    PackagingError
        The package safetensors is not installed.
    """
    from onnx import TensorProto

    if not apart:
        return
    path = folder / weights.FILE
    need("safetensors.numpy").save_file({name: one.values for name, one in apart.items()}, path)
    places = weights.places(path)
    for name, one in apart.items():
        for field in ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data"):
            one.tensor.ClearField(field)
        one.tensor.data_location = TensorProto.EXTERNAL
        del one.tensor.external_data[:]
        offset, length = places[name]
        for key, value in (("location", weights.FILE), ("offset", str(offset)), ("length", str(length))):
            one.tensor.external_data.add(key=key, value=value)


def _kind(tensor: TensorProto) -> np.dtype[Any] | None:
    """Give the dtype of a tensor, if safetensors have it."""
    from onnx import helper

    kind: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return kind if kind.name in _KINDS else None
