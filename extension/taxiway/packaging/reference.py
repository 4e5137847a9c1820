"""The reference data: is it usable, and which signature does it imply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from taxiway.errors import InputError, PackagingError
from taxiway.signature import Column, Dtype

if TYPE_CHECKING:
    from taxiway.packaging.frameworks import Adapter

#: A text column with at most this many distinct values is taken as categorical.
MOST_CATEGORIES = 50
#: One ONNX input per column does not serve beyond this.
MOST_COLUMNS = 2_000

_INFERRED: dict[str, Dtype] = {
    "string": "string",
    "boolean": "bool",
    "integer": "int64",
    "floating": "float64",
    "mixed-integer-float": "float64",
}


def check_frame(frame: Any, *, what: str = "reference") -> pd.DataFrame:
    """Give the frame back if it can be one.

    Raises
    ------
    InputError
        It is no DataFrame, is empty, or its columns are not distinct names.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"{what} is a {type(frame).__name__}, not a pandas DataFrame.",
            hint=f"Pass {what}=X_train as a DataFrame, so that every column has a name.",
        )
    if frame.empty:
        raise InputError(
            f"{what} is empty ({frame.shape[0]} rows, {frame.shape[1]} columns).",
            hint="Pass the data the model was trained on.",
        )
    if frame.shape[1] > MOST_COLUMNS:
        raise InputError(
            f"{what} has {frame.shape[1]} columns; at most {MOST_COLUMNS} can be served by name.",
            hint="Select or project the columns before the model, and package what follows.",
        )
    for name in frame.columns:
        if not isinstance(name, str) or not name:
            raise InputError(
                f"Column {name!r} of {what} has no text for a name.",
                hint=f"Rename it: {what}.columns = {what}.columns.astype(str), then fit the model again.",
            )
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(
            f"{what} has more than one column named {twice[0]!r}.", hint="Rename or drop one of them."
        )
    return frame


def check_target(frame: pd.DataFrame, target: Any) -> pd.Series[Any] | None:
    """Give the target as a column named ``target`` with the frame's number of rows, or None.

    Raises
    ------
    InputError
        Its length is another, or a column of the frame bears its name.
    """
    if target is None:
        return None
    name = getattr(target, "name", None)
    if name is not None and name in frame.columns:
        raise InputError(
            f"The target {name!r} is among the inputs.",
            hint=f"Drop it: reference.drop(columns={name!r}), and fit the model without it.",
        )
    values = np.asarray(target) if not isinstance(target, pd.Series) else target.array
    if values.ndim != 1:
        raise InputError(
            f"The target has shape {values.shape}, not one column.", hint="Pass one value per row."
        )
    if len(values) != len(frame):
        raise InputError(
            f"The target has {len(values)} rows and the reference {len(frame)}.",
            hint="Pass the target of the very rows of the reference.",
        )
    return pd.Series(values, index=frame.index, name="target")


def columns_of(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Infer one input column per column of the frame.

    Raises
    ------
    PackagingError
        A column is of a kind that a model served over JSON cannot take.
    """
    return tuple(_column(str(name), frame[name]) for name in frame.columns)


def in_order(frame: pd.DataFrame, adapter: Adapter, *, what: str = "reference") -> pd.DataFrame:
    """Give the frame with exactly the columns the model was fitted on, in that order.

    Raises
    ------
    PackagingError
        Columns are missing or too many.
    """
    if adapter.columns is None:
        if adapter.width is not None and adapter.width != frame.shape[1]:
            raise PackagingError(
                f"The model was fitted on {adapter.width} columns and {what} has {frame.shape[1]}.",
                hint=f"Pass the columns the model was fitted on as {what}.",
            )
        return frame
    missing = [name for name in adapter.columns if name not in frame.columns]
    extra = [name for name in frame.columns if name not in adapter.columns]
    if missing:
        raise PackagingError(
            f"The model was fitted on columns that {what} lacks: {_some(missing)}.",
            hint=f"Pass the columns the model was fitted on as {what}.",
        )
    if extra:
        raise PackagingError(
            f"{what} has columns that the model was not fitted on: {_some(extra)}.",
            hint=f"Pass {what}[list(model.feature_names_in_)].",
        )
    return frame[list(adapter.columns)]


def _column(name: str, series: pd.Series[Any]) -> Column:
    present = series.dropna()
    if present.empty:
        raise PackagingError(
            f"Column {name!r} of reference has no value at all.",
            hint="Drop it, or pass data in which it is filled.",
        )
    dtype = _dtype(name, present)
    nullable = len(present) < len(series)
    if dtype == "string":
        distinct = pd.unique(present.astype(object))
        categories = tuple(sorted(map(str, distinct))) if len(distinct) <= MOST_CATEGORIES else None
        return Column(name, dtype, nullable, categories)
    if dtype == "bool":
        return Column(name, dtype, nullable)
    numbers = present.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise PackagingError(
            f"Column {name!r} of reference holds an infinite value.", hint="Replace it, or clip the column."
        )
    return Column(name, dtype, nullable, None, float(numbers.min()), float(numbers.max()))


def _dtype(name: str, present: pd.Series[Any]) -> Dtype:
    kind = present.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _dtype(name, present.astype(kind.categories.dtype))
    types = pd.api.types
    if types.is_bool_dtype(kind):
        return "bool"
    if types.is_integer_dtype(kind):
        return "int64"
    if types.is_float_dtype(kind):
        return "float32" if kind == np.float32 else "float64"
    if not types.is_datetime64_any_dtype(kind) and not types.is_timedelta64_dtype(kind):
        inferred = _INFERRED.get(types.infer_dtype(present, skipna=True))
        if inferred is not None:
            return inferred
    if types.is_object_dtype(kind):
        kinds = sorted({type(value).__name__ for value in present})
        raise PackagingError(
            f"Column {name!r} of reference mixes or holds values that cannot be served: {_some(kinds)}.",
            hint="Make it one of numbers, booleans or text, and fit the model again.",
        )
    raise PackagingError(
        f"Column {name!r} of reference is of dtype {kind}, which a served model cannot take.",
        hint="Derive numbers or text from it (of a date: its month, its weekday), and fit on those.",
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(re.sub(r"\s+", " ", name)) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
