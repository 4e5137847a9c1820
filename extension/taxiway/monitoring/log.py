"""The prediction log: what the serving processes' records say, as frames and as schema findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]  # one record of a spool, as serving wrote it

INPUT = "in."
OUTPUT = "out."
_PREDICTION_COLUMNS = ("id", "request", "time", "received", "model", "role", "latency_ms")
_OUTCOME_COLUMNS = ("id", "outcome", "time", "received")
# Epoch seconds of the years 1 to 9998: beyond them a time zone may leave what Python's calendar holds.
_TIMES = (-62_135_596_800.0, 253_370_764_800.0)
_REJECTING = frozenset({"missing", "retyped", "null"})


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
        sizes = [len(record["ids"]) for record in group]
        columns: dict[str, Any] = {"id": _joined(record["ids"] for record in group)}
        columns["request"] = _repeated((record["request"] for record in group), sizes)
        columns["time"] = _joined(_times(record, size) for record, size in zip(group, sizes, strict=True))
        columns["received"] = _repeated((record["time"] for record in group), sizes)
        for name in ("model", "role", "latency_ms"):
            columns[name] = _repeated((record[name] for record in group), sizes)
        for prefix, part in ((INPUT, "inputs"), (OUTPUT, "outputs")):
            for name in group[0][part]:
                columns[prefix + name] = _joined(record[part][name] for record in group)
        frames.append(pd.DataFrame(columns, index=_repeated(places, sizes)))
    if not frames:
        return _typed(pd.DataFrame({name: [] for name in _PREDICTION_COLUMNS}, dtype=object))
    return _typed(pd.concat(frames).sort_index(kind="stable").reset_index(drop=True))


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


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """What requests had that the signature does not say, for one kind and column.

    Attributes
    ----------
    kind
        ``extra``, ``missing``, ``retyped``, ``null``, ``new_category`` or ``out_of_range``.
    model
        The tag of the Model that found it last.
    count, requests
        Rows and requests in which it was found.
    first_seen, last_seen
        Times of receipt, UTC.
    example, expected, found
        Of the last request.
    rejected
        Whether any request was rejected for it.
    """

    kind: str
    column: str
    model: str
    count: int
    first_seen: datetime
    last_seen: datetime
    example: Any = None
    expected: str = ""
    found: str = ""
    rejected: bool = False
    requests: int = 1


def schema_findings(records: Iterable[Record]) -> list[SchemaFinding]:
    """Give the schema findings of live requests, one for each kind and column, earliest first.

    A shadow sees the same requests again, so its findings are not counted.
    """
    return merge_findings(
        finding
        for record in records
        if record["kind"] in ("prediction", "rejected") and record["role"] != "shadow"
        for finding in _findings_of(record)
    )


def merge_findings(findings: Iterable[SchemaFinding]) -> list[SchemaFinding]:
    """Add findings up by kind and column: those stored so far and those of a new cycle, say."""
    merged: dict[tuple[str, str], SchemaFinding] = {}
    for new in findings:
        key = new.kind, new.column
        old = merged.get(key)
        if old is None:
            merged[key] = new
            continue
        last = new if new.last_seen >= old.last_seen else old
        merged[key] = replace(
            last,
            count=old.count + new.count,
            requests=old.requests + new.requests,
            first_seen=min(old.first_seen, new.first_seen),
            rejected=old.rejected or new.rejected,
        )
    return sorted(merged.values(), key=lambda finding: (finding.first_seen, finding.kind, finding.column))


def _findings_of(record: Record) -> list[SchemaFinding]:
    """Give the findings of one request; of a rejected one, only those that rejected it are called so."""
    found: list[dict[str, Any]] = record.get("findings") or []
    if not found:
        return []
    time = datetime.fromtimestamp(record["time"], UTC)
    rejected = record["kind"] == "rejected"
    causes = {entry["kind"] for entry in found} & _REJECTING
    entries = [
        SchemaFinding(
            kind=entry["kind"],
            column=entry["column"],
            model=record["model"],
            count=int(entry.get("count") or 1),
            first_seen=time,
            last_seen=time,
            example=entry.get("example"),
            expected=entry.get("expected") or "",
            found=entry.get("found") or "",
            rejected=rejected and (not causes or entry["kind"] in causes),
        )
        for entry in found
    ]
    return [replace(merged, requests=1) for merged in merge_findings(entries)]
