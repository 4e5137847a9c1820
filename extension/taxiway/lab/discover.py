"""Finds, in a kernel, what can be packaged; JupyterLab's "Package model" button asks for it.

Only classes of modules that the user has already imported are looked for (``sys.modules``), so that
looking imports nothing and costs milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TypedDict

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
    if not _is(value, "sklearn.base", "BaseEstimator") or not hasattr(value, "predict"):
        return None
    columns = getattr(value, "feature_names_in_", None)
    features = getattr(value, "n_features_in_", None)
    return {
        "variable": name,
        "type": type(value).__name__,
        "framework": "scikit-learn",
        "fitted": _fitted(value),
        "columns": None if columns is None else [str(column) for column in columns[:MAX_COLUMNS]],
        "features": None if features is None else int(features),
    }


def _fitted(value: object) -> bool:
    check = getattr(sys.modules.get("sklearn.utils.validation"), "check_is_fitted", None)
    if check is None:
        return True
    try:
        check(value)
    except Exception:  # noqa: BLE001  NotFittedError, or whatever a user's own estimator raises
        return False
    return True


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
