"""One adapter per framework, chosen by the type of the model; none is imported before it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks.extras import missing
from taxiway.packaging.manifest import Format, OutputColumn, Scalar, Task
from taxiway.signature import Column, Dtype, Output

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Precision = Literal["float32", "float64"]
Answers: TypeAlias = "dict[str, np.ndarray[Any, Any]]"  # output column → one value per row


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of ``package`` said of the model beyond the model itself.

    Parameters
    ----------
    task, classes
        For models that do not know them themselves.
    format
        The file to write, where there is a choice: ``onnx``, ``savedmodel`` or ``skops``.
    trust
        Names of types that a skops file may hold beyond those that skops trusts itself.
    """

    task: Task | None = None
    classes: tuple[Scalar, ...] | None = None
    format: Format | None = None
    trust: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """An exported model.

    Parameters
    ----------
    folder
        Holds the model's files and nothing else.
    runtime
        Their format: which of ``taxiway.serving.engines`` opens them.
    columns
        Which output columns to read from which tensors.
    outputs
        The same columns as the signature has them.
    precision
        Of its floating-point inputs.
    requires
        Distributions that the engine needs beyond what ``taxiway.serving`` imports.
    engine
        What the engine must be told, as JSON; kept in the manifest.
    """

    folder: Path
    runtime: Format
    columns: tuple[OutputColumn, ...]
    outputs: tuple[Output, ...]
    precision: Precision
    requires: tuple[str, ...] = ()
    engine: Mapping[str, Any] = field(default_factory=dict)


class Adapter(Protocol):
    """What packaging asks of a framework. Made from a model, it raises if the model is not fitted."""

    framework: str
    task: Task
    classes: tuple[Scalar, ...] | None
    columns: tuple[str, ...] | None
    width: int | None
    #: In the order in which they are tried until one answers as the original does.
    precisions: tuple[Precision, ...]

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write the model's files into ``folder``, which is empty."""
        ...

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the original model, and flatten what it answers into output columns."""
        ...

    def seeds(self) -> Mapping[str, int | str | None]:
        """Give each step's random state: a number, None if it has none, else what kind it is."""
        ...

    def modules(self) -> frozenset[str]:
        """Give the full names of the modules that the model's classes are defined in."""
        ...


def dtype_name(dtype: np.dtype[Any]) -> Dtype:
    """Give the signature's word for an engine's dtype; text is ``object`` there."""
    name: Any = "string" if dtype.kind == "O" else dtype.name
    return cast(Dtype, name)


#: Root of the module of a model's type → the module of this package and the class that adapt it.
_ADAPTERS = {
    "sklearn": ("sklearn", "SklearnAdapter"),
    "xgboost": ("xgboost", "XgboostAdapter"),
    "lightgbm": ("lightgbm", "LightgbmAdapter"),
    "catboost": ("catboost", "CatboostAdapter"),
    "onnx": ("onnx_file", "OnnxFileAdapter"),
    "torch": ("torch", "TorchAdapter"),
    "keras": ("keras", "KerasAdapter"),
    "tensorflow": ("keras", "KerasAdapter"),
    "transformers": ("huggingface", "adapter_for"),
}
SUPPORTED = (
    "fitted scikit-learn estimators and Pipelines, XGBoost, LightGBM and CatBoost models, PyTorch modules, "
    "Keras and TensorFlow models, Hugging Face pipelines on text and images, ONNX files and models saved by "
    "MLflow"
)


def adapter_for(model: Any, options: Options = Options()) -> Adapter:
    """Choose the adapter of a model by its type, or of a path by what lies there.

    Raises
    ------
    PackagingError
        There is none, or the model is not fitted.
    """
    if isinstance(model, (str, PathLike)):
        module = import_module(f"{__name__}.saved")
        saved: Adapter = module.adapter_for(Path(model), options)
        return saved
    if isinstance(model, type):
        raise PackagingError(
            f"{model.__name__} is a class, not a fitted model.",
            hint=f"Fit one: {model.__name__}().fit(X, y).",
        )
    roots = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    if options.format == "skops" and "sklearn" in roots:
        return made("skops", "SkopsAdapter", model, options)
    for root in roots:
        if root in _ADAPTERS:
            return made(*_ADAPTERS[root], model, options)
    raise PackagingError(
        f"A {type(model).__name__} cannot be packaged: it is no model Taxiway knows.",
        hint=f"Taxiway packages {SUPPORTED}.",
    )


def made(module: str, name: str, model: Any, options: Options) -> Adapter:
    """Make the adapter of a module of this package.

    Raises
    ------
    PackagingError
        It cannot be made, or something it needs is not installed.
    """
    try:
        adapter: Adapter = getattr(import_module(f"{__name__}.{module}"), name)(model, options)
    except ImportError as error:
        raise missing(error) from error
    return adapter
