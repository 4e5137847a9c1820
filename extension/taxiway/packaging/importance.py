"""How much each column matters to a model, as the model itself tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def check(importances: Mapping[str, float], columns: Iterable[str]) -> dict[str, float]:
    """Check the importances that were given, and scale them to the sum of 1.

    Raises
    ------
    InputError
        One is of no column or no number at or above 0, or all are 0.
    """
    known, kept = list(columns), {}
    for name, value in importances.items():
        if name not in known:
            raise InputError(
                f"importances names {name!r}, which is no column of reference.",
                hint=f"The columns are {', '.join(map(repr, known[:10]))}.",
            )
        try:
            kept[name] = float(value)
        except (TypeError, ValueError):
            kept[name] = float("nan")
        if not isfinite(kept[name]) or kept[name] < 0:
            raise InputError(f"The importance of {name!r} is {value!r}.", hint="Give a number at or above 0.")
    if kept and not sum(kept.values()):
        raise InputError("All importances are 0.", hint="Leave them out, or give some column weight.")
    return _scaled({name: kept.get(name, 0.0) for name in known}) if kept else {}


def of_estimator(model: Any, frame: pd.DataFrame) -> dict[str, float]:
    """Ask a fitted estimator how much each column of its inputs matters.

    ``feature_importances_`` of trees and boosters; of linear models the absolute coefficients, each times
    the standard deviation of its feature, the classes' mean (Gelman, *Statistics in Medicine* 27, 2008). In
    a Pipeline, features that were made of a column add up to it.

    Returns
    -------
    dict
        Column → share, which sum to 1; empty if the model does not tell, or its features are of no column.
    """
    try:
        found = _asked(model, frame)
    except Exception:  # noqa: BLE001  whatever an estimator of anyone's raises: it then does not tell
        return {}
    usable = all(isfinite(value) and value >= 0 for value in found.values()) and sum(found.values()) > 0
    return _scaled(found) if usable else {}


def _scaled(importances: Mapping[str, float]) -> dict[str, float]:
    """Six digits, so that another machine's last bits do not make another Model."""
    total = sum(importances.values())
    return {name: float(f"{value / total:.6g}") for name, value in importances.items()}


def _asked(model: Any, frame: pd.DataFrame) -> dict[str, float]:
    columns = [str(name) for name in frame.columns]
    steps = getattr(model, "steps", None)
    last, names, features = model, columns, None
    if steps:
        last = steps[-1][1]
        if len(steps) > 1:
            before = model[:-1]
            features = before.transform(frame)
            names = [str(name) for name in before.get_feature_names_out()]
    values = _of_last(last, frame if features is None else features)
    if values is None or len(values) != len(names):
        return {}
    found = dict.fromkeys(columns, 0.0)
    for name, value in zip(names, values.tolist(), strict=True):
        column = _column_of(name, columns)
        if column is None:
            return {}
        found[column] += value
    return found


def _of_last(model: Any, features: Any) -> NDArray[np.float64] | None:
    import numpy as np

    told = getattr(model, "feature_importances_", None)
    if told is not None:
        return np.asarray(told, dtype=float)
    coefficients = getattr(model, "coef_", None)
    if coefficients is None:
        return None
    dense = features.toarray() if hasattr(features, "toarray") else features
    spread = np.nanstd(np.asarray(dense, dtype=float), axis=0)
    slopes: NDArray[np.float64] = np.abs(np.atleast_2d(np.asarray(coefficients, dtype=float))).mean(axis=0)
    weights: NDArray[np.float64] = slopes * spread
    return weights


def _column_of(feature: str, columns: list[str]) -> str | None:
    """Give the column that a feature was made of, by scikit-learn's names: ``step__column_category``."""
    bare = feature.rpartition("__")[2]
    for name in (feature, bare):
        if name in columns:
            return name
        made = [column for column in columns if name.startswith(f"{column}_")]
        if made:
            return max(made, key=len)
    return None
