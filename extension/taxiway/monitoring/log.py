"""The prediction log: what the serving processes' records say, as frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, groupby, repeat
from typing import TYPE_CHECKING, Any

from taxiway.serving.rows import packed

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: One record of a spool: a request as serving wrote it, or some of a single row that are ``joined`` to one.
Record = Mapping[str, Any]

INPUT = "in."
OUTPUT = "out."
_PREDICTION_COLUMNS = ("id", "request", "time", "received", "model", "role", "latency_ms")
_OUTCOME_COLUMNS = ("id", "outcome", "time", "received")
# Epoch seconds of the years 1 to 9998: beyond them a time zone may leave what Python's calendar holds.
_TIMES = (-62_135_596_800.0, 253_370_764_800.0)


def predictions_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Give the predictions among some records, one a row.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``request``, ``time`` (UTC; the data's own if the client gave one, else that of receipt),
        ``received``, ``model``, ``role``, ``latency_ms`` (of the request), ``in.<column>``…,
        ``out.<output>``…, in the order of the records.
    """
    import pandas as pd

    frames: list[pd.DataFrame] = []
    shapes = _by_shape(record for record in records if record["kind"] == "prediction")
    for group, places in shapes:
        sizes = [len(record["ids"]) for record in group]
        columns: dict[str, Any] = {"id": _column(record["ids"] for record in group)}
        columns["request"] = _each(group, "request", sizes)
        columns["time"] = _column(_times(record, size) for record, size in zip(group, sizes, strict=True))
        columns["received"] = _each(group, "time", sizes)
        for name in ("model", "role"):
            columns[name] = _repeated((record[name] for record in group), sizes)
        columns["latency_ms"] = _each(group, "latency_ms", sizes)
        for prefix, part in ((INPUT, "inputs"), (OUTPUT, "outputs")):
            cells = zip(*(record[part].values() for record in group), strict=True)  # of one order of columns
            columns |= {prefix + name: _column(of) for name, of in zip(group[0][part], cells, strict=True)}
        index = _repeated(places, sizes) if len(shapes) > 1 else None
        frames.append(pd.DataFrame(columns, index=index))
    if not frames:
        return _typed(pd.DataFrame({name: [] for name in _PREDICTION_COLUMNS}, dtype=object))
    if len(frames) == 1:
        return _typed(frames[0])
    return _typed(pd.concat(frames).sort_index(kind="stable").reset_index(drop=True))


def outcomes_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Give the outcomes among some records, one a row: ``id``, ``outcome``, ``time``, ``received``."""
    import pandas as pd

    group = [record for record in records if record["kind"] == "outcome"]
    sizes = [len(record["ids"]) for record in group]
    columns = {
        "id": _column(record["ids"] for record in group),
        "outcome": _column(record["outcomes"] for record in group),
        "time": _column(_times(record, size) for record, size in zip(group, sizes, strict=True)),
        "received": _repeated((record["time"] for record in group), sizes),
    }
    return _typed(pd.DataFrame(columns, columns=_OUTCOME_COLUMNS))


def model_frame(predictions: pd.DataFrame) -> pd.DataFrame:
    """Give what a reference profile is of: inputs and outputs by their own names, without the prefixes."""
    outputs = [name for name in predictions.columns if name.startswith(OUTPUT)]
    inputs = [name for name in predictions.columns if name.startswith(INPUT)]
    chosen = predictions[inputs + outputs]
    return chosen.rename(columns=lambda name: name.removeprefix(INPUT).removeprefix(OUTPUT))


def _by_shape(records: Iterable[Record]) -> list[tuple[list[Record], list[int]]]:
    """Part records by their columns, so that each part is columnar; with their places in the whole."""
    parts: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[list[Record], list[int]]] = {}
    for place, record in enumerate(records):
        shape = tuple(record["inputs"]), tuple(record["outputs"])
        group, places = parts.setdefault(shape, ([], []))
        group.append(record)
        places.append(place)
    return list(parts.values())


def _column(parts: Iterable[Iterable[Any]]) -> Any:
    """Give the values of some requests, one after the other, for what pandas makes of their list."""
    import pyarrow as pa

    arrays: list[Any] = []
    for is_packed, several in groupby(parts, lambda part: isinstance(part, pa.Array)):
        run = list(several)
        arrays += run if is_packed else [packed(list(chain.from_iterable(run)))]
    types = {one.type if isinstance(one, pa.Array) else None for one in arrays} - {pa.null()}
    if len(types) == 1 and None not in types:
        return _as_pandas(pa.chunked_array([one.cast(*types) for one in arrays]))
    return list(chain.from_iterable(one.to_pylist() if isinstance(one, pa.Array) else one for one in arrays))


def _as_pandas(values: pa.ChunkedArray) -> Any:
    import pandas as pd
    import pyarrow as pa

    if not pa.types.is_large_string(values.type):
        return values.to_numpy()
    texts: Any = pd.Series([""]).dtype  # before pandas 3, objects
    return texts.__from_arrow__(values) if hasattr(texts, "__from_arrow__") else values.to_pylist()


def _repeated(values: Iterable[Any], sizes: list[int]) -> list[Any]:
    return list(chain.from_iterable(map(repeat, values, sizes)))


def _each(group: list[Record], field: str, sizes: list[int]) -> Any:
    """Give, for each row, a field of its request."""
    return _column(
        record[field] if record.get("joined") else repeat(record[field], size)
        for record, size in zip(group, sizes, strict=True)
    )


def _times(record: Record, size: int) -> Iterable[Any]:
    if record.get("joined"):
        return record["time"]  # type: ignore[no-any-return]
    return record.get("times") or repeat(record["time"], size)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn epoch seconds into UTC times, mixed values into text; a time that cannot be is that of receipt."""
    import pandas as pd

    for name in ("received", "time"):
        seconds = pd.to_numeric(frame[name], errors="coerce")
        seconds = seconds.where(seconds.between(*_TIMES, inclusive="left"))
        frame[name] = pd.to_datetime(seconds, unit="s", utc=True, errors="coerce").dt.as_unit("us")
    frame["time"] = frame["time"].fillna(frame["received"])
    for column in [name for name in frame.columns if pd.api.types.is_object_dtype(frame[name].dtype)]:
        if pd.api.types.infer_dtype(frame[column], skipna=True).startswith("mixed"):
            frame[column] = frame[column].map(str, na_action="ignore")  # Parquet holds one type a column
    return frame
