"""Tables of outcomes: which prediction each row tells the truth about, and what is odd about the rest.

Nothing here guesses in silence: a row that cannot be used, or only in a doubtful way, is counted and named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError
from taxiway.monitoring.log import INPUT
from taxiway.monitoring.performance import as_numbers

if TYPE_CHECKING:
    import pandas as pd

LONGEST_ID = 256  # as serving takes it
_SHOWN = 3
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ZONE = r"(?:[zZ]|[+-]\d{2}:?(?:\d{2})?)$"
_CLOCK = r":\d{2}"


@dataclass(frozen=True, slots=True)
class OutcomeFinding:
    """Something odd about some rows of outcomes.

    Attributes
    ----------
    kind
        ``no_id``, ``no_outcome``, ``conflicting``, ``unmatched``, ``ambiguous``, ``no_zone``, ``no_time``,
        ``future`` or ``unknown``.
    count
        How many rows (ids, of ``conflicting`` and ``unknown``).
    text
        A sentence for people, with the first of them.
    """

    kind: str
    count: int
    text: str
    examples: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {**asdict(self), "examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Told:
    """Outcomes that are ready to be sent.

    Attributes
    ----------
    ids, outcomes, times
        One each; times (UTC) are None where the table has none.
    findings
        What was left out, or is odd.
    """

    ids: list[str]
    outcomes: list[Any]
    times: list[datetime] | None
    findings: tuple[OutcomeFinding, ...] = ()


def by_id(
    table: pd.DataFrame,
    *,
    id: str = "id",
    outcome: str = "outcome",
    time: str | None = None,
    timezone: str = "UTC",
    now: datetime,
) -> Told:
    """Take outcomes by the ids of their predictions.

    Parameters
    ----------
    table
        One row an outcome; of several rows of one id the last holds.
    id, outcome, time
        The columns; ``time`` is when the outcome came true, as ISO 8601 or epoch seconds.
    timezone
        What times without a zone are in.
    now
        Times after it are in the future.

    Raises
    ------
    InputError
        A column is missing, an id is too long, or an outcome is no number, text or boolean.
    """
    _require(table, [id, outcome, *([time] if time else [])])
    rows, findings = _usable(table.reset_index(drop=True), outcome)
    known = rows[id].notna() & (rows[id].astype(str) != "")
    findings += _finding("no_id", ~known, rows.index, "{} no id and {} left out", "row")
    rows = rows[known]
    times, odd = _times(rows, time, timezone, now)
    return _told(_texts(rows[id]), rows[outcome], times, [*findings, *odd], now)


def by_keys(
    table: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    on: Sequence[str],
    outcome: str = "outcome",
    time: str | None = None,
    tolerance: str | None = None,
    timezone: str = "UTC",
    now: datetime,
) -> Told:
    """Find the prediction of each outcome by columns that both have, and by time.

    Parameters
    ----------
    table
        One row an outcome.
    predictions
        ``id``, ``time`` and ``in.<column>`` for each of ``on``.
    on
        Columns whose values must be equal.
    time
        The table's column of times: the prediction is the nearest one at or before it. Without it, a key
        must have one prediction alone.
    tolerance
        How much earlier the prediction may be, such as ``1d`` or ``90min``; any if not given.

    Returns
    -------
    Told
        Rows without a prediction (``unmatched``) or with several that are equally near (``ambiguous``) are
        left out, counted and named; where several rows tell of one prediction, the last in time holds.

    Raises
    ------
    InputError
        A column is missing on either side, or the tolerance is none.
    """
    import pandas as pd

    if not on:
        raise InputError("There is no key column.", hint="Name at least one input that tells rows apart.")
    _require(table, [*on, outcome, *([time] if time else [])])
    lacking = [name for name in on if INPUT + name not in predictions]
    if lacking:
        raise InputError(
            f"The prediction log has no input column {lacking[0]!r}.",
            hint="Join by columns that the Model takes, or by prediction id.",
        )
    rows, findings = _usable(table.reset_index(drop=True), outcome)
    times, odd = _times(rows, time, timezone, now)
    left = pd.DataFrame({"row": rows.index, "key": _keys(rows, on, predictions)}, index=rows.index)
    right = predictions[["id", "time"]].assign(key=_keys(predictions, on, predictions, INPUT))
    right = right.dropna(subset=["key"]).drop_duplicates(["id"], keep="last")
    left = left.dropna(subset=["key"])
    if times is None:
        matched = left.merge(_alone(right, ["key"]), on="key", how="left")
    else:
        within = None if tolerance is None else _tolerance(tolerance)
        stamped = left.assign(time=times.reindex(left.index)).dropna(subset=["time"])
        unit = right["time"].dt.unit
        matched = pd.merge_asof(
            stamped.assign(time=stamped["time"].dt.as_unit(unit)).sort_values("time", kind="stable"),
            _alone(right, ["key", "time"]).sort_values("time", kind="stable"),
            on="time",
            by="key",
            tolerance=within,
            direction="backward",
        )
    matched = matched.set_index("row").reindex(rows.index)
    near = f" at or before their time{f' within {tolerance}' if tolerance else ''}" if time else ""
    names = _named(rows, [*on, *([time] if time else [])])
    none, several = matched["id"].isna(), matched["several"].eq(True)
    findings += _finding("unmatched", none, names, f"{{}} no prediction{near} and {{}} left out", "row")
    findings += _finding(
        "ambiguous", several & ~none, names, "{} more than one such prediction and {} left out", "row"
    )
    chosen = ~none & ~several
    if times is not None:
        order = times[chosen].sort_values(kind="stable").index
        rows, matched, times = rows.loc[order], matched.loc[order], times.loc[order]
    else:
        rows, matched = rows[chosen], matched[chosen]
    return _told(_texts(matched["id"]), rows[outcome], times, [*findings, *odd], now)


def _alone(predictions: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Give one prediction for each of these, and whether there are several."""
    several = predictions.duplicated(by, keep=False)
    return predictions.assign(several=several).drop_duplicates(by, keep="last")


def _keys(
    frame: pd.DataFrame, on: Sequence[str], predictions: pd.DataFrame, prefix: str = ""
) -> pd.Series[Any]:
    """Write the key of each row as one text; a column that the log has as numbers, as numbers."""
    import pandas as pd

    columns = []
    for name in on:
        values = frame[prefix + name]
        if pd.api.types.is_numeric_dtype(predictions[INPUT + name]):
            numbers = as_numbers(values)
            columns.append(numbers.map(lambda number: format(number, ".17g"), na_action="ignore"))
        else:
            columns.append(values.map(str, na_action="ignore"))
    missing = pd.concat(columns, axis=1).isna().any(axis=1)
    joined = pd.Series([json.dumps(key) for key in zip(*columns, strict=True)], index=frame.index)
    return joined.astype(object).mask(missing)


def _tolerance(text: str) -> pd.Timedelta:
    import pandas as pd

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise InputError(f"{text!r} is no length of time.", hint="Give one such as 7d, 12h, 90min or 30s.")
    return pd.Timedelta(seconds=float(match[1]) * unit)


def _require(table: pd.DataFrame, names: Iterable[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise InputError(
                f"The outcomes have no column {name!r}.",
                hint=f"They have: {', '.join(map(str, table.columns[:20]))}.",
            )


def _usable(rows: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, list[OutcomeFinding]]:
    """Leave out rows whose outcome is not known yet."""
    missing = rows[outcome].isna()
    return rows[~missing], _finding(
        "no_outcome", missing, rows.index, "{} no outcome yet and {} left out", "row"
    )


def _times(
    rows: pd.DataFrame, time: str | None, timezone: str, now: datetime
) -> tuple[pd.Series[Any] | None, list[OutcomeFinding]]:
    """Read times as UTC; what is odd about them is told."""
    import pandas as pd

    if time is None:
        return None, []
    values = rows[time]
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        times, naive = values.dt.tz_convert("UTC"), values.isna() & False
    elif pd.api.types.is_datetime64_dtype(values):
        times, naive = _localized(values, timezone), values.notna()
    elif pd.api.types.is_numeric_dtype(values):
        times, naive = pd.to_datetime(values, unit="s", utc=True, errors="coerce"), values.isna() & False
    else:
        texts = values.map(str, na_action="ignore").astype(object)
        zoned = texts.str.contains(_ZONE, na=False) & texts.str.contains(_CLOCK, na=False)
        naive = texts.notna() & ~zoned
        aware = pd.to_datetime(texts.where(zoned), utc=True, errors="coerce", format="ISO8601")
        local = pd.to_datetime(texts.where(naive), errors="coerce", format="ISO8601")
        times = aware.fillna(_localized(local, timezone))
        naive &= times.notna()
    times = times.dt.as_unit("us")
    names = _named(rows, [time])
    findings = [
        *_finding("no_zone", naive, names, f"{{}} a time without a zone, read as {timezone}", "row"),
        *_finding("no_time", times.isna(), names, "{} no time that can be read", "row"),
        *_finding("future", times > pd.Timestamp(now), names, "{} a time in the future", "row"),
    ]
    return times, findings


def _localized(values: pd.Series[Any], timezone: str) -> pd.Series[Any]:
    from zoneinfo import ZoneInfoNotFoundError

    try:
        zoned = values.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="shift_forward")
    except (ZoneInfoNotFoundError, ValueError, KeyError) as error:
        raise InputError(
            f"{timezone!r} is no time zone.", hint="Give one such as UTC or Europe/Berlin."
        ) from error
    found: pd.Series[Any] = zoned.dt.tz_convert("UTC")
    return found


def _named(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Index[Any]:
    """Name each row by what it is looked up by."""
    import pandas as pd

    texts = [
        ", ".join(f"{name}={value}" for name, value in zip(columns, row, strict=True))
        for row in zip(*(rows[name] for name in columns), strict=True)
    ]
    return pd.Index(texts, dtype=object)


def _finding(
    kind: str, where: pd.Series[Any], names: pd.Index[Any], said: str, noun: str
) -> list[OutcomeFinding]:
    """Count rows and name the first: ``{}`` of what is said stands for how many have, and are, so."""
    count = int(where.sum())
    if not count:
        return []
    examples = tuple(str(name) for name in names[where.to_numpy()][:_SHOWN])
    have, are = ("has", "is") if count == 1 else ("have", "are")
    text = said.format(f"{count:,} {noun}{'' if count == 1 else 's'} {have}", are)
    return [OutcomeFinding(kind, count, f"{text} (first: {examples[0]}).", examples)]


def _texts(ids: pd.Series[Any]) -> list[str]:
    """Write ids as texts: a whole number without a fraction, as they were given."""
    return [
        str(int(value)) if isinstance(value, float) and value.is_integer() else str(value) for value in ids
    ]


def _told(
    ids: list[str],
    outcomes: pd.Series[Any],
    times: pd.Series[Any] | None,
    findings: list[OutcomeFinding],
    now: datetime,
) -> Told:
    values = [value.item() if hasattr(value, "item") else value for value in outcomes]
    for name, value in zip(ids, values, strict=True):
        if len(name) > LONGEST_ID:
            raise InputError(
                f"The id {name[:40]!r}… has {len(name)} characters.", hint=f"At most {LONGEST_ID} are taken."
            )
        if isinstance(value, list | dict | tuple | set):
            raise InputError(
                f"The outcome of {name!r} is not a number, a text or a boolean.",
                hint="Give one value for each prediction.",
            )
    seen: dict[str, Any] = {}
    conflicting: dict[str, None] = {}
    for name, value in zip(ids, values, strict=True):
        if name in seen and seen[name] != value:
            conflicting[name] = None
        seen[name] = value
    if conflicting:
        first = next(iter(conflicting))
        noun = "prediction has" if len(conflicting) == 1 else "predictions have"
        findings.append(
            OutcomeFinding(
                "conflicting",
                len(conflicting),
                f"{len(conflicting):,} {noun} several outcomes that differ; the last holds (first: {first}).",
                tuple(conflicting)[:_SHOWN],
            )
        )
    at = (
        None
        if times is None
        else [
            now if missing else time.to_pydatetime()
            for time, missing in zip(times, times.isna(), strict=True)
        ]
    )
    return Told(ids, values, at, tuple(findings))
