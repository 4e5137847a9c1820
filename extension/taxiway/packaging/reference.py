"""The reference data and the sample: can they be used, and in what form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from taxiway.errors import InputError, PackagingError

if TYPE_CHECKING:
    from taxiway.packaging.frameworks import Adapter

#: One ONNX input per column does not serve beyond this.
MOST_COLUMNS = 2_000
#: Pixels fill one tensor together.
MOST_PIXELS = 20_000
_WITH_REALS = frozenset(("floating", "mixed-integer-float"))


def check_frame(frame: Any, *, what: str = "reference") -> pd.DataFrame:
    """Give the frame back if it can be one.

    Raises
    ------
    InputError
        It is no DataFrame, is empty, or its columns are not distinct names.
    """
    if not isinstance(frame, pd.DataFrame):
        raise _no_frame(frame, what)
    rows, width = frame.shape
    if not rows or not width:
        hint = "Pass the data the model was trained on." if what == "reference" else f"Leave {what} out."
        raise InputError(f"{what} is empty ({rows} rows, {width} columns).", hint=hint)
    most = MOST_COLUMNS if width <= MOST_COLUMNS or _pixels(frame) is None else MOST_PIXELS
    if width > most:
        raise InputError(
            f"{what} has {width:,} columns; at most {most:,} can be served by name.",
            hint="Select or project the columns before the model, and package what follows.",
        )
    if isinstance(frame.columns, pd.MultiIndex):
        raise InputError(
            f"The columns of {what} have names of {frame.columns.nlevels} levels.",
            hint=f"Join them: {what}.columns = ['_'.join(map(str, name)) for name in {what}.columns], "
            "then fit the model again.",
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
        It is not one value per row of the frame, in the frame's order, or a column bears its name.
    """
    if target is None:
        return None
    name = getattr(target, "name", None)
    if isinstance(name, str) and name in frame.columns:
        raise InputError(
            f"The target {name!r} is among the inputs.",
            hint=f"Drop it: reference.drop(columns={name!r}), and fit the model without it.",
        )
    values = target.array if isinstance(target, pd.Series) else np.asarray(target)
    if values.ndim != 1:
        raise InputError(
            f"The target has shape {values.shape}, not one column.",
            hint="Pass one value per row; for a model with several targets leave target out.",
        )
    if len(values) != len(frame):
        raise InputError(
            f"The target has {len(values)} rows and the reference {len(frame)}.",
            hint="Pass the target of the very rows of the reference.",
        )
    if isinstance(target, pd.Series) and _shuffled(target.index, frame.index):
        raise InputError(
            "The target has the rows of the reference in another order.",
            hint="Bring it into the reference's: target=y.loc[reference.index].",
        )
    found = pd.Series(values, index=frame.index, name="target")
    missing = np.asarray(found.isna())
    if missing.any():
        raise InputError(
            f"The target has no value in row {frame.index[int(missing.argmax())]} "
            f"({int(missing.sum()):,} such rows).",
            hint="Leave those rows out of the reference and of the target.",
        )
    infinite = infinities(found)
    if infinite.any():
        raise InputError(
            f"The target is infinite in row {frame.index[int(infinite.argmax())]}.",
            hint="Replace it, or leave that row out of the reference and of the target.",
        )
    return found


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
            f"The model was fitted on columns that {what} lacks: {some(missing)}.",
            hint=f"Pass the columns the model was fitted on as {what}.",
        )
    if extra:
        raise PackagingError(
            f"{what} has columns that the model was not fitted on: {some(extra)}.",
            hint=f"Pass {what}[list(model.feature_names_in_)].",
        )
    return frame[list(adapter.columns)]


def like(sample: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Give the sample with the reference's dtypes, or with one that also holds its missing values.

    Raises
    ------
    InputError
        A value of it has no place in the reference's dtype.
    """
    return pd.DataFrame(
        {name: _cast(sample[name], reference[name].dtype) for name in reference.columns}, index=sample.index
    )


def infinities(series: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Give which values are infinite; none of them is, where they are no real numbers."""
    real = pd.api.types.is_float_dtype(series.dtype) or (
        series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) in _WITH_REALS
    )
    if not real:
        return np.zeros(len(series), dtype=bool)
    values: np.ndarray[Any, np.dtype[np.float64]] = series.to_numpy(dtype=np.float64, na_value=np.nan)
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.isinf(values)
    return found


def some(names: Sequence[str]) -> str:
    """Name the first five."""
    shown = ", ".join(repr(re.sub(r"\s+", " ", name)) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def shown(value: Any) -> str:
    """Write a value as Python does, without NumPy's own name for its type."""
    return repr(value.item() if isinstance(value, np.generic) else value)[:60]


def _cast(series: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    missing = np.asarray(series.isna())
    wanted = _holds_missing(dtype) if missing.any() else dtype
    _refuse_any(series, ~missing & _without_place(series, dtype), dtype)
    try:
        found = series.astype(wanted)
    except (TypeError, ValueError) as error:
        raise _unlike(series, dtype, str(error).partition("\n")[0]) from error
    if isinstance(dtype, np.dtype) and dtype.kind in "iub":
        # astype cuts 1.5 to 1, and takes any number for true
        _refuse_any(series, ~missing & np.asarray(found.astype(object) != series.astype(object)), dtype)
    return found


def _without_place(series: pd.Series[Any], dtype: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Give which values astype would make missing, or turn into text."""
    if isinstance(dtype, pd.CategoricalDtype):
        return ~np.asarray(series.isin(dtype.categories))
    if isinstance(dtype, pd.StringDtype) and not isinstance(series.dtype, pd.StringDtype):
        return np.array([not isinstance(value, str) for value in series], dtype=bool)
    return np.zeros(len(series), dtype=bool)


def _refuse_any(series: pd.Series[Any], odd: np.ndarray[Any, np.dtype[np.bool_]], dtype: Any) -> None:
    if odd.any():
        row = int(odd.argmax())
        raise _unlike(series, dtype, f"{shown(series.iloc[row])} in row {series.index[row]}")


def _holds_missing(dtype: Any) -> Any:
    """Give the dtype that also holds a missing value; pandas' own choice for what NumPy cannot."""
    if isinstance(dtype, np.dtype) and dtype.kind in "iu":
        return np.dtype(np.float64)
    return "boolean" if isinstance(dtype, np.dtype) and dtype.kind == "b" else dtype


def _unlike(series: pd.Series[Any], dtype: Any, reason: str) -> InputError:
    return InputError(
        f"Column {series.name!r} of sample is not {dtype} as in the reference: {reason}.",
        hint="Pass rows of the same kind as the reference, or fit the model on such values too.",
    )


def _shuffled(one: pd.Index[Any], other: pd.Index[Any]) -> bool:
    """Whether both indexes name the same rows, and not in the same order."""
    if one.equals(other) or not one.is_unique or not other.is_unique:
        return False
    return bool(one.isin(other).all())


def _no_frame(given: Any, what: str) -> InputError:
    kind = type(given).__name__
    if isinstance(given, pd.Series):
        hint = f"A column of its own: {what}={what}.to_frame(); one row: {what}={what}.to_frame().T."
    elif hasattr(given, "to_pandas"):
        hint = f"Pass {what}={what}.to_pandas()."
    elif isinstance(given, np.ndarray) and given.ndim == 2:
        names = "list(model.feature_names_in_) or names of your own"
        hint = f"Name its columns: {what}=pd.DataFrame({what}, columns=[...]), with {names}."
        kind = f"array of shape {given.shape}"
    elif isinstance(given, (np.ndarray, list, tuple, dict)):
        hint = f"Name its columns: {what}=pd.DataFrame({what}, columns=[...])."
    else:
        hint = f"Pass {what}=X_train as a DataFrame, so that every column has a name."
    article = "an" if kind[0] in "aeiou" else "a"
    return InputError(f"{what} is {article} {kind}, not a pandas DataFrame.", hint=hint)


def _pixels(frame: pd.DataFrame) -> tuple[int, ...] | None:
    """Give the shape of the array that the frame was made of, if it was."""
    from taxiway.packaging.frameworks.arrays import shape_of

    return shape_of([str(name) for name in frame.columns])
