# ruff: noqa: E501  (a table reads by the row)
"""What a profile of each pandas dtype must be."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

INF = float("inf")
NUMBERS = {"mean": 2.0, "stddev": 1.0, "minimum": 1.0, "maximum": 3.0}
THREE_INTS = {"integral": 3}
THREE_FLOATS = {"fractional": 3}
THREE_WORDS = {"string": 3}
DAY = 86400.0

# name, values, nulls, infinities, types, moments, kind
DTYPES = [
    ("str", pd.Series(["a", "b", "a", None], dtype="str"), 1, 0, THREE_WORDS, {}, "categorical"),
    ("string", pd.Series(["a", "b", "a", None], dtype="string"), 1, 0, THREE_WORDS, {}, "categorical"),
    ("string[pyarrow]", pd.Series(["a", "b", "a", None], dtype="string[pyarrow]"), 1, 0, THREE_WORDS, {}, "categorical"),
    ("arrow string", pd.Series(["a", "b", "a", None], dtype=pd.ArrowDtype(pa.string())), 1, 0, THREE_WORDS, {}, "categorical"),
    ("arrow dictionary", pd.Series(["a", "b", "a", None], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))), 1, 0, THREE_WORDS, {}, "categorical"),
    ("object of text", pd.Series(["a", "b", "a", None], dtype=object), 1, 0, THREE_WORDS, {}, "categorical"),
    ("category", pd.Series(["a", "b", "a"], dtype="category"), 0, 0, THREE_WORDS, {}, "categorical"),
    ("category with missing", pd.Series(["a", "b", "a", None], dtype="category"), 1, 0, THREE_WORDS, {}, "categorical"),
    ("category of numbers with missing", pd.Series([1, 2, 3, None], dtype="category"), 1, 0, THREE_INTS, NUMBERS, "numeric"),
    ("int64", pd.Series([1, 2, 3]), 0, 0, THREE_INTS, NUMBERS, "numeric"),
    ("int8", pd.Series([1, 2, 3], dtype="int8"), 0, 0, THREE_INTS, NUMBERS, "numeric"),
    ("uint64", pd.Series([1, 2, 3], dtype="uint64"), 0, 0, THREE_INTS, NUMBERS, "numeric"),
    ("uint64 beyond int64", pd.Series([2**63, 2**63, 2**63], dtype="uint64"), 0, 0, THREE_FLOATS, {"mean": 2.0**63, "minimum": 2.0**63}, "numeric"),
    ("Int64", pd.Series([1, 2, 3, None], dtype="Int64"), 1, 0, THREE_INTS, NUMBERS, "numeric"),
    ("int64[pyarrow]", pd.Series([1, 2, 3, None], dtype="int64[pyarrow]"), 1, 0, THREE_INTS, NUMBERS, "numeric"),
    ("ints with missing", pd.Series([1, 2, 3, None]), 1, 0, THREE_INTS, NUMBERS, "numeric"),
    ("object of ints with missing", pd.Series([1, 2, 3, None], dtype=object), 1, 0, THREE_INTS, NUMBERS, "numeric"),
    ("float64", pd.Series([1.0, 2.0, 3.0]), 0, 0, THREE_FLOATS, NUMBERS, "numeric"),
    ("float64 with missing", pd.Series([0.5, 2.0, 3.5, np.nan]), 1, 0, THREE_FLOATS, {"mean": 2.0, "stddev": 1.5}, "numeric"),
    ("float32", pd.Series([1, 2, 3], dtype="float32"), 0, 0, THREE_FLOATS, NUMBERS, "numeric"),
    ("Float64", pd.Series([1, 2, 3, None], dtype="Float64"), 1, 0, THREE_FLOATS, NUMBERS, "numeric"),
    ("double[pyarrow]", pd.Series([1, 2, 3, None], dtype="double[pyarrow]"), 1, 0, THREE_FLOATS, NUMBERS, "numeric"),
    ("float with inf", pd.Series([1.0, 2.0, 3.0, INF, -INF, np.nan]), 1, 2, THREE_FLOATS, NUMBERS, "numeric"),
    ("Float64 with inf", pd.Series([1.0, 2.0, 3.0, INF, None], dtype="Float64"), 1, 1, THREE_FLOATS, NUMBERS, "numeric"),
    ("object with inf", pd.Series([1.5, 2.0, 2.5, INF], dtype=object), 0, 1, THREE_FLOATS, {"mean": 2.0, "stddev": 0.5}, "numeric"),
    ("decimal", pd.Series([Decimal("1"), Decimal("2"), Decimal("3"), None]), 1, 0, THREE_FLOATS, NUMBERS, "numeric"),
    ("bool", pd.Series([True, False, True]), 0, 0, {"boolean": 3}, {"mean": 2 / 3, "minimum": 0.0, "maximum": 1.0}, "categorical"),
    ("boolean", pd.Series([True, False, True, None], dtype="boolean"), 1, 0, {"boolean": 3}, {"mean": 2 / 3}, "categorical"),
    ("arrow bool", pd.Series([True, False, True, None], dtype="bool[pyarrow]"), 1, 0, {"boolean": 3}, {"mean": 2 / 3}, "categorical"),
    ("datetime64", pd.Series(pd.to_datetime(["1970-01-02", "1970-01-03", "1970-01-04", None])), 1, 0, THREE_FLOATS, {"mean": 2 * DAY, "stddev": DAY, "minimum": DAY}, "datetime"),
    ("datetime64 with zone", pd.Series(pd.to_datetime(["1970-01-02T01:00+01:00", None], utc=True)), 1, 0, {"fractional": 1}, {"mean": DAY}, "datetime"),
    ("arrow timestamp", pd.Series(pd.to_datetime(["1970-01-02", None])).astype("timestamp[us][pyarrow]"), 1, 0, {"fractional": 1}, {"mean": DAY}, "datetime"),
    ("period", pd.Series(pd.period_range("1970-01-02", periods=3)), 0, 0, THREE_FLOATS, {"mean": 2 * DAY}, "datetime"),
    ("object of datetimes", pd.Series([datetime(1970, 1, 2, tzinfo=UTC), None], dtype=object), 1, 0, {"fractional": 1}, {"mean": DAY}, "datetime"),
    ("timedelta64", pd.Series(pd.to_timedelta([1, 2, 3], unit="D")), 0, 0, THREE_FLOATS, {"mean": 2 * DAY}, "datetime"),
    ("mixed", pd.Series([1, 2.5, "a", True, None, (1, 2)], dtype=object), 1, 0, {"integral": 1, "fractional": 1, "string": 1, "boolean": 1, "object": 1}, {}, "categorical"),
    ("all null", pd.Series([None, None], dtype=object), 2, 0, {}, {}, "empty"),
    ("all nan", pd.Series([np.nan, np.nan]), 2, 0, {}, {}, "empty"),
    ("zero rows", pd.Series([], dtype="float64"), 0, 0, {}, {}, "empty"),
]  # fmt: skip
