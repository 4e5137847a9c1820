"""What the neural networks of every framework have in common.

Numbers come out of a network; what they mean is said by who packages it. For a classifier the labels and
probabilities are computed in the served file: by a softmax, or a sigmoid where there is one number for two
classes, unless the network ends with one itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision, dtype_name, safetensors_file
from taxiway.packaging.frameworks.graph import GraphProto, ModelProto, rename, serialised
from taxiway.packaging.manifest import OutputColumn, Scalar, Task
from taxiway.signature import Output

Raw: TypeAlias = "np.ndarray[Any, Any]"
#: ``independent`` are logits each of which says for itself how probable its class is.
Ending = Literal["numbers", "logits", "independent", "probabilities"]

_CLOSE = 1e-3


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a network is for, as the caller of ``package`` said; a regression if nothing was said."""

    task: Task
    classes: tuple[Scalar, ...] | None
    said: bool

    @classmethod
    def of(cls, options: Options) -> Purpose:
        """Read it from the options.

        Raises
        ------
        PackagingError
            The task is not one for networks, or the classes are missing or not told apart.
        """
        task: Task = options.task or ("classification" if options.classes is not None else "regression")
        if task == "regression":
            return cls(task, None, options.task is not None)
        if task != "classification":
            raise PackagingError(
                f"A neural network cannot be packaged for {task}.",
                hint="Say task='regression', or task='classification' with classes=[...].",
            )
        classes = options.classes or ()
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise PackagingError(
                "A classifier needs the names of at least two classes, each once.",
                hint="Pass classes=[...] in the order of the network's outputs.",
            )
        if len({type(value) for value in classes}) > 1 or not isinstance(classes[0], (str, int, float)):
            raise PackagingError(
                f"The classes are not all text, or all numbers: {list(classes[:3])}.",
                hint="Pass them as one kind of value.",
            )
        return cls(task, classes, True)


@dataclass(frozen=True, slots=True)
class Head:
    """What the raw numbers of shape (rows, width) mean.

    Parameters
    ----------
    classes
        Of a classifier; None for a regression.
    ending
        What comes out of the network itself.
    number
        What the numbers of a model without classes are called.
    """

    classes: tuple[Scalar, ...] | None
    width: int
    ending: Ending
    number: str = "prediction"

    @classmethod
    def of(cls, raw: Raw, rows: int, purpose: Purpose, *, linear: bool) -> Head:
        """Look at the raw numbers that came out for the reference.

        Parameters
        ----------
        raw, rows
            The numbers, for as many rows.
        linear
            Whether the network ends with a linear layer, whose numbers are logits even if all of them lie
            between 0 and 1.

        Raises
        ------
        PackagingError
            They are not one number or one list of numbers a row, or do not fit the classes.
        """
        if raw.ndim not in (1, 2) or len(raw) != rows or raw.dtype.kind not in "fiub":
            raise PackagingError(
                f"The network answers {rows} rows with an array of shape {raw.shape} and dtype {raw.dtype}.",
                hint="Package a network that gives one number, or one list of numbers, for each row.",
            )
        wide = raw.reshape(rows, -1).astype(np.float64)
        width = wide.shape[1]
        if purpose.classes is None:
            if not purpose.said and width > 1 and _distributions(wide):
                raise PackagingError(
                    f"The network's {width} outputs look like the probabilities of classes.",
                    hint="Say task='classification' and classes=[...], or task='regression' if they are not.",
                )
            return cls(None, width, "numbers")
        expected = 1 if len(purpose.classes) == 2 and width == 1 else len(purpose.classes)
        if width != expected:
            raise PackagingError(
                f"The network has {width} outputs, but there are {len(purpose.classes)} classes.",
                hint="Pass classes=[...] in the order of the network's outputs.",
            )
        probable = not linear and bool(((wide >= 0) & (wide <= 1)).all()) if width == 1 else None
        ended = _distributions(wide) if probable is None else probable
        return cls(purpose.classes, width, "probabilities" if ended else "logits")

    def answers(self, raw: Raw) -> Answers:
        """Flatten the raw numbers into output columns."""
        wide = raw.reshape(len(raw), -1)
        if self.classes is None:
            return {name: wide[:, index] for index, name in enumerate(self._names)}
        wide = wide.astype(np.float64)
        if self.ending in ("logits", "independent"):
            several = self.ending == "logits" and self.width > 1
            wide = _softmax(wide) if several else _sigmoid(wide)
        if self.width == 1:
            wide = np.concatenate([1 - wide, wide], axis=1)
        answers: Answers = {"label": self.labels[wide.argmax(axis=1)]}
        return answers | {name: wide[:, index] for index, name in enumerate(self._names)}

    @property
    def labels(self) -> np.ndarray[Any, Any]:
        """The classes as an array."""
        values = np.array(self.classes)
        return values.astype(object) if values.dtype.kind == "U" else values

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """Which tensor, or column of a tensor, each output column is read from."""
        if self.classes is None and self.width == 1:
            return (OutputColumn(self.number, self.number, None),)
        tensor = self.number if self.classes is None else "probabilities"
        wide = tuple(OutputColumn(name, tensor, index) for index, name in enumerate(self._names))
        return wide if self.classes is None else (OutputColumn("label", "label", None), *wide)

    def outputs(self, dtypes: Mapping[str, np.dtype[Any]]) -> tuple[Output, ...]:
        """Give the signature's outputs, whose tensors are of these dtypes."""
        return tuple(Output(column.name, dtype_name(dtypes[column.tensor])) for column in self.columns)

    @property
    def _names(self) -> tuple[str, ...]:
        if self.classes is not None:
            return tuple(f"probability_{value}" for value in self.classes)
        return (self.number,) if self.width == 1 else tuple(f"{self.number}_{i}" for i in range(self.width))


def write_onnx(
    model: ModelProto,
    head: Head,
    inputs: Sequence[str],
    folder: Path,
    precision: Precision,
    *,
    shape: tuple[int, ...] | None = None,
    weights: Collection[str] = (),
) -> Export:
    """Put the head onto a graph with one output, make the graph canonical, and write ``model.onnx``.

    Parameters
    ----------
    model
        The ModelProto, which is changed.
    inputs
        The names that its inputs get, in order.
    shape
        The shape of a row of the only input, if it is to be given flat.
    weights
        What the model's own weights are called, which go to ``weights.safetensors``; all are kept within
        ``model.onnx`` if none are named.
    """
    from taxiway.serving.engines.onnx import FILE, OnnxEngine

    _forget_origin(model)
    if shape is not None:
        _flatten_input(model.graph, shape)
    raw = model.graph.output[0].name
    outputs = {raw: head.number} if head.classes is None else _classify(model.graph, raw, head)
    names = rename(model, inputs, outputs)
    if weights:
        own = {name: given for given, name in names.items() if given in weights}
        safetensors_file.write(safetensors_file.weights_of(model.graph, own), folder)
    (folder / FILE).write_bytes(serialised(model))
    dtypes = OnnxEngine(folder, {}, 1).outputs
    return Export(folder, "onnx", head.columns, head.outputs(dtypes), precision)


def _classify(graph: GraphProto, raw: str, head: Head) -> dict[str, str]:
    """Add the nodes that make probabilities and labels of the raw output."""
    from onnx import helper, numpy_helper

    kind = graph.output[0].type.tensor_type.elem_type
    reals = helper.tensor_dtype_to_np_dtype(kind)

    def constant(name: str, values: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), f"head/{name}"))
        return f"head/{name}"

    def node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    value = node("Reshape", [raw, constant("shape", np.array([-1, head.width]))], "head/wide")
    if head.ending == "logits" and head.width > 1:
        value = node("Softmax", [value], "head/softmax", axis=1)
    elif head.ending in ("logits", "independent"):
        value = node("Sigmoid", [value], "head/sigmoid")
    if head.width == 1:
        other = node("Sub", [constant("one", np.ones((), dtype=reals)), value], "head/other")
        value = node("Concat", [other, value], "head/both", axis=1)
    node("Identity", [value], "head/probabilities")
    best = node("ArgMax", [value], "head/best", axis=1, keepdims=0)
    node("Gather", [constant("classes", head.labels), best], "head/label", axis=0)
    del graph.output[:]
    labels = helper.np_dtype_to_tensor_dtype(head.labels.dtype)
    graph.output.append(helper.make_tensor_value_info("head/label", labels, ["rows"]))
    width = len(head.classes or ())
    graph.output.append(helper.make_tensor_value_info("head/probabilities", kind, ["rows", width]))
    return {"head/label": "label", "head/probabilities": "probabilities"}


def _flatten_input(graph: GraphProto, shape: tuple[int, ...]) -> None:
    """Let the only input be of shape (rows, columns), and reshape it to (rows, *shape)."""
    from onnx import helper, numpy_helper

    [given] = graph.input
    kind, name = given.type.tensor_type.elem_type, given.name
    flat = helper.make_tensor_value_info("flat", kind, ["rows", int(np.prod(shape))])
    graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape], dtype=np.int64), "flat/shape"))
    nodes = [helper.make_node("Reshape", ["flat", "flat/shape"], [name]), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.append(flat)


def _forget_origin(model: ModelProto) -> None:
    """Drop what tells of the machine and the source (paths, lines of code), and counted names of sizes."""
    model.ClearField("metadata_props")
    graph = model.graph
    graph.ClearField("metadata_props")
    for value in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        value.ClearField("metadata_props")
        value.doc_string = ""
    for value in (*graph.input, *graph.output):
        for index, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.HasField("dim_param"):
                dimension.Clear()
                if index == 0:
                    dimension.dim_param = "rows"


def _distributions(wide: Raw) -> bool:
    """Whether each row is one of probabilities that sum to 1."""
    return bool((wide >= 0).all() and (np.abs(wide.sum(axis=1) - 1) < _CLOSE).all())


def _sigmoid(values: Raw) -> Raw:
    result: Raw = np.exp(-np.logaddexp(0, -values))
    return result


def _softmax(values: Raw) -> Raw:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    result: Raw = powers / powers.sum(axis=1, keepdims=True)
    return result
