"""What a model's answers are called, whatever framework it is of, and which tensors they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision, dtype_name
from taxiway.packaging.manifest import Format, OutputColumn, Scalar, Task
from taxiway.signature import Column, Output

if TYPE_CHECKING:
    import numpy as np

#: Tensor → the names of its columns, in order. A tensor with one name holds one value per row.
Names: TypeAlias = Mapping[str, Sequence[str]]


def of_classes(classes: Sequence[Scalar] | None, *, probabilities: bool = True) -> dict[str, list[str]]:
    """Name the answers of a classifier: ``label``, and ``probability_<class>`` for each class."""
    names = {"label": ["label"]}
    if probabilities:
        names["probabilities"] = [f"probability_{value}" for value in classes or ()]
    return names


def of_numbers(width: int) -> dict[str, list[str]]:
    """Name the answers of a regression: ``prediction``, or ``prediction_<i>`` if there are several."""
    one = ["prediction"]
    return {"prediction": one if width == 1 else [f"prediction_{index}" for index in range(width)]}


def flat(names: Names, tensors: Mapping[str, np.ndarray[Any, Any]]) -> Answers:
    """Cut tensors of shape (rows,) or (rows, n) into output columns."""
    answers: Answers = {}
    for tensor, columns in names.items():
        values = tensors[tensor]
        for index, column in enumerate(columns):
            answers[column] = values.reshape(-1) if len(columns) == 1 else values[:, index]
    return answers


def check_inputs(columns: Sequence[Column], names: Names) -> None:
    """Raise PackagingError if an input column bears the name of an output, or of a tensor of outputs."""
    taken = {"target", *names, *(name for given in names.values() for name in given)}
    for column in columns:
        if column.name in taken:
            raise PackagingError(
                f"The input column {column.name!r} bears the name of an output.",
                hint="Rename it in the training data, and fit the model again.",
            )


def export(
    folder: Path,
    runtime: Any,
    names: Names,
    dtypes: Mapping[str, np.dtype[Any]],
    precision: Precision,
    **more: Any,
) -> Export:
    """Describe an export whose tensors are named so; ``dtypes`` are the tensors'."""
    columns = tuple(
        OutputColumn(name, tensor, None if len(given) == 1 else index)
        for tensor, given in names.items()
        for index, name in enumerate(given)
    )
    outputs = tuple(Output(column.name, dtype_name(dtypes[column.tensor])) for column in columns)
    return Export(folder, runtime, columns, outputs, precision, **more)


def onnx_export(folder: Path, data: bytes, names: Names, precision: Precision) -> Export:
    """Write ``model.onnx`` and describe it."""
    from taxiway.serving.engines.onnx import FILE, OnnxEngine

    (folder / FILE).write_bytes(data)
    return export(folder, "onnx", names, OnnxEngine(folder, {}, 1).outputs, precision)


def check_options(
    title: str, options: Options, task: Task, classes: tuple[Scalar, ...] | None, written: Format
) -> None:
    """Refuse what the caller said of a model that knows better, or is written in another format.

    Raises
    ------
    PackagingError
        A task, classes or format was given that the model has not got.
    """
    if options.format not in (None, written):
        raise PackagingError(
            f"{title} models are packaged as {written} here, not as {options.format}.",
            hint="Leave format out.",
        )
    if options.task not in (None, task):
        raise PackagingError(f"This {title} model does {task}, not {options.task}.", hint="Leave task out.")
    if options.classes is not None and options.classes != classes:
        known = "knows no classes" if classes is None else f"has the classes {list(classes)[:10]}"
        raise PackagingError(
            f"This {title} model {known}, which classes= cannot change.", hint="Leave classes out."
        )
