from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from taxiway.monitoring.windows import window_end, window_label, window_start

CASES = [
    ("hour", "2013-01-09 13:45", datetime(2013, 1, 9, 13), datetime(2013, 1, 9, 14), "9 Jan 2013 13:00"),
    ("day", "2013-01-09 13:45", datetime(2013, 1, 9), datetime(2013, 1, 10), "9 Jan 2013"),
    ("week", "2013-01-09 13:45", datetime(2013, 1, 7), datetime(2013, 1, 14), "week of 7 Jan 2013"),
    ("week", "2013-01-13 23:59", datetime(2013, 1, 7), datetime(2013, 1, 14), "week of 7 Jan 2013"),
    ("month", "2012-02-29 00:00", datetime(2012, 2, 1), datetime(2012, 3, 1), "Feb 2012"),
    ("month", "2012-12-31 23:59", datetime(2012, 12, 1), datetime(2013, 1, 1), "Dec 2012"),
]


@pytest.mark.parametrize(("unit", "time", "start", "end", "label"), CASES)
def test_a_time_is_in_the_window_of_its_unit(unit, time, start, end, label):
    found = window_start(pd.Series([pd.Timestamp(time, tz="UTC")]), unit)[0]
    assert found == start.replace(tzinfo=UTC)
    assert window_end(found, unit) == end.replace(tzinfo=UTC)
    assert window_label(found, unit) == label


def test_times_of_other_zones_and_of_none_are_taken_in_utc():
    late = datetime(2013, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert window_start(pd.Series([late]), "day")[0] == pd.Timestamp("2012-12-31", tz="UTC")
    assert window_start(pd.Series([datetime(2013, 1, 1, 5)]), "day")[0] == pd.Timestamp(
        "2013-01-01", tz="UTC"
    )


def test_no_times_and_missing_times_give_none():
    assert len(window_start(pd.Series([], dtype="datetime64[us, UTC]"), "month")) == 0
    assert window_start(pd.Series([pd.NaT, datetime(2013, 1, 1)]), "day").isna().tolist() == [True, False]
