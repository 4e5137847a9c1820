"""The stored profiles of windows and of their slices: read, mended from the log where damaged, merged."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import desired, parts
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.tables import SliceRow, WindowRow
from taxiway.errors import CorruptionError, InputError, NotFoundError, TaxiwayError
from taxiway.monitoring import log as prediction_log
from taxiway.monitoring import profiles
from taxiway.monitoring.slices import Slicing, slicings, split
from taxiway.monitoring.windows import Unit, start_of, window_end
from taxiway.settings import settings

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.packaging.model import Model

Stored = WindowRow | SliceRow

log = logging.getLogger("taxiway.monitor")


class LostProfileError(CorruptionError):
    """A stored profile is damaged, and nothing is left to make it again of."""


@lru_cache(maxsize=32)
def _reference(path: Path) -> profiles.View:
    """A Model never changes, so its reference profile is read once."""
    return profiles.read(path)


def reference_of(model: Model) -> profiles.View:
    """Give the profile of what a Model was trained on."""
    return _reference(model.path / "reference.bin")


def slicings_of(model: Model) -> list[Slicing]:
    """Say how the declared slices part a Model's rows; a column that the reference has not is left out."""
    reference = reference_of(model)
    return slicings([name for name in model.slices if reference.get_column(name)], reference)


@lru_cache(maxsize=64)
def _slicings_of(_store: Path, tag: str) -> list[Slicing]:
    """Load a Model for its slices once: every file of it is checked at that, whatever its size."""
    from taxiway.packaging import registry

    return slicings_of(registry.load(tag))


def write(view: profiles.View, window: WindowRow, *, rows: int, named: str = "", source: str = "") -> Path:
    """Write the profile of a window, or of the slice ``named`` of it, aside from all others."""
    kind = "slices" if named else "profiles"
    file = f"{window.start:%Y%m%dT%H}-{window.role}-{secrets.token_hex(6)}.bin"
    profiles.describe(
        view,
        endpoint=window.endpoint,
        model=window.model,
        role=window.role,
        start=window.start.isoformat(),
        end=window.end.isoformat(),
        slice=named,
        rows=str(rows),
        source=source,
    )
    return profiles.write(view, parts.folder(window.endpoint) / kind / file)


def with_rows(ledger: Ledger, window: WindowRow, frame: pd.DataFrame) -> list[WindowRow | SliceRow]:
    """Profile new rows of a window and of its slices, merged with what is stored of them.

    Parameters
    ----------
    window
        The window, of which nothing may be stored yet. Where a longer one is stored that it lies in, the
        rows are added to that.

    Returns
    -------
    list of WindowRow and SliceRow
        To be merged into the ledger together with the rows' file: until then nothing has changed.
    """
    with ledger.reading() as session:
        span = parts.Windows(session, window.endpoint).span(window.start, window.model, window.role)
        if span is not None:
            window.start, window.end = span
        key = (window.endpoint, window.start, window.model, window.role)
        known = session.get(WindowRow, key)
        of_slices = select(SliceRow).where(
            SliceRow.endpoint == key[0],
            SliceRow.start == key[1],
            SliceRow.model == key[2],
            SliceRow.role == key[3],
        )
        slices = {(one.column, one.value): one for one in session.scalars(of_slices)}
    try:
        parted = _slicings_of(settings().store, window.model)
    except TaxiwayError as error:  # the Model is gone: its predictions are not lost for it
        log.warning("%s: no slices of %s: %s", window.endpoint, window.model, error)
        parted = []
    window.rows = len(frame) + (known.rows if known else 0)
    window.profile = str(write(_added(ledger, known, frame, window), window, rows=window.rows))
    changed: list[WindowRow | SliceRow] = [window]
    for column, value, _, rows in split(frame, parted):
        before, chosen = slices.get((column, value)), frame[rows]
        total = len(chosen) + (before.rows if before else 0)
        view = _added(ledger, before, chosen, window)
        path = write(view, window, rows=total, named=f"{column}={value}")
        changed.append(
            SliceRow(
                endpoint=window.endpoint,
                start=window.start,
                model=window.model,
                role=window.role,
                column=column,
                value=value,
                rows=total,
                profile=str(path),
            )
        )
    return changed


def _added(ledger: Ledger, known: Stored | None, frame: pd.DataFrame, window: WindowRow) -> profiles.View:
    view = profiles.profile(prediction_log.model_frame(frame), time=window.start)
    if known is None:
        return view
    try:
        return profiles.merge([load(ledger, known), view])
    except LostProfileError as error:
        log.error("%s: %s It is begun anew.", window.endpoint, error)
        return view


def load(ledger: Ledger, row: Stored) -> profiles.View:
    """Read a stored profile; one that is damaged or gone is made again from the prediction log.

    Raises
    ------
    LostProfileError
        It is damaged, and the predictions it was made of are not kept any more.
    """
    path = Path(row.profile)
    try:
        return profiles.read(path)
    except (CorruptionError, NotFoundError) as error:
        log.error("%s: %s It is made again from the prediction log.", row.endpoint, error)
        view = _again(ledger, row)
        if view is None:
            raise LostProfileError(
                f"{path} is damaged, and its predictions are not kept any more.",
                hint="Restore the store from a backup; the other windows are not affected.",
            ) from error
        return profiles.read(profiles.write(view, path))


def _again(ledger: Ledger, row: Stored) -> profiles.View | None:
    """Profile the rows of a window, or of a slice of it, file by file."""
    with ledger.reading() as session:
        window = session.get(WindowRow, (row.endpoint, row.start, row.model, row.role))
        files = parts.of_window(session, window) if window is not None else []
    parted = None
    if isinstance(row, SliceRow):
        parted = [one for one in _slicings_of(settings().store, row.model) if one.column == row.column]
    views = []
    for file in files:
        frame = parts.read([file])
        chosen = frame if parted is None else _rows_of(frame, parted, row)
        if len(chosen):
            views.append(profiles.profile(prediction_log.model_frame(chosen), time=row.start))
    return profiles.merge(views) if views else None


def _rows_of(frame: pd.DataFrame, parted: Sequence[Slicing], row: Any) -> pd.DataFrame:
    for _, value, _, rows in split(frame, parted):
        if value == row.value:
            return frame[rows]
    return frame[:0]


def merged(
    endpoint: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    unit: Unit | None = None,
    slice: str | None = None,
    model: str | None = None,
    role: str = "live",
) -> list[profiles.View]:
    """Merge an endpoint's stored windows to larger ones.

    Parameters
    ----------
    since, until
        Windows that begin within; without a zone: UTC.
    unit
        One profile for each ``hour``, ``day``, ``week`` or ``month``; None for one of all.
    slice
        ``column=value``, as ``slices`` lists them; None for all rows.
    model
        A tag; the Model that is live by default.

    Returns
    -------
    list of whylogs.core.DatasetProfileView
        Oldest first; ``profiles.about`` tells what each is of.

    Raises
    ------
    InputError
        No stored window is shorter than the unit, or none has such a slice.
    NotFoundError
        There is no such endpoint, or no window in that time.
    """
    book = ledger()
    with book.reading() as session:
        live = desired.get(session, endpoint).live
        windows = _windows(session, endpoint, model or live, role, since, until)
        rows = {window.start: window for window in windows}
        chosen: Sequence[Stored] = windows
        if slice is not None:
            chosen = [
                row for row in _slices(session, endpoint, model or live, role, slice) if row.start in rows
            ]
    if not chosen:
        what = f"with rows where {slice} " if slice and windows else ""
        raise NotFoundError(
            f"Endpoint {endpoint!r} has no window {what}of {model or live} there.",
            hint="`taxiway profile show ENDPOINT` lists the windows and their slices.",
        )
    groups: dict[datetime | None, list[Stored]] = {}
    for row in chosen:
        window = rows[row.start]
        start = start_of(row.start, unit) if unit else None
        if unit and start is not None and window.end > window_end(start, unit):
            raise InputError(
                f"The window from {window.start:%Y-%m-%d} is longer than a{'n' * (unit == 'hour')} {unit}.",
                hint="Ask for a longer unit: old windows are kept merged.",
            )
        groups.setdefault(start, []).append(row)
    return [_merged(book, group, rows, slice or "") for group in groups.values()]


def _merged(book: Ledger, group: list[Stored], rows: dict[datetime, WindowRow], named: str) -> profiles.View:
    view = profiles.merge([load(book, row) for row in group])
    first, last = group[0], rows[group[-1].start]
    return profiles.describe(
        view,
        endpoint=first.endpoint,
        model=first.model,
        role=first.role,
        start=first.start.isoformat(),
        end=last.end.isoformat(),
        slice=named,
        rows=str(sum(row.rows for row in group)),
    )


def _windows(
    session: Session,
    endpoint: str,
    model: str,
    role: str,
    since: datetime | None,
    until: datetime | None,
) -> list[WindowRow]:
    query = select(WindowRow).where(
        WindowRow.endpoint == endpoint, WindowRow.model == model, WindowRow.role == role
    )
    if since is not None:
        query = query.where(WindowRow.start >= in_utc(since))
    if until is not None:
        query = query.where(WindowRow.start < in_utc(until))
    return list(session.scalars(query.order_by(WindowRow.start)))


def _slices(session: Session, endpoint: str, model: str, role: str, named: str) -> Iterator[SliceRow]:
    column, equals, value = named.partition("=")
    if not equals:
        raise InputError(f"{named!r} names no slice.", hint="Write COLUMN=VALUE, such as region=north.")
    return iter(
        session.scalars(
            select(SliceRow)
            .where(
                SliceRow.endpoint == endpoint,
                SliceRow.model == model,
                SliceRow.role == role,
                SliceRow.column == column,
                SliceRow.value == value,
            )
            .order_by(SliceRow.start)
        )
    )


def slices(endpoint: str) -> list[dict[str, Any]]:
    """List an endpoint's slices: column, value, and how many windows and rows each has."""
    with ledger().reading() as session:
        desired.get(session, endpoint)
        rows = session.scalars(select(SliceRow).where(SliceRow.endpoint == endpoint, SliceRow.role == "live"))
        found: dict[tuple[str, str], list[int]] = {}
        for row in rows:
            found.setdefault((row.column, row.value), []).append(row.rows)
    return [
        {"slice": f"{column}={value}", "windows": len(counts), "rows": sum(counts)}
        for (column, value), counts in sorted(found.items())
    ]


def in_utc(time: datetime) -> datetime:
    """Give a time in UTC; one without a zone is in UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
