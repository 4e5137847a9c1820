"""How long windows, profiles and predictions are kept: the monitor merges and removes what is older.

Windows become longer as they age, hours days and days weeks, their profiles and those of their slices
merged; predictions and outcomes are removed. Age counts from when a window's last rows came, where that is
later than its end: what is replayed of years ago is kept as long as what is new. What is to go is first
unlisted in the ledger; its file is removed with the other files that nothing names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from taxiway.control import parts, stored
from taxiway.control.ledger import Ledger
from taxiway.control.ledger import now as present
from taxiway.control.tables import EndpointRow, PartRow, SliceRow, WindowRow
from taxiway.monitoring import profiles
from taxiway.monitoring.windows import Unit, start_of, window_end
from taxiway.settings import settings

EVERY_SECONDS = 3600.0
MOST_MERGES = 20  # in one go, so that the next cycle is not late
MOST_FILES = 2000

log = logging.getLogger("taxiway.monitor")


@dataclass(frozen=True, slots=True)
class _Merge:
    """Windows of one Model and role that become one."""

    start: datetime
    end: datetime
    windows: Sequence[WindowRow]


def apply(ledger: Ledger, row: EndpointRow, *, now: datetime | None = None) -> bool:
    """Merge and remove what is older than the settings say; tell whether there is more to do.

    Parameters
    ----------
    now
        The time to count from; the present by default.
    """
    time = now or present()
    kept = settings()
    more = False
    ages: list[tuple[Unit, int]] = [("day", kept.retention_hours), ("week", kept.retention_days)]
    for unit, days in ages:
        more |= _merge_older(ledger, row, unit, time - timedelta(days=days))
    limit = time - timedelta(days=kept.retention_predictions)
    more |= _forget_predictions(ledger, row.name, limit)
    more |= _forget_outcomes(ledger, row.name, limit)
    return more


def _merge_older(ledger: Ledger, row: EndpointRow, unit: Unit, limit: datetime) -> bool:
    """Merge the windows that are shorter than ``unit``, of units that ended before ``limit``."""
    with ledger.reading() as session:
        query = (
            select(WindowRow)
            .where(WindowRow.endpoint == row.name, WindowRow.end <= limit)
            .order_by(WindowRow.model, WindowRow.role, WindowRow.start)
        )
        windows = list(session.scalars(query))
    merges = list(_merges(windows, unit, limit))
    for merge in merges[:MOST_MERGES]:
        _merge(ledger, merge)
    if merges:
        done = min(len(merges), MOST_MERGES)
        log.info("%s: %d windows before %s are kept by the %s", row.name, done, limit.date(), unit)
    return len(merges) > MOST_MERGES


def _merges(windows: Iterable[WindowRow], unit: Unit, limit: datetime) -> Iterable[_Merge]:
    def place(window: WindowRow) -> tuple[str, str, datetime]:
        return window.model, window.role, start_of(window.start, unit)

    for (_, _, start), group in groupby(windows, key=place):
        end = window_end(start, unit)
        # A window that is longer already, or leaps over the border (a month's), stays as it is.
        found = [window for window in group if window.end <= end]
        whole = len(found) == 1 and (found[0].start, found[0].end) == (start, end)
        settled = all(window.updated <= limit for window in found)
        if found and not whole and end <= limit and settled:
            yield _Merge(start, end, found)


def _merge(ledger: Ledger, merge: _Merge) -> None:
    """Put one window, and one of each of its slices, in the place of several, in one transaction."""
    first = merge.windows[0]
    keys = [(window.endpoint, window.start, window.model, window.role) for window in merge.windows]
    with ledger.reading() as session:
        slices = _slices_of(session, first, merge)
        whole = WindowRow(
            endpoint=first.endpoint,
            start=merge.start,
            end=merge.end,
            model=first.model,
            role=first.role,
            rows=0,
            judged=False,
            drift=[],
            # stays where its predictions are not all kept: it cannot be measured again then
            performance=combined([window.performance for window in merge.windows]),
            updated=max(window.updated for window in merge.windows),
            quality=[],
        )
    views = _views(ledger, merge.windows)
    if not views:
        return
    whole.rows = sum(window.rows for window in merge.windows)
    whole.profile = str(stored.write(profiles.merge(views), whole, rows=whole.rows))
    fresh = [_merged_slice(ledger, whole, group) for group in slices]
    with ledger.transaction() as session:
        now_there = [session.get(WindowRow, key) for key in keys]
        for window, was in zip(now_there, merge.windows, strict=True):
            if window is None or window.profile != was.profile:
                return  # rows have come meanwhile
            session.delete(window)
        for group in slices:
            for one in group:
                if (there := session.get(SliceRow, _slice_key(one))) is not None:
                    session.delete(there)
        session.flush()
        session.add(whole)
        session.add_all(one for one in fresh if one is not None)


def _views(ledger: Ledger, rows: Iterable[stored.Stored]) -> list[profiles.View]:
    """Read the profiles; one that is lost is told in the log, and is missing from what they become."""
    views = []
    for row in rows:
        try:
            views.append(stored.load(ledger, row))
        except stored.LostProfileError as error:
            log.error("%s: %s", row.endpoint, error)
    return views


def _slices_of(session: Session, first: WindowRow, merge: _Merge) -> list[list[SliceRow]]:
    query = (
        select(SliceRow)
        .where(
            SliceRow.endpoint == first.endpoint,
            SliceRow.model == first.model,
            SliceRow.role == first.role,
            SliceRow.start >= merge.start,
            SliceRow.start < merge.end,
        )
        .order_by(SliceRow.column, SliceRow.value, SliceRow.start)
    )
    found = groupby(session.scalars(query), key=lambda one: (one.column, one.value))
    return [list(group) for _, group in found]


def _merged_slice(ledger: Ledger, whole: WindowRow, group: list[SliceRow]) -> SliceRow | None:
    views = _views(ledger, group)
    if not views:
        return None
    first, rows = group[0], sum(one.rows for one in group)
    return SliceRow(
        endpoint=first.endpoint,
        start=whole.start,
        model=first.model,
        role=first.role,
        column=first.column,
        value=first.value,
        rows=rows,
        profile=str(
            stored.write(profiles.merge(views), whole, rows=rows, named=f"{first.column}={first.value}")
        ),
    )


def _slice_key(one: SliceRow) -> tuple[Any, ...]:
    return one.endpoint, one.start, one.model, one.role, one.column, one.value


def combined(measured: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Combine the performance of windows whose predictions are gone: means weighted by their outcomes.

    Exact for shares and mean errors; the intervals are those of the parts on average, hence too wide.
    """
    known = [one for one in measured if one and one.get("metrics") and one.get("n_labelled")]
    if not known:
        return next((one for one in measured if one), None)
    counts = [one["n_labelled"] for one in known]
    metrics = {}
    for name, example in known[0]["metrics"].items():
        each = zip(known, counts, strict=True)
        having = [(one["metrics"][name], n) for one, n in each if name in one["metrics"]]
        metrics[name] = {
            part: _weighted([(value[part], n) for value, n in having if value.get(part) is not None])
            for part in example
        }
    predictions = sum(one["n_predictions"] for one in measured if one)
    return {
        **known[-1],
        "n_predictions": predictions,
        "n_labelled": sum(counts),
        "coverage": sum(counts) / predictions if predictions else 0.0,
        "metrics": metrics,
        "slices": [],
    }


def _weighted(values: list[tuple[float, int]]) -> float | None:
    total = sum(n for _, n in values)
    return sum(value * n for value, n in values) / total if total else None


def _forget_predictions(ledger: Ledger, endpoint: str, limit: datetime) -> bool:
    """Unlist the predictions of windows that are as they were at ``limit``; what was found in them stays."""
    with ledger.reading() as session:
        query = select(PartRow).where(
            PartRow.endpoint == endpoint, PartRow.kind == "prediction", PartRow.window_start < limit
        )
        rows = list(session.scalars(query.order_by(PartRow.window_start).limit(MOST_FILES + 1)))
        windows = parts.Windows(session, endpoint)
        fresh = select(WindowRow.model, WindowRow.role, WindowRow.start).where(
            WindowRow.endpoint == endpoint, WindowRow.updated > limit
        )
        grown = {tuple(key) for key in session.execute(fresh)}
    old = []
    for row in rows[:MOST_FILES]:
        assert row.window_start is not None
        span = windows.span(row.window_start, row.model, row.role)
        if span is None or (span[1] <= limit and (row.model, row.role, span[0]) not in grown):
            old.append(row.id)
    _unlist(ledger, old)
    return len(rows) > MOST_FILES and bool(old)


def _forget_outcomes(ledger: Ledger, endpoint: str, limit: datetime) -> bool:
    """Unlist the files of which every outcome came before ``limit``."""
    import pyarrow.parquet as pq

    with ledger.reading() as session:
        rows = parts.select_parts(session, endpoint, "outcome")
    old = []
    for row in rows:  # oldest first
        with pq.ParquetFile(row.path) as file:
            times = file.read(columns=["received"])["received"].drop_null().to_pylist()
        newest = max(times, default=datetime.max.replace(tzinfo=UTC))
        if newest.astimezone(UTC) >= limit:
            break
        old.append(row.id)
    _unlist(ledger, old)
    return False


def _unlist(ledger: Ledger, ids: Sequence[int]) -> None:
    for place in range(0, len(ids), 500):
        with ledger.transaction() as session:
            session.execute(delete(PartRow).where(PartRow.id.in_(ids[place : place + 500])))
