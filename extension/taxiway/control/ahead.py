"""Windows that have not begun: predictions of a wrong clock. They are kept, but none is the newest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from taxiway.control.tables import GRACE, WindowRow


def begun(moment: datetime) -> ColumnElement[bool]:
    """Give the condition that a window has begun; clocks may differ by ``GRACE``."""
    return WindowRow.start <= moment + GRACE


def told(session: Session, endpoint: str, moment: datetime) -> str | None:
    """Say in a sentence how many predictions are in windows that have not begun; None if none is."""
    mine = (WindowRow.endpoint == endpoint, WindowRow.role == "live", ~begun(moment))
    counted = select(func.sum(WindowRow.rows), func.max(WindowRow.start)).where(*mine)
    rows, last = session.execute(counted).one()
    if not rows:
        return None
    many = "1 prediction has" if rows == 1 else f"{rows:,} predictions have"
    return (
        f"{many} a time that has not come yet, as late as {last:%b %Y}: is a clock wrong? "
        "What is of such a time is kept, but left out of what is shown and judged."
    )
