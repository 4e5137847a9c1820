"""Which signature the reference and the sample imply, and whether one that was given goes with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from taxiway.errors import InputError, PackagingError
from taxiway.packaging.reference import check_frame, infinities, shown, some
from taxiway.signature import Column, Dtype, Signature

#: A text column with at most this many distinct values is taken as categorical.
MOST_CATEGORIES = 50

_INFERRED: dict[str, Dtype] = {
    "string": "string",
    "boolean": "bool",
    "integer": "int64",
    "floating": "float64",
    "mixed-integer-float": "float64",
}
#: What a column may be called instead, because it holds every value of the first.
_WIDER: dict[Dtype, frozenset[Dtype]] = {
    "int32": frozenset(("int64", "float64")),
    "int64": frozenset(("float64",)),
    "float32": frozenset(("float64",)),
}
_LARGEST_WHOLE = 2.0**63


def signature_of(reference: pd.DataFrame, sample: pd.DataFrame | None = None) -> Signature:
    """Give the inputs that ``package`` would infer, to be edited and passed to it as ``signature``.

    Parameters
    ----------
    reference
        The data the model was trained on.
    sample
        Further rows: a missing value, a category or a wider range that only they have counts too.

    Returns
    -------
    Signature
        One input per column; no outputs, for these follow from the model.

    Raises
    ------
    InputError
        The data cannot be used, which the error explains.
    """
    extra = None if sample is None else check_frame(sample, what="sample")
    return Signature(columns_of(check_frame(reference), extra), ())


def columns_of(frame: pd.DataFrame, extra: pd.DataFrame | None = None) -> tuple[Column, ...]:
    """Infer one input column per column of the reference.

    Parameters
    ----------
    frame
        The reference.
    extra
        The sample: what it has beyond the reference widens the column.

    Raises
    ------
    PackagingError
        A column is of a kind that a model served over JSON cannot take.
    """
    return tuple(
        _column(str(name), frame[name], None if extra is None else extra[name]) for name in frame.columns
    )


def check_signature(
    signature: Signature, frame: pd.DataFrame, columns: tuple[Column, ...]
) -> tuple[Column, ...]:
    """Give the input columns of ``signature`` if they go with the reference.

    Parameters
    ----------
    signature
        What the caller of ``package`` gave, most often an edited ``signature_of(reference)``.
    frame
        The reference.
    columns
        What was inferred from it.

    Raises
    ------
    InputError
        Its columns or dtypes are others, or a row of the reference is not as it says.
    """
    if not isinstance(signature, Signature):
        raise InputError(
            f"signature is a {type(signature).__name__}, not a Signature.",
            hint="Start from taxiway.signature_of(reference), and edit that.",
        )
    names = [column.name for column in columns]
    if list(signature.names) != names:
        lacks = [name for name in names if name not in signature.names]
        more = [name for name in signature.names if name not in names]
        found = (
            f"lacks {some(lacks)}"
            if lacks
            else f"has {some(more)} besides"
            if more
            else "orders them otherwise"
        )
        raise InputError(
            f"The signature has other columns than the reference: it {found}.",
            hint="Start from taxiway.signature_of(reference), and edit that.",
        )
    for given, inferred in zip(signature.inputs, columns, strict=True):
        if given.dtype != inferred.dtype and given.dtype not in _WIDER.get(inferred.dtype, ()):
            wider = sorted(_WIDER.get(inferred.dtype, ()))
            raise InputError(
                f"The signature says that column {given.name!r} is {given.dtype}, and the reference's is "
                f"{inferred.dtype}.",
                hint=f"Leave it at {inferred.dtype}" + (f", or use {' or '.join(wider)}." if wider else "."),
            )
        _check_rows(given, frame[given.name])
    return signature.inputs


def _check_rows(column: Column, series: pd.Series[Any]) -> None:
    """Refuse a column that the reference itself does not fit."""
    missing = np.asarray(series.isna())
    if not column.nullable and missing.any():
        raise _violated(column.name, "it may not be missing", series, missing)
    if column.categories is not None:
        known = set(column.categories)
        odd = ~missing & ~np.array([str(value) in known for value in series], dtype=bool)
        if odd.any():
            raise _violated(column.name, f"it is one of {some(column.categories)}", series, odd)
    if column.minimum is not None and column.maximum is not None:
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        odd = (numbers < column.minimum) | (numbers > column.maximum)
        if odd.any():
            raise _violated(column.name, f"it lies within {column.values}", series, odd)


def _violated(
    name: str, rule: str, series: pd.Series[Any], odd: np.ndarray[Any, np.dtype[np.bool_]]
) -> InputError:
    row = int(odd.argmax())
    value = series.iloc[row]
    found = "missing" if pd.isna(value) else shown(value)
    return InputError(
        f"The signature says of column {name!r} that {rule}; it is {found} in row {series.index[row]} of the "
        f"reference ({int(odd.sum()):,} such rows).",
        hint=f"Widen it with signature.edit({name!r}, ...), or package the rows for which it holds.",
    )


def _column(name: str, series: pd.Series[Any], more: pd.Series[Any] | None) -> Column:
    present = series.dropna()
    if present.empty:
        raise PackagingError(
            f"Column {name!r} of reference has no value at all.",
            hint="Drop it, or pass data in which it is filled.",
        )
    dtype = _dtype(name, present)
    nullable = len(present) < len(series)
    parts = [present]
    if more is not None:
        parts.append(_same_kind(name, dtype, more.dropna()))
        nullable = nullable or len(parts[1]) < len(more)
    if dtype == "string":
        return Column(name, dtype, nullable, _categories(parts))
    if dtype == "bool":
        return Column(name, dtype, nullable)
    for part, what in zip(parts, ("reference", "sample"), strict=False):
        infinite = infinities(part)
        if infinite.any():
            raise PackagingError(
                f"Column {name!r} of {what} holds an infinite value in row "
                f"{part.index[int(infinite.argmax())]}.",
                hint="Replace it, or clip the column.",
            )
    numbers = [part.to_numpy(dtype=np.float64) for part in parts if len(part)]
    least, greatest = min(float(one.min()) for one in numbers), max(float(one.max()) for one in numbers)
    if dtype == "int64" and not -_LARGEST_WHOLE <= least <= greatest < _LARGEST_WHOLE:
        dtype = "float64"
    return Column(name, dtype, nullable, None, least, greatest)


def _same_kind(name: str, dtype: Dtype, sample: pd.Series[Any]) -> pd.Series[Any]:
    """Give the sample's values back if they are numbers where the reference's are, and so on."""
    if not sample.empty:
        found = _dtype(name, sample, "sample")
        if found != dtype and {found, dtype} & {"string", "bool"}:
            raise InputError(
                f"Column {name!r} of sample is {found}, and the reference's is {dtype}.",
                hint="Pass rows of the same kind as the reference.",
            )
    return sample


def _categories(parts: list[pd.Series[Any]]) -> tuple[str, ...] | None:
    distinct: set[str] = set()
    for part in parts:
        distinct.update(str(value) for value in pd.unique(part.astype(object)))
    return tuple(sorted(distinct)) if len(distinct) <= MOST_CATEGORIES else None


def _dtype(name: str, present: pd.Series[Any], what: str = "reference") -> Dtype:
    kind = present.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _dtype(name, present.astype(kind.categories.dtype), what)
    types = pd.api.types
    if types.is_bool_dtype(kind):
        return "bool"
    if types.is_integer_dtype(kind):
        return "int64"
    if types.is_float_dtype(kind):
        return "float32" if kind == np.float32 else "float64"
    if types.is_string_dtype(kind) or types.is_object_dtype(kind):
        inferred = _INFERRED.get(types.infer_dtype(present, skipna=True))
        if inferred is not None:
            return inferred
    if types.is_object_dtype(kind):
        raise _mixed(name, present, what)
    raise PackagingError(
        f"Column {name!r} of {what} is of dtype {kind}, which a served model cannot take.",
        hint="Derive numbers or text from it (of a date: its month, its weekday), and fit on those.",
    )


def _mixed(name: str, present: pd.Series[Any], what: str) -> PackagingError:
    """Say which types an object column holds, with the first row of each."""
    first: dict[str, tuple[Any, Any]] = {}
    for row, value in present.items():
        first.setdefault(type(value).__name__, (row, value))
    rows = [f"{kind} (row {row}: {repr(value)[:40]})" for kind, (row, value) in list(first.items())[:5]]
    verb = "mixes" if len(first) > 1 else "holds values that cannot be served:"
    return PackagingError(
        f"Column {name!r} of {what} {verb} {' and '.join(rows)}.",
        hint="Make it one of numbers, booleans or text, and fit the model again.",
    )
