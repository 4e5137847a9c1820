"""Keras and TensorFlow: saved as a SavedModel, or as ONNX where that is asked for.

A model takes all columns as one tensor of shape (rows, columns), or one tensor of shape (rows, 1) per column
if it has an input of each column's name; text goes to inputs of text. It gives one tensor of shape (rows,)
or (rows, n).

For ``task="classification"`` the original's answers are what it gives, through the same softmax or sigmoid
that the saved file ends with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging import seeds
from taxiway.packaging.frameworks import Answers, Export, Options, Precision
from taxiway.packaging.frameworks.arrays import shape_of
from taxiway.packaging.frameworks.keras_files import to_onnx, to_savedmodel
from taxiway.packaging.frameworks.neural import Head, Purpose, write_onnx
from taxiway.packaging.manifest import Scalar, Task
from taxiway.serving.engines import EngineError
from taxiway.serving.engines.savedmodel import SIGNATURE, check
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 1_000
_UNKNOWN = (None, None)


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its name, its dtype, and its shape with the rows."""

    name: str
    dtype: Any
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """What can be called with one tensor per input, in order."""

    call: Callable[..., Any]
    inputs: tuple[Input, ...]
    tracked: Any
    linear: bool


class KerasAdapter:
    """A trained ``keras.Model``, a ``tf.Module`` that can be called, or the folder of a SavedModel.

    Raises
    ------
    PackagingError
        It is not built, is not run by TensorFlow, or its graph could touch files, processes or Python.
    """

    def __init__(self, model: Any, options: Options) -> None:
        import tensorflow as tf

        if options.format not in (None, "savedmodel", "onnx"):
            raise PackagingError(
                f"TensorFlow has no {options.format} files.", hint="Say format='savedmodel' or 'onnx'."
            )
        purpose = Purpose.of(options)
        self.task: Task = purpose.task
        self.classes: tuple[Scalar, ...] | None = purpose.classes
        self._purpose = purpose
        self._onnx = options.format == "onnx"
        self._model = model
        self.framework = "keras" if _is_keras(model) else "tensorflow"
        self._network = _network(model)
        inputs = self._network.inputs
        self.columns = tuple(one.name for one in inputs) if len(inputs) > 1 else None
        self.width = None if self.columns else _width(inputs[0].shape)
        for one in inputs if self.columns else ():
            if _width(one.shape) != 1:
                raise PackagingError(
                    f"The input {one.name!r} takes {one.shape} beside other inputs.",
                    hint="Build the model with one input per column, or with one input for all of them.",
                )
        double = any(one.dtype == tf.float64 for one in inputs)
        self.precisions: tuple[Precision, ...] = ("float64",) if double else ("float32",)
        self._head: Head | None = None

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write the SavedModel or the ONNX file; see ``Adapter``."""
        if self._head is None:
            self.answers(reference.head(_ROWS_AT_ONCE))
        assert self._head is not None
        names = [column.name for column in columns] if self.columns is None else list(self.columns)
        specs, served = self._specs(names), self._served(names)
        if self._onnx:
            proto = to_onnx(served, specs, self._kind)
            inputs = ["inputs"] if self.columns is None else self.columns
            return write_onnx(proto, self._head, inputs, folder, precision)
        return to_savedmodel(
            served,
            self._network.tracked,
            specs,
            self._head,
            folder,
            precision,
            inputs=dict(zip(names, (spec.name for spec in specs), strict=True)) if self.columns else {},
        )

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the original; see ``Adapter``."""
        served = self._served(list(frame.columns))
        parts = []
        for start in range(0, len(frame), _ROWS_AT_ONCE):
            result = served(*self._tensors(frame.iloc[start : start + _ROWS_AT_ONCE]))
            if not hasattr(result, "numpy"):
                raise PackagingError(
                    f"The {self._kind} gives a {type(result).__name__}, not one tensor.",
                    hint="Package a model with one output.",
                )
            parts.append(np.asarray(result.numpy()))
        raw = np.concatenate(parts)
        if self._head is None:
            self._head = Head.of(raw, len(frame), self._purpose, linear=self._network.linear)
        return self._head.answers(raw)

    def seeds(self) -> dict[str, int | str | None]:
        """Give the seed that Keras or TensorFlow was given; see ``Adapter``."""
        return {"tensorflow": seeds.tensorflow()}

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        layers = getattr(self._model, "_flatten_layers", None)
        parts = [self._model, *(layers() if layers is not None else ())]
        own = {type(part).__module__ for part in parts if not isinstance(part, Path)}
        return frozenset(own | {"tensorflow"})

    @property
    def _kind(self) -> str:
        return "SavedModel" if isinstance(self._model, Path) else type(self._model).__name__

    def _served(self, names: Sequence[str]) -> Callable[..., Any]:
        """Give what is called with tensors as they are served: (rows, columns), or (rows, 1) each."""
        import tensorflow as tf

        inputs = self._network.inputs
        shapes = [
            one.shape[1:] if one.shape != _UNKNOWN else shape_of(names) or (len(names),) for one in inputs
        ]

        def served(*tensors: Any) -> Any:
            return self._network.call(
                *(
                    tensor if len(shape) == 1 else tf.reshape(tensor, (-1, *shape))
                    for tensor, shape in zip(tensors, shapes, strict=True)
                )
            )

        return served

    def _specs(self, names: Sequence[str]) -> list[Any]:
        import tensorflow as tf

        inputs = self._network.inputs
        if self.columns is None:
            return [tf.TensorSpec((None, len(names)), inputs[0].dtype, name="inputs")]
        return [
            tf.TensorSpec((None, 1), one.dtype, name=f"column_{index}") for index, one in enumerate(inputs)
        ]

    def _tensors(self, frame: pd.DataFrame) -> list[Any]:
        import tensorflow as tf

        groups = [list(frame.columns)] if self.columns is None else [[name] for name in self.columns]
        return [
            tf.constant(_values(frame[names], one.dtype), dtype=one.dtype)
            for names, one in zip(groups, self._network.inputs, strict=True)
        ]


def _network(model: Any) -> Network:
    import tensorflow as tf

    if isinstance(model, Path):
        return _saved(model)
    if _is_keras(model):
        return _of_keras(model)
    if isinstance(model, tf.Module) and callable(model):
        reals = [one.dtype for one in model.variables if one.dtype.is_floating]
        given = Input("inputs", reals[0] if reals else tf.float32, _UNKNOWN)
        return Network(model, (given,), model, linear=False)
    raise PackagingError(
        f"A {type(model).__name__} of TensorFlow cannot be packaged.",
        hint="Pass a keras.Model, a tf.Module with a __call__, or the folder of a SavedModel.",
    )


def _is_keras(model: Any) -> bool:
    import keras

    return isinstance(model, keras.Layer)


def _of_keras(model: Any) -> Network:
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise PackagingError(
            f"Keras runs on {keras.backend.backend()} here; its models are packaged where it runs on "
            "TensorFlow.",
            hint="Set KERAS_BACKEND=tensorflow before keras is imported, and load the model again.",
        )
    if not model.built:
        raise PackagingError(
            f"The {type(model).__name__} is not fitted yet: it has no weights.",
            hint="Call its fit(X_train, y_train) first.",
        )
    layers = getattr(model, "layers", None) or [model]
    activation = getattr(getattr(layers[-1], "activation", None), "__name__", "")
    symbolic = getattr(model, "inputs", None)
    if not symbolic:
        given = Input("inputs", tf.as_dtype(model.compute_dtype), _UNKNOWN)
        return Network(lambda x: model(x, training=False), (given,), model, activation == "linear")
    structure = None if isinstance(model, keras.Sequential) else model.input
    inputs = tuple(Input(one.name, tf.as_dtype(one.dtype), tuple(one.shape)) for one in symbolic)

    def call(*tensors: Any) -> Any:
        whole = tensors[0] if structure is None else keras.tree.pack_sequence_as(structure, tensors)
        return model(whole, training=False)

    return Network(call, inputs, model, activation == "linear")


def _saved(path: Path) -> Network:
    import tensorflow as tf

    try:
        check(path)
    except EngineError as error:
        raise PackagingError(
            f"The SavedModel in {path} is not packaged: {error}.",
            hint="Save it again without them; reading data belongs before the model.",
        ) from error
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures.get(SIGNATURE)
    if function is None or len(function.structured_outputs) != 1:
        found = sorted(loaded.signatures) if function is None else sorted(function.structured_outputs)
        raise PackagingError(
            f"The SavedModel in {path} has no signature {SIGNATURE!r} with one output, but {found}.",
            hint=f"Save it with signatures={{{SIGNATURE!r}: ...}} that gives one tensor.",
        )
    specs = function.structured_input_signature[1]
    inputs = tuple(Input(name, spec.dtype, tuple(spec.shape)) for name, spec in specs.items())

    def call(*tensors: Any) -> Any:
        [result] = function(**dict(zip(specs, tensors, strict=True))).values()
        return result

    return Network(call, inputs, loaded, linear=False)


def _width(shape: tuple[int | None, ...]) -> int | None:
    """Give how many numbers one row has, if it is known."""
    known = [size for size in shape[1:] if size is not None]
    return int(np.prod(known)) if len(known) == len(shape) - 1 else None


def _values(frame: pd.DataFrame, dtype: Any) -> np.ndarray[Any, Any]:
    import tensorflow as tf

    if dtype == tf.string:
        return frame.astype(object).where(frame.notna(), "").to_numpy(dtype=object)
    for name in frame.columns:
        if frame[name].dtype.kind not in "fiub":
            raise PackagingError(
                f"Column {name!r} is {frame[name].dtype}, but the model's input takes {dtype.name}.",
                hint="Encode it before the model, or give the model an input of text for it.",
            )
    return frame.to_numpy(dtype=dtype.as_numpy_dtype)
