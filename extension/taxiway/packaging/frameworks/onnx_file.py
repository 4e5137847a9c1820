"""An ONNX model as it is: a file, or an ``onnx.ModelProto``.

Nothing of the graph is changed but its ZipMap nodes, whose dictionaries no table holds. Weights that lie in
files beside it are put into one of safetensors. The original whose answers are compared is ONNX Runtime on
the file as it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision, safetensors_file
from taxiway.packaging.frameworks import answers as named
from taxiway.packaging.frameworks.arrays import values_of
from taxiway.packaging.frameworks.graph import ModelProto, foreign_domains, outside, serialised
from taxiway.packaging.frameworks.graph_outputs import classes_of, relabel, without_zipmaps
from taxiway.packaging.manifest import Scalar, Task
from taxiway.serving.engines.onnx import DTYPES
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

_FEW = 5_000


class OnnxFileAdapter:
    """A graph with one input per column, or one input of shape (rows, columns).

    With two outputs, the labels and a number per class, it is a classifier; with one, a regression, unless
    ``task`` and ``classes`` say that it gives the probability of each class.

    Raises
    ------
    PackagingError
        It is no such graph, keeps weights in files that are not beside it, or has operators of its own.
    """

    framework = "onnx"
    columns: tuple[str, ...] | None
    width: int | None

    def __init__(self, model: Path | ModelProto, options: Options) -> None:
        if options.format not in (None, "onnx"):
            raise PackagingError(
                f"An ONNX model is packaged as ONNX, not as {options.format}.", hint="Leave format out."
            )
        self._data = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
        path = model if isinstance(model, Path) else None
        proto, self._apart = _parsed(self._data, path)
        _check_operators(proto)
        self._original = _opened(str(path) if self._apart else self._data)
        self._inputs = {one.name: _input_dtype(one) for one in self._original.get_inputs()}
        self._read_inputs()
        wide = any(dtype == np.float64 for dtype in self._inputs.values())
        self.precisions: tuple[Precision, ...] = ("float64",) if wide else ("float32",)
        self._given = [output.name for output in self._original.get_outputs()]
        self._zipped = without_zipmaps(proto)
        self._settle(proto, options)
        self._proto = proto if self._zipped or self._argmax or self._apart else None

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write ``model.onnx``; see ``Adapter``."""
        del reference
        named.check_inputs(columns, self._names)
        safetensors_file.write(self._apart, folder)
        data = self._data if self._proto is None else serialised(self._proto)
        return named.onnx_export(folder, data, self._names, precision)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask ONNX Runtime for the answers of the file as it was given; see ``Adapter``."""
        parts = [self._ask(frame.iloc[start : start + _FEW]) for start in range(0, len(frame), _FEW)]
        tensors = {name: np.concatenate([part[name] for part in parts]) for name in self._names}
        return named.flat(self._names, tensors)

    def seeds(self) -> dict[str, int | str | None]:
        """Give none: a graph draws no random numbers; see ``Adapter``."""
        return {}

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        return frozenset({"onnxruntime"})

    def _ask(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        if self.columns is None:
            [(name, dtype)] = self._inputs.items()
            feed = {name: np.stack([values_of(frame[one], dtype) for one in frame.columns], axis=1)}
        else:
            feed = {name: values_of(frame[name], dtype)[:, None] for name, dtype in self._inputs.items()}
        tensors = {}
        for name, values in zip(self._given, self._original.run(self._given, feed), strict=True):
            if name in self._zipped:
                source, keys = self._zipped[name]
                tensors[source] = np.array([[row[key] for key in keys] for row in values])
            else:
                tensors[name] = values
        if self._argmax:
            best = tensors[self._argmax].argmax(axis=1)
            tensors["label"] = np.array(self.classes, dtype=object)[best]
        return tensors

    def _read_inputs(self) -> None:
        shapes = {one.name: one.shape for one in self._original.get_inputs()}
        for name, shape in shapes.items():
            if len(shape) != 2:
                raise PackagingError(
                    f"The input {name!r} has the shape {shape}; a table has rows and columns.",
                    hint="Export it with one input of shape (rows, columns), or one of (rows, 1) per column.",
                )
            if isinstance(shape[0], int):
                raise PackagingError(
                    f"The input {name!r} takes exactly {shape[0]} rows at once.",
                    hint="Export it with a dynamic first axis.",
                )
        widths = [shape[1] for shape in shapes.values()]
        if len(widths) == 1 and widths[0] != 1:
            self.columns, self.width = None, widths[0] if isinstance(widths[0], int) else None
            return
        if any(width != 1 for width in widths):
            raise PackagingError(
                f"The model has {len(widths)} inputs of which some hold several columns.",
                hint="Export it with one input of shape (rows, columns), or one of (rows, 1) per column.",
            )
        self.columns, self.width = tuple(shapes), len(shapes)

    def _settle(self, proto: ModelProto, options: Options) -> None:
        """Say what the outputs are."""
        outputs = {one.name: one.type.tensor_type for one in proto.graph.output}
        self._argmax = ""
        self.classes: tuple[Scalar, ...] | None = None
        names = list(outputs)
        floats = [name for name, kind in outputs.items() if kind.elem_type in (1, 11)]  # FLOAT, DOUBLE
        if len(names) == 2 and floats == names[1:] and options.task in (None, "classification"):
            self.task: Task = "classification"
            self.classes = self._classes(proto, outputs[names[1]], options)
            self._names = {names[0]: ["label"], names[1]: [f"probability_{one}" for one in self.classes]}
        elif len(names) == 2 and floats == names[1:] and options.task == "outliers":
            self.task = "outliers"
            self._names = {names[0]: ["label"], names[1]: ["score"]}
        elif len(names) == 1 and options.task in ("classification", "clustering") and not floats:
            self.task = options.task
            self.classes = options.classes
            self._names = {names[0]: ["label"]}
        elif floats == names and len(names) == 1 and (options.task == "classification" or options.classes):
            self.task = "classification"
            self._argmax = names[0]
            self.classes = self._classes(proto, outputs[names[0]], options)
            self._add_label(proto)
        elif floats == names and len(names) == 1 and options.task in (None, "regression"):
            self.task = "regression"
            self._names = {names[0]: named.of_numbers(_width(outputs[names[0]]) or 1)["prediction"]}
        else:
            raise PackagingError(
                f"What the outputs {', '.join(names)} mean is not clear.",
                hint="Export a classifier with its labels and a probability per class, any other model with "
                "one output; or say what it is: task='classification', classes=[...].",
            )

    def _classes(self, proto: ModelProto, kind: Any, options: Options) -> tuple[Scalar, ...]:
        width = _width(kind)
        found: Sequence[Scalar] = options.classes or next((keys for _, keys in self._zipped.values()), [])
        if not found:
            found = next((known for node in proto.graph.node if (known := classes_of(node))), [])
        if not found and width is not None and not self._argmax:
            found = range(width)
        if not found or (width is not None and len(found) != width):
            count = f"{width} " if width is not None else ""
            raise PackagingError(
                f"Which class each of the {count}probabilities belongs to is not clear.",
                hint="Name them in order: classes=[...]; of a binary classifier, export both probabilities.",
            )
        return tuple(found)

    def _add_label(self, proto: ModelProto) -> None:
        """Let the graph say which class is the most probable."""
        from onnx import TensorProto, helper

        graph = proto.graph
        graph.node.append(helper.make_node("ArgMax", [self._argmax], ["label"], axis=1, keepdims=0))
        graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, [None]))
        relabel(proto, "label", self.classes or ())
        probabilities = [f"probability_{value}" for value in self.classes or ()]
        self._names = {"label": ["label"], self._argmax: probabilities}


def _parsed(data: bytes, path: Path | None) -> tuple[ModelProto, dict[str, safetensors_file.Apart]]:
    """Read a graph, and find the weights that lie in files beside its own."""
    import onnx

    try:
        model = onnx.load_from_string(data)
        apart = {} if path is None else safetensors_file.weights_beside(model, path)
        if path is None and outside(model):
            raise PackagingError(
                "The weights of the graph lie in another file.",
                hint="Give the path of the file that refers to it, not what was loaded from there.",
            )
        onnx.checker.check_model(str(path) if apart else model)
    except PackagingError:
        raise
    except Exception as error:
        # protobuf and onnx raise many unrelated classes, each of which means the same here.
        reason = str(error).strip().partition("\n")[0][:200]
        raise PackagingError(f"This is no ONNX model: {reason}.", hint="Export the model again.") from error
    return model, apart


def _check_operators(model: ModelProto) -> None:
    for domain in foreign_domains(model):
        raise PackagingError(
            f"The model has operators of the domain {domain!r}, which ONNX Runtime has not got.",
            hint="Export it with standard operators only.",
        )


def _opened(given: bytes | str) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # what it would print is in what it raises
    try:
        return onnxruntime.InferenceSession(given, settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime raises many unrelated classes, each of which means the same here.
        raise PackagingError(
            f"ONNX Runtime cannot load the model: {str(error).strip().partition(chr(10))[0][:300]}",
            hint="Export it for an opset that this release knows.",
        ) from error


def _input_dtype(value: Any) -> np.dtype[Any]:
    if value.type not in DTYPES:
        raise PackagingError(
            f"The input {value.name!r} is a {value.type}, which no column of a table is.",
            hint="Export it with inputs of numbers, booleans or texts.",
        )
    return DTYPES[value.type]


def _width(kind: Any) -> int | None:
    dimensions = kind.shape.dim
    if len(dimensions) < 2:
        return 1 if len(dimensions) == 1 else None
    return int(dimensions[1].dim_value) or None
