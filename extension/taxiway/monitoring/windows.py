"""Windows of time, in UTC: hours, days, weeks from Monday, months."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["hour", "day", "week", "month"]

_FREQUENCIES: dict[Unit, str] = {"hour": "h", "day": "D", "week": "W-SUN", "month": "M"}


def window_start(times: pd.Series[Any], unit: Unit) -> pd.Series[Any]:
    """Give the start of the window that each time is in.

    Parameters
    ----------
    times
        Times with a zone, or without one, which then is UTC.
    unit
        The length of a window; weeks start on Monday.

    Returns
    -------
    pandas.Series
        UTC times with the index of ``times``; NaT where the time is missing.
    """
    import pandas as pd

    utc = pd.to_datetime(times, utc=True).dt.tz_localize(None)
    starts = utc.dt.to_period(_FREQUENCIES[unit]).dt.start_time
    return starts.dt.tz_localize("UTC").rename("window_start")


def start_of(time: datetime, unit: Unit) -> datetime:
    """Give the start of the window that one time with a zone is in."""
    import pandas as pd

    start: datetime = window_start(pd.Series([time]), unit).iloc[0].to_pydatetime()
    return start


def window_end(start: datetime, unit: Unit) -> datetime:
    """Give the end (exclusive) of the window that starts at ``start``."""
    import pandas as pd

    steps: dict[Unit, pd.DateOffset] = {
        "hour": pd.DateOffset(hours=1),
        "day": pd.DateOffset(days=1),
        "week": pd.DateOffset(weeks=1),
        "month": pd.DateOffset(months=1),
    }
    end: pd.Timestamp = pd.Timestamp(start) + steps[unit]
    return end.to_pydatetime()


def window_label(start: datetime, unit: Unit) -> str:
    """Name a window for people: ``Jan 2013``, ``week of 7 Jan 2013``, or ``7 Jan 2013 13:00``."""
    day = f"{start.day} {start:%b %Y}"
    names = {"month": f"{start:%b %Y}", "week": f"week of {day}", "day": day, "hour": f"{day} {start:%H:%M}"}
    return names[unit]
