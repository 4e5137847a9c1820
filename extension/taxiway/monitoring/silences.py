"""Alerts that nobody is to be told of: silences, and maintenance windows that come again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from zoneinfo import ZoneInfo

from taxiway.errors import InputError
from taxiway.monitoring.context import SEVERITIES

LONGEST = timedelta(days=7)  # of a maintenance window
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_WEEKLY = re.compile(r"([a-z,]+)\s+(\d{1,2}):(\d{2})")
_CRON_HINT = "Write when it begins as `sat 02:00`, or as five fields of cron such as `0 2 * * 6`."


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which alerts: every field that is not empty has to fit; ``*`` and ``?`` stand for any characters."""

    endpoint: str = ""
    rule: str = ""
    column: str = ""
    severity: str = ""

    def fits(self, endpoint: str, rule: str, column: str | None, severity: str) -> bool:
        """Tell whether an alert is one of these."""
        pairs = (
            (self.endpoint, endpoint),
            (self.rule, rule),
            (self.column, column or ""),
            (self.severity, severity),
        )
        # a column may be named `age [years]`: a bracket is a bracket
        return all(not wanted or fnmatchcase(found, wanted.replace("[", "[[]")) for wanted, found in pairs)

    def __post_init__(self) -> None:
        if self.severity and self.severity not in SEVERITIES:
            raise InputError(
                f"{self.severity!r} is not a severity.", hint=f"Use one of {', '.join(SEVERITIES)}."
            )


@dataclass(frozen=True, slots=True)
class Schedule:
    """A time that comes again, and how long it lasts.

    Attributes
    ----------
    cron
        When it begins: minute, hour, day of the month, month, day of the week, as in crontab(5).
    seconds
        How long it lasts.
    zone
        The IANA name of the zone in which ``cron`` is read. An hour that a clock skips in spring begins when
        it would have; one that it repeats in autumn counts once, the first time.
    """

    cron: str
    seconds: float
    zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise InputError(
                f"There is no time zone {self.zone!r}.", hint="Use a name such as Europe/Berlin or UTC."
            ) from None
        if not timedelta(0) < timedelta(seconds=self.seconds) <= LONGEST:
            raise InputError(
                "A maintenance window lasts between a second and 7 days.", hint="Give it as --for 2h."
            )
        _fields(self.cron)

    def covers(self, moment: datetime) -> bool:
        """Tell whether it is on at a time."""
        minutes, hours, days, months, weekdays = _fields(self.cron)
        fields = self.cron.split()
        zone, lasting = ZoneInfo(self.zone), timedelta(seconds=self.seconds)
        either = not fields[2].startswith("*") and not fields[4].startswith("*")  # as crontab(5) has it
        day = (moment - lasting).astimezone(zone).date() - timedelta(days=1)
        while day <= moment.astimezone(zone).date():
            of_month, of_week = day.day in days, day.isoweekday() % 7 in weekdays
            if day.month in months and ((of_month or of_week) if either else (of_month and of_week)):
                for hour in hours:
                    for minute in minutes:
                        begins = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
                        if begins <= moment < begins + lasting:
                            return True
            day += timedelta(days=1)
        return False


@dataclass(frozen=True, slots=True)
class Silence:
    """From when to when, or how often, which alerts are not told."""

    matcher: Matcher
    starts: datetime
    ends: datetime | None = None
    schedule: Schedule | None = None

    def covers(self, moment: datetime) -> bool:
        """Tell whether it is on at a time."""
        if moment < self.starts or (self.ends is not None and moment >= self.ends):
            return False
        return self.schedule is None or self.schedule.covers(moment)


def silenced(
    silences: Iterable[Silence],
    moment: datetime,
    *,
    endpoint: str,
    rule: str,
    column: str | None,
    severity: str,
) -> bool:
    """Tell whether any silence covers an alert."""
    return any(one.matcher.fits(endpoint, rule, column, severity) and one.covers(moment) for one in silences)


def as_cron(text: str) -> str:
    """Read when a maintenance window begins: ``sat 02:00``, ``mon,thu 22:30``, ``daily 03:00``, or cron.

    Raises
    ------
    InputError
        It is none of these.
    """
    text = " ".join(text.lower().split())
    if (weekly := _WEEKLY.fullmatch(text)) is not None:
        days, hour, minute = weekly.groups()
        names = [] if days == "daily" else days.split(",")
        if int(hour) > 23 or int(minute) > 59 or any(name[:3] not in _DAYS for name in names):
            raise InputError(f"{text!r} is not a time of the week.", hint=_CRON_HINT)
        text = (
            f"{int(minute)} {int(hour)} * * {','.join(str(_DAYS.index(name[:3])) for name in names) or '*'}"
        )
    _fields(text)
    return text


@lru_cache(maxsize=256)
def _fields(cron: str) -> list[frozenset[int]]:
    parts = cron.lower().split()
    if len(parts) != len(_FIELDS):
        raise InputError(f"{cron[:60]!r} is not five fields of cron.", hint=_CRON_HINT)
    found = [_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    found[4] = frozenset(day % 7 for day in found[4])
    return found


def _field(text: str, what: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            begin = low if span == "*" else _number(first, names, low)
            end = high if span == "*" or (step and not dash) else _number(last, names, low) if dash else begin
            stride = int(step) if step else 1
        except ValueError:
            begin, end, stride = 1, 0, 0
        if not (low <= begin <= end <= high and stride >= 1):
            raise InputError(f"{text[:40]!r} is not a {what} of cron ({low} to {high}).", hint=_CRON_HINT)
        values.update(range(begin, end + 1, stride))
    return frozenset(values)


def _number(text: str, names: tuple[str, ...], low: int) -> int:
    if text in names:
        return names.index(text) + low
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)
