"""One adapter per framework, chosen by the type of the model; none is imported before it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from taxiway.errors import PackagingError
from taxiway.packaging.manifest import OutputColumn, Scalar, Task
from taxiway.signature import Column, Output

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Precision = Literal["float32", "float64"]
Answers: TypeAlias = "dict[str, np.ndarray[Any, Any]]"  # output column → one value per row


@dataclass(frozen=True, slots=True)
class Export:
    """An exported model: the ONNX file, and which output columns to read from which tensors."""

    data: bytes
    columns: tuple[OutputColumn, ...]
    outputs: tuple[Output, ...]
    precision: Precision


class Adapter(Protocol):
    """What packaging asks of a framework. Made from a model, it raises if the model is not fitted."""

    framework: str
    task: Task
    classes: tuple[Scalar, ...] | None
    columns: tuple[str, ...] | None
    width: int | None

    def export(self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision) -> Export:
        """Convert the model to ONNX; one input per column, of the column's name."""
        ...

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the original model, and flatten what it answers into output columns."""
        ...

    def seeds(self) -> Mapping[str, int | str | None]:
        """Give each step's random state: a number, None if it has none, else what kind it is."""
        ...

    def modules(self) -> frozenset[str]:
        """Give the top-level modules that the model's code comes from."""
        ...


_ADAPTERS = {"sklearn": ("taxiway.packaging.frameworks.sklearn", "SklearnAdapter")}
_LATER = {
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "torch": "PyTorch",
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "transformers": "Hugging Face",
    "statsmodels": "statsmodels",
    "onnx": "ONNX",
}
SUPPORTED = "fitted scikit-learn estimators and Pipelines"


def adapter_for(model: Any) -> Adapter:
    """Choose the adapter of a model by its type.

    Raises
    ------
    PackagingError
        There is none, or the model is not fitted.
    """
    roots = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    if isinstance(model, type):
        raise PackagingError(
            f"{model.__name__} is a class, not a fitted model.",
            hint=f"Fit one: {model.__name__}().fit(X, y).",
        )
    for root in roots:
        if root in _LATER:
            raise PackagingError(
                f"{_LATER[root]} models ({type(model).__name__}) cannot be packaged yet.",
                hint=f"Taxiway packages {SUPPORTED}.",
            )
        if root in _ADAPTERS:
            module, name = _ADAPTERS[root]
            adapter: Adapter = getattr(import_module(module), name)(model)
            return adapter
    raise PackagingError(
        f"A {type(model).__name__} cannot be packaged: it is no model Taxiway knows.",
        hint=f"Taxiway packages {SUPPORTED}.",
    )
