"""The outputs of an ONNX graph made tensors of numbers, booleans or text, one row a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from taxiway.packaging.frameworks.graph import GraphProto, ModelProto
from taxiway.packaging.manifest import Scalar


def split(model: ModelProto, tensors: Sequence[str]) -> dict[str, str]:
    """Map the graph's outputs to ``tensors``, in order.

    Where several are to come from the last output (the probabilities of several labels, a sequence or an
    array of shape (labels, rows, classes)), each is made an output of its own.
    """
    outputs = [output.name for output in model.graph.output]
    several = [name for name in tensors if name.startswith("probabilities_")]
    if not several:
        return dict(zip(outputs, tensors, strict=False))
    for index, name in enumerate(several):
        _take(model.graph, outputs[1], index, name)
    return {outputs[0]: tensors[0], **{name: name for name in several}}


def _take(graph: GraphProto, source: str, index: int, name: str) -> None:
    from onnx import helper, numpy_helper

    [kind] = [output.type for output in graph.output if output.name == source]
    sequence = kind.HasField("sequence_type")
    tensor = kind.sequence_type.elem_type.tensor_type if sequence else kind.tensor_type
    position = f"{name}/position"
    graph.initializer.append(numpy_helper.from_array(np.array(index, dtype=np.int64), position))
    # without an axis, Gather takes the first
    graph.node.append(helper.make_node("SequenceAt" if sequence else "Gather", [source, position], [name]))
    graph.output.append(helper.make_tensor_value_info(name, tensor.elem_type, [None, None]))


def without_zipmaps(model: ModelProto) -> dict[str, tuple[str, list[Scalar]]]:
    """Take away the nodes that make a list of dictionaries out of probabilities.

    Returns
    -------
    dict
        What each such output was called → the output that stands for it, and the keys of the dictionaries.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    taken: dict[str, tuple[str, list[Scalar]]] = {}
    for node in [one for one in graph.node if one.op_type == "ZipMap"]:
        [source], [name] = node.input, node.output
        for output in [one for one in graph.output if one.name == name]:
            taken[name] = (source, classes_of(node))
            shape = [None, len(taken[name][1])]
            output.CopyFrom(helper.make_tensor_value_info(source, TensorProto.FLOAT, shape))
            graph.node.remove(node)
    return taken


def classes_of(node: Any) -> list[Scalar]:
    """Give the classes that a node of ``ai.onnx.ml`` names, if it does."""
    for attribute in node.attribute:
        if attribute.name.startswith("classlabels_"):
            return [*attribute.ints, *(text.decode() for text in attribute.strings)]
    return []


def relabel(model: ModelProto, label: str, classes: Sequence[Scalar]) -> None:
    """Let the output ``label``, the number of a class, be the class itself."""
    from onnx import helper, numpy_helper

    graph = model.graph
    kind = object if isinstance(classes[0], str) else None
    labels = numpy_helper.from_array(np.array(list(classes), dtype=kind), f"{label}/classes")
    for node in graph.node:
        node.output[:] = [f"{label}/number" if name == label else name for name in node.output]
        node.input[:] = [f"{label}/number" if name == label else name for name in node.input]
    graph.initializer.append(labels)
    graph.node.append(helper.make_node("Gather", [labels.name, f"{label}/number"], [label]))
    for output in graph.output:
        if output.name == label:
            output.CopyFrom(helper.make_tensor_value_info(label, labels.data_type, [None]))
    if not any(opset.domain == "" for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 13))
