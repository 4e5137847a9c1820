"""An ONNX graph made canonical: the same model gives the same bytes, in any process.

Converters name the values between nodes from counters and object ids; here every such name is
replaced by its position. Only the names of the graph's inputs and outputs mean something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

ModelProto: TypeAlias = Any  # onnx has types for its own use, but none for its submodules
GraphProto: TypeAlias = Any

#: ONNX's own operators, and those that every ONNX Runtime has besides.
DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft"))


def canonical(
    model: ModelProto, inputs: Sequence[str], outputs: Mapping[str, str], *, boolean: frozenset[str]
) -> bytes:
    """Name the graph's values as ``rename`` does, and serialise it.

    Parameters
    ----------
    boolean
        New names of the outputs that are cast to booleans.
    """
    rename(model, inputs, outputs)
    for name in sorted(boolean):
        _cast_to_boolean(model.graph, name)
    return serialised(model)


def serialised(model: ModelProto) -> bytes:
    """Give the bytes of a graph, always the same ones."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def rename(model: ModelProto, inputs: Sequence[str], outputs: Mapping[str, str]) -> dict[str, str]:
    """Name the graph's values by their places, and drop what else differs from run to run.

    Parameters
    ----------
    model
        The ModelProto, which is changed.
    inputs
        The names of the graph's inputs, in order; a converter may have made identifiers of them.
    outputs
        Old → new name of the outputs to keep.

    Returns
    -------
    dict
        What each value was called → its name.
    """
    graph = model.graph
    kept = [output for output in graph.output if output.name in outputs]
    del graph.output[:]
    graph.output.extend(sorted(kept, key=lambda output: list(outputs).index(output.name)))
    del graph.value_info[:]
    names = _names(graph, inputs, outputs)
    _rename(graph, names, [0])
    graph.initializer.sort(key=lambda tensor: str(tensor.name))
    model.opset_import.sort(key=lambda opset: str(opset.domain))
    graph.name, graph.doc_string, model.doc_string = "taxiway", "", ""
    return names


def _names(graph: GraphProto, inputs: Sequence[str], outputs: Mapping[str, str]) -> dict[str, str]:
    """Map each value's name to its canonical one, in the order in which the nodes use them."""
    names = {value.name: name for value, name in zip(graph.input, inputs, strict=True)}
    names.update(outputs)
    for name in _values(graph):
        if name and name not in names:
            names[name] = f"taxiway/{len(names)}"
    return names


def _values(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for inner in _subgraphs(node):
            yield from (value.name for value in inner.input)
            yield from _values(inner)
            yield from (value.name for value in inner.output)
        yield from node.output
    yield from (tensor.name for tensor in graph.initializer)


def _subgraphs(node: Any) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _rename(graph: GraphProto, names: Mapping[str, str], count: list[int]) -> None:
    for node in graph.node:
        node.name, node.doc_string = f"node/{count[0]}", ""
        count[0] += 1
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
        for inner in _subgraphs(node):
            inner.name = "inner"
            del inner.value_info[:]
            _rename(inner, names, count)
    for named in (*graph.input, *graph.output, *graph.initializer):
        named.name = names.get(named.name, named.name)


def _cast_to_boolean(graph: GraphProto, name: str) -> None:
    from onnx import TensorProto, helper

    raw = f"taxiway/raw/{name}"
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [raw if value == name else value for value in values]
    graph.node.append(helper.make_node("Cast", [raw], [name], name=f"node/cast/{name}", to=TensorProto.BOOL))
    for output in graph.output:
        if output.name == name:
            output.type.tensor_type.elem_type = TensorProto.BOOL


def foreign_domains(model: ModelProto) -> list[str]:
    """Name the domains of operators that neither ONNX Runtime nor the file itself has."""
    domains = {opset.domain for opset in model.opset_import}
    for graph in (model.graph, *model.functions):
        domains.update(node.domain for node in nodes(graph))
    return sorted(domains - DOMAINS - {function.domain for function in model.functions})


def outside(model: ModelProto) -> list[Any]:
    """Give the TensorProtos whose values lie in another file, which could be any file of this machine."""
    from onnx import TensorProto

    steps = [graph for step in model.training_info for graph in (step.initialization, step.algorithm)]
    graphs = (model.graph, *model.functions, *steps)
    tensors = (tensor for graph in graphs for tensor in _tensors(graph))
    return [tensor for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL]


def nodes(graph: Any) -> Iterator[Any]:
    """Give every node of a graph or function, and of the graphs inside it."""
    for node in graph.node:
        yield node
        for inner in _subgraphs(node):
            yield from nodes(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from getattr(graph, "initializer", ())
    sparse = list(getattr(graph, "sparse_initializer", ()))
    attributes = list(getattr(graph, "attribute_proto", ()))  # what a function's attributes are by default
    attributes += [attribute for node in graph.node for attribute in node.attribute]
    for attribute in attributes:
        yield from (attribute.t, *attribute.tensors)
        sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
        for part in (attribute.g, *attribute.graphs):
            yield from _tensors(part)
    for one in sparse:
        yield from (one.values, one.indices)
