from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.errors import InputError
from taxiway.monitoring.silences import Matcher, Schedule, Silence, as_cron

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)  # a Saturday
HOUR = timedelta(hours=1)


def test_a_silence_fits_by_endpoint_rule_column_and_severity():
    alert = ("rain", "schema_added", "account_type", "warning")
    for matcher in (
        Matcher(),
        Matcher("rain"),
        Matcher(rule="schema_*"),
        Matcher("r*n", column="account_?ype"),
    ):
        assert matcher.fits(*alert)
    for matcher in (Matcher("sun"), Matcher("rain", "data_drift"), Matcher(severity="critical")):
        assert not matcher.fits(*alert)
    assert Matcher(column="age [years]").fits("rain", "data_drift", "age [years]", "warning")
    assert Matcher(column="age [*").fits("rain", "data_drift", "age [years]", "warning")
    with pytest.raises(InputError, match="severity"):
        Matcher(severity="bad")


def test_a_silence_begins_and_ends():
    silence = Silence(Matcher(), NOON, NOON + HOUR)
    assert [silence.covers(NOON + part * HOUR) for part in (-0.01, 0, 0.99, 1)] == [False, True, True, False]


def test_a_maintenance_window_comes_again_in_its_zone():
    saturday = Schedule(as_cron("sat 02:00"), 7200, "Europe/Berlin")
    begins = datetime(2026, 11, 21, 1, tzinfo=UTC)
    assert [saturday.covers(begins + part * HOUR) for part in (-0.01, 0, 1.99, 2)] == [
        False,
        True,
        True,
        False,
    ]
    summer = datetime(2026, 7, 18, 0, tzinfo=UTC)
    assert saturday.covers(summer)
    assert not saturday.covers(begins + timedelta(days=1))


def test_it_goes_on_past_midnight_and_past_the_end_of_a_month():
    late = Schedule("30 23 31 * *", 6 * 3600)
    assert late.covers(datetime(2026, 2, 1, 5, tzinfo=UTC))
    assert not late.covers(datetime(2026, 2, 1, 6, tzinfo=UTC))


def test_clocks_that_change_neither_lose_nor_repeat_a_window():
    # Berlin skips 02:00 to 03:00 on 29 March 2026, and repeats it on 25 October
    spring = Schedule("30 2 * * *", 600, "Europe/Berlin")
    day = [datetime(2026, 3, 29, tzinfo=UTC) + timedelta(minutes=n) for n in range(1440)]
    assert sum(spring.covers(moment) for moment in day) == 10
    autumn = [datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=n) for n in range(1440)]
    assert sum(spring.covers(moment) for moment in autumn) == 10


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("sat 02:00", "0 2 * * 6"),
        ("Monday,Thu 22:30", "30 22 * * 1,4"),
        ("daily 03:05", "5 3 * * *"),
        ("*/15 8-18 * jan-mar mon-fri", "*/15 8-18 * jan-mar mon-fri"),
        ("0 0 1 * 7", "0 0 1 * 7"),
    ],
)
def test_when_it_begins_is_read(text: str, cron: str):
    assert as_cron(text) == cron


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sat",
        "sat 25:00",
        "someday 02:00",
        "* * * *",
        "60 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "a b c d e",
    ],
)
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(InputError):
        as_cron(text)


def test_a_zone_or_a_length_that_cannot_be_is_refused():
    for schedule in (("0 2 * * *", 60, "Mars/Base"), ("0 2 * * *", 60, "../etc"), ("0 2 * * *", 0, "UTC")):
        with pytest.raises(InputError):
            Schedule(*schedule)


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.integers(0, 6),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    st.integers(60, 86_400),
)
def test_a_weekly_window_is_on_for_its_length_after_its_last_beginning(
    minute, hour, weekday, moment, seconds
):
    at = moment.replace(tzinfo=UTC)
    begins = at.replace(hour=hour, minute=minute, second=0, microsecond=0)
    begins -= timedelta(days=(begins.isoweekday() % 7 - weekday) % 7)
    begins -= timedelta(days=7) if begins > at else timedelta(0)
    expected = at < begins + timedelta(seconds=seconds)
    assert Schedule(f"{minute} {hour} * * {weekday}", seconds).covers(at) is expected
