"""Windows that have not begun: predictions of a wrong clock. They are kept, but none is the newest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from taxiway.control.tables import GRACE, WindowRow
from taxiway.monitoring.context import Ahead


def begun(moment: datetime) -> ColumnElement[bool]:
    """Give the condition that a window has begun; clocks may differ by ``GRACE``."""
    return WindowRow.start <= moment + GRACE


def find(session: Session, endpoint: str, moment: datetime) -> Ahead | None:
    """Give the predictions that are in windows that have not begun; None if none is."""
    mine = (WindowRow.endpoint == endpoint, WindowRow.role == "live", ~begun(moment))
    counted = select(func.sum(WindowRow.rows), func.max(WindowRow.start), func.max(WindowRow.updated)).where(
        *mine
    )
    rows, last, came = session.execute(counted).one()
    if not rows:
        return None
    return Ahead(rows, last, came)


def told(session: Session, endpoint: str, moment: datetime) -> str | None:
    """Say of them in a sentence how many there are; None if there is none."""
    found = find(session, endpoint, moment)
    return None if found is None else found.said
