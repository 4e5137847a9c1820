"""The drift of all columns of a window together: which rows are compared, and how often."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from taxiway.control import parts
from taxiway.control.ledger import now
from taxiway.control.tables import WindowRow
from taxiway.errors import CorruptionError
from taxiway.monitoring.log import INPUT
from taxiway.monitoring.multivariate import MIN_ROWS, multivariate
from taxiway.monitoring.windows import window_label

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.control.judging import Case

GROWTH = 1.5  # a window that is not over is compared again when it has grown so much
MOST_READ = 20_000

log = logging.getLogger("taxiway.monitor")


def multivariate_of(case: Case) -> dict[str, Any] | None:
    """Compare the rows of a window of the live Model with those of the reference.

    A Model that keeps none has the first window that it was live in for a reference, which is said.
    """
    window, last = case.window, case.window.multivariate
    if window.role != "live" or window.rows < MIN_ROWS:
        return last
    seen = last["rows"] if last else 0
    if window.rows < GROWTH * seen and (window.end > now() or window.rows == seen):
        return last
    try:
        reference, source = _reference(case)
    except CorruptionError as error:  # all else that is found in the window is still wanted
        log.error("%s: %s", case.endpoint.name, error)
        return last
    if reference is None:
        return last
    found = multivariate(reference, _inputs(case, window))
    if found is None:
        return last
    return {**found.to_dict(), "text": f"{found.text}{source}", "rows": window.rows}


def _reference(case: Case) -> tuple[pd.DataFrame | None, str]:
    kept = case.model.reference_rows()
    if kept is not None:
        return kept, ""
    with case.ledger.reading() as session:
        first = session.scalars(
            select(WindowRow)
            .where(WindowRow.endpoint == case.endpoint.name, WindowRow.model == case.window.model)
            .where(WindowRow.role == "live", WindowRow.rows >= MIN_ROWS)
            .order_by(WindowRow.start)
        ).first()
    if first is None or first.start >= case.window.start:
        return None, ""
    label = window_label(first.start, case.endpoint.window)  # type: ignore[arg-type]
    return _inputs(case, first), f" (the Model keeps no rows: its first window, {label}, stands for them)"


def _inputs(case: Case, window: WindowRow) -> pd.DataFrame:
    """Give the inputs of a window by their own names: of the newest files, as many as are needed."""
    with case.ledger.reading() as session:
        files = parts.of_window(session, window)
    chosen, rows = [], 0
    for part in reversed(files):
        chosen.append(part)
        rows += part.rows
        if rows >= MOST_READ:
            break
    names = [INPUT + name for name in case.model.signature.names]
    return parts.read(chosen, names).rename(columns=lambda name: name.removeprefix(INPUT))
