"""One column of an endpoint: its distribution in a window over the reference, and over all windows.

This reads profiles, which takes whylogs: where that must not be imported (Jupyter's server), it runs in a
process of its own (``taxiway.lab.profile_worker``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from taxiway.control import desired
from taxiway.control.ahead import begun
from taxiway.control.ledger import ledger, now
from taxiway.control.tables import WindowRow
from taxiway.errors import InputError, NotFoundError, TaxiwayError
from taxiway.monitoring.findings import storable
from taxiway.monitoring.hiding import hide
from taxiway.packaging import registry

if TYPE_CHECKING:
    from taxiway.monitoring.distributions import Brief
    from taxiway.monitoring.sketches import View

MOST_WINDOWS = 200
MOST_READ = 20_000  # columns that are read for a history, which a wide profile is short of
CONCEALED = "The column is marked sensitive: its values are hidden."
_FEWEST_WINDOWS = 12
_MOST_KEPT = 60_000

Json = dict[str, Any]


def column_detail(endpoint: str, column: str, window: str | None = None, model: str | None = None) -> Json:
    """Give a column's distribution in one window of the live role over the Model's reference.

    Parameters
    ----------
    window
        When the window starts (ISO 8601, without a zone: UTC); the newest by default.
    model
        The Model whose window; if not given, the one that predicted more rows in it.

    Returns
    -------
    dict
        ``column``, ``window``, ``end``, ``model``, ``rows``, ``drift`` (the ledger's entry or None),
        ``reference`` and ``present`` (summaries or None), ``distribution``.

    Raises
    ------
    NotFoundError
        There is no such endpoint, window or column, or the window's profile is no longer kept.
    """
    from taxiway.monitoring import distributions, profiles

    start = _parse(window)
    rows = [
        row
        for row in _windows(endpoint, ahead=start is not None)
        if (start is None or row.start == start) and model in (None, row.model)
    ]
    if not rows:
        when = "no window yet" if window is None else f"no window that starts at {window}"
        raise NotFoundError(f"Endpoint {endpoint!r} has {when}.", hint="Choose one of its heat map.")
    row = max(rows, key=lambda row: (row.start, row.rows))
    loaded = registry.load(row.model)
    reference = profiles.read(loaded.path / "reference.bin")
    present = profiles.read(Path(row.profile))
    column = _named(column, reference, present)
    before, after = (distributions.summary_of(view, column) for view in (reference, present))
    if before is None and after is None:
        raise NotFoundError(
            f"Neither the reference nor that window has a column {column!r}.",
            hint="Choose one of the endpoint's columns.",
        )
    sensitive = loaded.signature.sensitive
    shown = distributions.Distribution("none", text=CONCEALED)
    if column in sensitive:
        before = after = None
    else:
        shown = distributions.distribution(column, present, reference)
    return {
        "column": column,
        "window": row.start.isoformat(),
        "end": row.end.isoformat(),
        "model": row.model,
        "rows": row.rows,
        "drift": hide(next((one for one in row.drift if one["column"] == column), None), sensitive),
        "reference": asdict(before) if before else None,
        "present": asdict(after) if after else None,
        "distribution": asdict(shown),
    }


def column_history(endpoint: str, column: str) -> Json:
    """Give a column's quantiles, or its categories' shares, in every window of the live role.

    Returns
    -------
    dict
        ``windows`` (oldest first: ``start``, ``model``, ``quantiles`` or None, ``shares``), ``reference``
        (the live Model's, the same), ``levels`` of the quantiles, ``total`` windows that there are. A window
        whose profile is no longer kept is left out.
    """
    from taxiway.monitoring import distributions, profiles

    windows = sorted(_windows(endpoint), key=lambda row: (row.start, row.rows))
    largest = {row.start: row for row in windows}
    rows = list(largest.values())  # where a switch left two Models in one window
    with ledger().reading() as session:
        live = registry.load(desired.get(session, endpoint).live)
    reference = profiles.read(live.path / "reference.bin")
    name = _named(column, reference)
    if name in live.signature.sensitive:
        return {"levels": distributions.LEVELS, "windows": [], "reference": None, "total": len(rows)}
    wide = len(reference.get_columns())
    most = max(_FEWEST_WINDOWS, min(MOST_WINDOWS, MOST_READ // max(wide, 1)))
    found = []
    for row in rows[-most:]:
        try:
            brief = _briefs.of(Path(row.profile), column)
        except TaxiwayError:
            continue
        if brief is not None:
            found.append({"start": row.start.isoformat(), "model": row.model, **asdict(brief)})
    known = distributions.brief(reference, name) if reference.get_column(name) is not None else None
    return {
        "levels": distributions.LEVELS,
        "windows": found,
        "reference": asdict(known) if known else None,
        "total": len(rows),
    }


class _Briefs:
    """What was read of profiles, which never change: the briefs of their columns, the last used kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, dict[str, Brief]] = OrderedDict()
        self._size = 0

    def of(self, path: Path, column: str) -> Brief | None:
        """Give the brief of a column of a profile; None if the profile lacks it."""
        from taxiway.monitoring import distributions, profiles

        if path not in self._kept:
            view = profiles.read(path)
            self._kept[path] = {
                storable(name): distributions.brief(view, name) for name in view.get_columns()
            }
            self._size += len(self._kept[path])
        self._kept.move_to_end(path)
        found = self._kept[path].get(storable(column))
        while self._size > _MOST_KEPT and len(self._kept) > 1:
            self._size -= len(self._kept.popitem(last=False)[1])
        return found


_briefs = _Briefs()


def _named(column: str, *views: View) -> str:
    """Give the name that a profile has for a column: an alert has it without NUL."""
    names: dict[str, str] = {storable(name): name for view in views for name in view.get_columns()}
    return names.get(storable(column), column)


def _windows(endpoint: str, *, ahead: bool = False) -> Sequence[WindowRow]:
    """Give the windows of the live role; with ``ahead``, those that have not begun too."""
    query = select(WindowRow).where(WindowRow.endpoint == endpoint, WindowRow.role == "live")
    if not ahead:
        query = query.where(begun(now()))
    with ledger().reading() as session:
        desired.get(session, endpoint)
        return session.scalars(query.order_by(WindowRow.start, WindowRow.model)).all()


def _parse(window: str | None) -> datetime | None:
    if window is None:
        return None
    try:
        time = datetime.fromisoformat(window)
    except ValueError as error:
        raise InputError(
            f"{window!r} is no time.", hint="Give the window's start as 2013-01-01T00:00:00Z."
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
