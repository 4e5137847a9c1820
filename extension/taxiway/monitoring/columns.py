"""One column of any dtype, of pandas or Arrow, taken apart into what a profile counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from taxiway.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

Frame: TypeAlias = "pd.DataFrame | pa.Table | pa.RecordBatch | Any"  # or a polars DataFrame
ColumnType = Literal["integral", "fractional", "string"]

_INT64_MAX = 2**63 - 1
_EXACT_IN_FLOAT = 2**53
_MEASURE_TYPES = (int, float, Decimal)


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of one column, each counted once.

    ``rows`` = ``nulls`` + ``infinities`` + ``objects`` + the lengths of ``integers``, ``fractions``,
    ``booleans`` and the sum of ``texts``.

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
    texts
        How often each text occurs.
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
    texts: Mapping[str, int] = field(default_factory=dict)


def take_apart(series: pd.Series[Any] | pa.ChunkedArray) -> Cells:
    """Take a column of any dtype of pandas or Arrow apart.

    Categorical columns count as their categories' dtype, times and durations as seconds, infinities are
    set aside (no moment survives one), and a NumPy float column with missing values whose other values
    are all whole counts as integers, since that is what pandas makes of integers with missing values.
    """
    import pandas as pd

    if not isinstance(series, pd.Series):
        return _of_arrow(series)
    dtype = series.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return _of_arrow(series.array.__arrow_array__())
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
        return Cells("string", rows, nulls, texts=_counted(present))
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
        return Cells("string", rows, nulls, texts=_encodable(Counter(map(str, present))))
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
        texts=_encodable(Counter(texts)),
    )


def _counted(texts: pd.Series[Any]) -> Mapping[str, int]:
    """Count texts of which none is missing, in Arrow where they lie there already."""
    if hasattr(texts.array, "__arrow_array__"):
        return _value_counts(texts.array.__arrow_array__())
    return _encodable(Counter(texts.tolist()))


def _value_counts(texts: pa.Array | pa.ChunkedArray) -> Mapping[str, int]:
    counted = texts.drop_null().value_counts()
    values, counts = counted.flatten()
    return dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))


def _encodable(texts: Mapping[str, int]) -> Mapping[str, int]:
    """Replace what UTF-8 cannot hold (lone surrogates): a sketch refuses the whole batch for one."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        mended: Counter[str] = Counter()
        for text, count in texts.items():
            mended[text.encode("utf-8", "replace").decode()] += count
        return mended
    return texts


def _of_arrow(array: pa.Array | pa.ChunkedArray) -> Cells:
    """Take an Arrow column apart; NaN is a missing value here too."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.Array):
        array = pa.chunked_array([array])
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _of_arrow(array.cast(kind.value_type))
    rows, nulls = len(array), array.null_count
    if pa.types.is_null(kind):
        return Cells("string", rows, rows)
    try:
        present = array.drop_null()
    except pa.ArrowNotImplementedError:  # of views, Arrow knows little
        values = [value for value in array.to_pylist() if value is not None]
        return _objects(pd.Series(values, dtype=object), rows, nulls)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Cells("string", rows, nulls, texts=_value_counts(array))
    if pa.types.is_boolean(kind):
        return Cells("integral", rows, nulls, booleans=present.to_numpy())
    if pa.types.is_integer(kind):
        beyond = pa.types.is_uint64(kind) and len(present) and pc.max(present).as_py() > _INT64_MAX
        if beyond:
            return Cells("fractional", rows, nulls, fractions=present.to_numpy().astype("float64"))
        return Cells("integral", rows, nulls, integers=present.to_numpy().astype("int64", copy=False))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = present.cast(pa.float64()) if pa.types.is_decimal(kind) else present
        numbers = values.to_numpy().astype("float64", copy=False)
        nan = int(np.isnan(numbers).sum())
        finite = numbers[np.isfinite(numbers)]
        infinities = len(numbers) - nan - len(finite)
        return Cells("fractional", rows, nulls + nan, nans=nan, infinities=infinities, fractions=finite)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        micros = present.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast("int64")
        return Cells("fractional", rows, nulls, temporal=True, fractions=micros.to_numpy() / 1e6)
    if pa.types.is_duration(kind):
        micros = present.cast(pa.duration("us"), safe=False).cast("int64")
        return Cells("fractional", rows, nulls, temporal=True, fractions=micros.to_numpy() / 1e6)
    return _objects(pd.Series(present.to_pylist(), dtype=object), rows, nulls)


def columns_of(frame: Frame) -> list[tuple[str, Any]]:
    """Give the columns of a frame of pandas or polars, or of an Arrow table, with their names.

    Raises
    ------
    InputError
        It is nothing of these.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(frame, pd.DataFrame):
        return [(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
    if isinstance(frame, pa.RecordBatch):
        frame = pa.Table.from_batches([frame])
    if isinstance(frame, pa.Table):
        return list(zip(frame.column_names, frame.columns, strict=True))
    if type(frame).__module__.partition(".")[0] == "polars" and hasattr(frame, "get_columns"):
        return [(one.name, _of_polars(one)) for one in frame.get_columns()]
    raise InputError(
        f"A {type(frame).__name__} cannot be profiled.",
        hint="Give a DataFrame of pandas or polars, or an Arrow table (a lazy frame: collect it first).",
    )


def _of_polars(series: Any) -> Any:
    """Give a polars column as Arrow; one that Arrow cannot hold (Python objects, Int128) as pandas."""
    import pandas as pd
    import pyarrow as pa

    if str(series.dtype) in ("Object", "Int128", "UInt128"):
        return pd.Series(series.to_list(), dtype=object)
    return pa.chunked_array([series.to_arrow()])
