"""The prediction log: what the serving processes' records say, as frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: One record of a spool, as serving wrote it; one that is ``bare`` has a row, and values in place of columns.
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
    for group, places in _by_shape(record for record in records if record["kind"] == "prediction"):
        bare = all(record.get("bare") and not record.get("times") for record in group)
        columns = _bare_columns(group) if bare else _columns([_listed(record) for record in group])
        index = places if bare else _repeated(places, [len(record["ids"]) for record in group])
        frames.append(pd.DataFrame(columns, index=index))
    if not frames:
        return _typed(pd.DataFrame({name: [] for name in _PREDICTION_COLUMNS}, dtype=object))
    whole = frames[0] if len(frames) == 1 else pd.concat(frames).sort_index(kind="stable")
    return _typed(whole.reset_index(drop=True))


def _columns(group: list[Record]) -> dict[str, list[Any]]:
    """Give the columns of records that have the same ones."""
    sizes = [len(record["ids"]) for record in group]
    columns = {"id": _joined(record["ids"] for record in group)}
    columns["request"] = _repeated((record["request"] for record in group), sizes)
    columns["time"] = _joined(_times(record, size) for record, size in zip(group, sizes, strict=True))
    columns["received"] = _repeated((record["time"] for record in group), sizes)
    for name in ("model", "role", "latency_ms"):
        columns[name] = _repeated((record[name] for record in group), sizes)
    for prefix, part in ((INPUT, "inputs"), (OUTPUT, "outputs")):
        cells = zip(*(record[part].values() for record in group), strict=True)  # of one order of columns
        columns |= {prefix + name: _joined(of) for name, of in zip(group[0][part], cells, strict=True)}
    return columns


def _bare_columns(group: list[Record]) -> dict[str, list[Any]]:
    """Give what ``_columns`` does of records that are bare, without a list for each value."""
    columns = {"id": _joined(record["ids"] for record in group)}
    columns["request"] = [record["request"] for record in group]
    columns["time"] = columns["received"] = [record["time"] for record in group]
    for name in ("model", "role", "latency_ms"):
        columns[name] = [record[name] for record in group]
    for prefix, part in ((INPUT, "inputs"), (OUTPUT, "outputs")):
        cells = zip(*[record[part].values() for record in group], strict=True)
        columns |= {prefix + name: list(of) for name, of in zip(group[0][part], cells, strict=True)}
    return columns


def _listed(record: Record) -> Record:
    """Give a record whose columns are lists."""
    if not record.get("bare"):
        return record
    parts = {part: {name: [value] for name, value in record[part].items()} for part in ("inputs", "outputs")}
    return {**record, **parts}


def outcomes_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Give the outcomes among some records, one a row: ``id``, ``outcome``, ``time``, ``received``."""
    import pandas as pd

    group = [record for record in records if record["kind"] == "outcome"]
    sizes = [len(record["ids"]) for record in group]
    columns = {
        "id": _joined(record["ids"] for record in group),
        "outcome": _joined(record["outcomes"] for record in group),
        "time": _joined(_times(record, size) for record, size in zip(group, sizes, strict=True)),
        "received": _repeated((record["time"] for record in group), sizes),
    }
    return _typed(pd.DataFrame(columns, columns=_OUTCOME_COLUMNS))


def model_frame(predictions: pd.DataFrame) -> pd.DataFrame:
    """Give what a reference profile is of: inputs and outputs by their own names, without the prefixes."""
    outputs = [name for name in predictions.columns if name.startswith(OUTPUT)]
    inputs = [name for name in predictions.columns if name.startswith(INPUT)]
    chosen = predictions[inputs + outputs]
    return chosen.rename(columns=lambda name: name.removeprefix(INPUT).removeprefix(OUTPUT))


def _by_shape(records: Iterable[Record]) -> Iterable[tuple[list[Record], list[int]]]:
    """Part records by their columns, so that each part is columnar; with their places in the whole."""
    parts: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[list[Record], list[int]]] = {}
    for place, record in enumerate(records):
        shape = tuple(record["inputs"]), tuple(record["outputs"])
        group, places = parts.setdefault(shape, ([], []))
        group.append(record)
        places.append(place)
    return parts.values()


def _joined(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def _repeated(values: Iterable[Any], sizes: list[int]) -> list[Any]:
    return list(chain.from_iterable(map(repeat, values, sizes)))


def _times(record: Record, size: int) -> Iterable[Any]:
    times: list[Any] | None = record.get("times")
    return times if times else repeat(record["time"], size)


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
