"""Finds, in a kernel, what can be packaged; JupyterLab's "Package model" button asks for it.

Only classes of modules that the user has already imported are looked for (``sys.modules``), so that
looking imports nothing and costs milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

MAX_COLUMNS = 500
MAX_FOUND = 100


class ModelVariable(TypedDict):
    """A variable that holds a model."""

    variable: str
    type: str
    framework: str
    fitted: bool
    columns: list[str] | None
    features: int | None


class DataVariable(TypedDict):
    """A variable that holds a DataFrame or a Series."""

    variable: str
    kind: str
    rows: int
    columns: list[str]


class Found(TypedDict):
    """What was found; ``names`` are the variables that a new one must not overwrite."""

    models: list[ModelVariable]
    data: list[DataVariable]
    names: list[str]


class Discovery:
    """The variables of a namespace that can be packaged, shown as ``application/json``.

    Parameters
    ----------
    namespace
        The kernel's user namespace, ``globals()`` of a cell.
    """

    def __init__(self, namespace: Mapping[str, object]) -> None:
        self.found = discover(namespace)

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        return {"application/json": self.found, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Discovery({len(self.found['models'])} models, {len(self.found['data'])} data variables)"


def discover(namespace: Mapping[str, object]) -> Found:
    """Return the models, DataFrames and Series among the user's variables."""
    variables = list(_user_variables(namespace))
    models = [model for name, value in variables if (model := _model(name, value)) is not None]
    data = [datum for name, value in variables if (datum := _data(name, value)) is not None]
    return {
        "models": models[:MAX_FOUND],
        "data": data[:MAX_FOUND],
        "names": [name for name, value in variables if not _is(value, "taxiway.packaging.model", "Model")],
    }


def _user_variables(namespace: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    hidden = namespace.get("_ih") is not None and {"In", "Out", "exit", "quit", "get_ipython", "open"}
    # A copy, since on a subshell the running cell may add variables meanwhile.
    for name, value in list(namespace.items()):
        if not name.startswith("_") and not (hidden and name in hidden):
            yield name, value


def _is(value: object, module: str, name: str) -> bool:
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)


def _model(name: str, value: object) -> ModelVariable | None:
    kind = next((one for one in _KINDS if _is(value, one.module, one.base)), None)
    if kind is None or not _asked(kind.packable, value, False):
        return None
    columns = _asked(kind.columns, value, None)
    features = _asked(kind.features, value, None)
    return {
        "variable": name,
        "type": type(value).__name__,
        "framework": _FRAMEWORKS.get(type(value).__module__.partition(".")[0], kind.framework),
        "fitted": bool(_asked(kind.fitted, value, False)),
        "columns": None if columns is None else [str(column) for column in columns[:MAX_COLUMNS]],
        "features": None if features is None else int(features),
    }


def _asked(question: Callable[[Any], Any], value: object, otherwise: Any) -> Any:
    try:
        return question(value)
    except Exception:  # noqa: BLE001  NotFittedError, or whatever a user's own model raises
        return otherwise


def _anything(_: Any) -> bool:
    return True


def _fitted_estimator(value: Any) -> bool:
    check = getattr(sys.modules.get("sklearn.utils.validation"), "check_is_fitted", None)
    if check is not None:
        check(value)
    return True


def _of_keras(value: Any) -> int | None:
    """Give the width of the only input, if that is a row of numbers."""
    shape = value.input_shape
    return shape[1] if isinstance(shape, tuple) and len(shape) == 2 else None


#: Tasks of pipelines that take one column of text, and need nothing to be packaged but their data.
_ON_TEXT = ("text-classification", "sentiment-analysis", "token-classification", "ner", "feature-extraction")


@dataclass(frozen=True, slots=True)
class _Kind:
    """How models of one base class are told and described."""

    framework: str
    module: str
    base: str
    packable: Callable[[Any], Any]
    fitted: Callable[[Any], Any] = _anything
    columns: Callable[[Any], Any] = lambda _: None
    features: Callable[[Any], Any] = lambda _: None


#: Root of the module of a type → its framework, where the base class is another's.
_FRAMEWORKS = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}
#: The first that fits describes a value: CatBoost's wrappers are estimators, some Keras models are modules.
_KINDS = (
    _Kind(
        "CatBoost",
        "catboost.core",
        "CatBoost",
        _anything,
        lambda model: model.is_fitted(),
        lambda model: model.feature_names_,
        lambda model: len(model.feature_names_),
    ),
    _Kind(
        "scikit-learn",
        "sklearn.base",
        "BaseEstimator",
        lambda model: hasattr(model, "predict"),
        _fitted_estimator,
        lambda model: model.feature_names_in_,
        lambda model: model.n_features_in_,
    ),
    _Kind(
        "XGBoost",
        "xgboost.core",
        "Booster",
        _anything,
        lambda model: model.num_boosted_rounds() > 0,
        lambda model: model.feature_names,
        lambda model: model.num_features(),
    ),
    _Kind(
        "LightGBM",
        "lightgbm.basic",
        "Booster",
        _anything,
        lambda model: model.num_trees() > 0,
        lambda model: model.feature_name(),
        lambda model: model.num_feature(),
    ),
    _Kind(
        "Keras",
        "keras.src.models.model",
        "Model",
        _anything,
        lambda model: model.built,
        features=_of_keras,
    ),
    _Kind(
        "Hugging Face",
        "transformers.pipelines.base",
        "Pipeline",
        lambda pipeline: pipeline.task in (*_ON_TEXT, "image-classification"),
        features=lambda pipeline: 1 if pipeline.task in _ON_TEXT else None,
    ),
    _Kind(
        "PyTorch",
        "torch.nn.modules.module",
        "Module",
        # a loss function is a module too, but has nothing to learn; a transformer needs its tokenizer
        lambda module: next(module.parameters(), None) is not None and not hasattr(module, "config_class"),
    ),
)


def _data(name: str, value: object) -> DataVariable | None:
    if _is(value, "pandas", "DataFrame"):
        kind, labels = "DataFrame", value.columns[:MAX_COLUMNS]  # type: ignore[attr-defined]
    elif _is(value, "pandas", "Series"):
        kind, labels = "Series", [value.name]  # type: ignore[attr-defined]
    else:
        return None
    rows: int = value.__len__()  # type: ignore[attr-defined]
    columns = [str(label) for label in labels if label is not None]
    return {"variable": name, "kind": kind, "rows": rows, "columns": columns}
