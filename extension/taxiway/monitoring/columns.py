"""One pandas column of any dtype, taken apart into what a profile counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

ColumnType = Literal["integral", "fractional", "string"]

_INT64_MAX = 2**63 - 1
_EXACT_IN_FLOAT = 2**53
_MEASURE_TYPES = (int, float, Decimal)


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of one column, each counted once.

    ``rows`` = ``nulls`` + ``infinities`` + ``objects`` + the lengths of ``integers``, ``fractions``,
    ``booleans`` and ``texts``.

    Attributes
    ----------
    type
        What the column is as a whole, which decides the metrics it gets.
    integers, fractions, booleans
        int64, float64 (finite only) and bool arrays.
    temporal
        Whether ``fractions`` are seconds: since the epoch (UTC) for times, or of a duration.
    objects
        Values of no known type.
    """

    type: ColumnType
    rows: int
    nulls: int = 0
    nans: int = 0
    infinities: int = 0
    objects: int = 0
    temporal: bool = False
    integers: NDArray[np.int64] | None = None
    fractions: NDArray[np.float64] | None = None
    booleans: NDArray[np.bool_] | None = None
    texts: list[str] = field(default_factory=list)


def take_apart(series: pd.Series[Any]) -> Cells:
    """Take a column of any pandas dtype apart.

    Categorical columns count as their categories' dtype, times and durations as seconds, infinities are
    set aside (no moment survives one), and a NumPy float column with missing values whose other values
    are all whole counts as integers, since that is what pandas makes of integers with missing values.
    """
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = series.cat.codes.to_numpy()
        present = pd.Series(dtype.categories.take(codes[codes >= 0]))
        cells = take_apart(present)
        return replace(cells, rows=len(series), nulls=cells.nulls + int((codes < 0).sum()))
    null = series.isna()
    present = series[~null]
    rows, nulls = len(series), int(null.sum())
    if pd.api.types.is_bool_dtype(dtype):
        return Cells("integral", rows, nulls, booleans=present.to_numpy(dtype=bool))
    if pd.api.types.is_integer_dtype(dtype):
        return _integers(present, rows, nulls)
    if pd.api.types.is_float_dtype(dtype):
        return _floats(present, rows, nulls)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _times(present, rows, nulls)
    if pd.api.types.is_timedelta64_dtype(dtype):
        seconds = present.dt.total_seconds().to_numpy(dtype=float)
        return Cells("fractional", rows, nulls, temporal=True, fractions=seconds)
    if isinstance(dtype, pd.PeriodDtype):
        return _times(present.dt.start_time, rows, nulls)
    if isinstance(dtype, pd.StringDtype) or issubclass(dtype.type, str):
        return Cells("string", rows, nulls, texts=_encodable(present.tolist()))
    return _objects(present.astype(object), rows, nulls)


def _integers(present: pd.Series[Any], rows: int, nulls: int) -> Cells:
    import pandas as pd

    if pd.api.types.is_unsigned_integer_dtype(present.dtype) and len(present) and present.max() > _INT64_MAX:
        return Cells("fractional", rows, nulls, fractions=present.to_numpy(dtype="float64"))
    return Cells("integral", rows, nulls, integers=present.to_numpy(dtype="int64"))


def _floats(present: pd.Series[Any], rows: int, nulls: int) -> Cells:
    import numpy as np

    values = present.to_numpy(dtype="float64")
    nan = np.isnan(values)  # pyarrow tells NaN from null; a profile does not
    finite = values[np.isfinite(values)]
    nulls += int(nan.sum())
    infinities = len(values) - int(nan.sum()) - len(finite)
    from_numpy = isinstance(present.dtype, np.dtype)
    nans = nulls if from_numpy else int(nan.sum())
    whole = from_numpy and nulls and len(finite) and not infinities
    if whole and (finite == np.floor(finite)).all() and np.abs(finite).max() < _EXACT_IN_FLOAT:
        return Cells("integral", rows, nulls, nans=nans, integers=finite.astype("int64"))
    return Cells("fractional", rows, nulls, nans=nans, infinities=infinities, fractions=finite)


def _times(present: pd.Series[Any], rows: int, nulls: int) -> Cells:
    import pandas as pd

    utc = pd.to_datetime(present, utc=True).dt.tz_localize(None)
    seconds = utc.to_numpy(dtype="datetime64[us]").astype("int64") / 1e6
    return Cells("fractional", rows, nulls, temporal=True, fractions=seconds)


def _objects(present: pd.Series[Any], rows: int, nulls: int) -> Cells:
    import numpy as np
    import pandas as pd

    inferred = pd.api.types.infer_dtype(present, skipna=True)
    if inferred == "string":
        return Cells("string", rows, nulls, texts=_encodable([str(text) for text in present]))
    if inferred in ("datetime", "datetime64", "date"):
        try:
            return _times(present, rows, nulls)
        except (ValueError, OverflowError):  # years that pandas cannot hold stay objects
            pass
    booleans, integers, fractions, texts = [], [], [], []
    infinities = objects = 0
    for value in present:
        if isinstance(value, (bool, np.bool_)):
            booleans.append(bool(value))
        elif isinstance(value, (int, np.integer)) and abs(int(value)) <= _INT64_MAX:
            integers.append(int(value))
        elif isinstance(value, (*_MEASURE_TYPES, np.number)) and not isinstance(value, np.complexfloating):
            try:
                number = float(value)
            except OverflowError:
                number = float("inf")
            if np.isfinite(number):
                fractions.append(number)
            else:
                infinities += 1
        elif isinstance(value, str):
            texts.append(value)
        else:
            objects += 1
    kind: ColumnType = "string" if texts or objects or not len(present) else "integral"
    return Cells(
        "fractional" if kind == "integral" and (fractions or infinities) else kind,
        rows,
        nulls,
        infinities=infinities,
        objects=objects,
        integers=np.array(integers, dtype="int64"),
        fractions=np.array(fractions, dtype="float64"),
        booleans=np.array(booleans, dtype=bool),
        texts=_encodable(texts),
    )


def _encodable(texts: list[str]) -> list[str]:
    """Replace what UTF-8 cannot hold (lone surrogates): a sketch refuses the whole batch for one."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return [text.encode("utf-8", "replace").decode() for text in texts]
    return texts
