"""What the monitor stores of windows and their slices: merged, mended, and kept no longer than asked."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select, update

import taxiway
from taxiway.control import judging, lookup, parts, retention, stored
from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.monitor import Monitor
from taxiway.control.tables import EndpointRow, EventRow, PartRow, SliceRow, WindowRow
from taxiway.demo import weather
from taxiway.errors import InputError, NotFoundError
from taxiway.monitoring import profiles
from taxiway.packaging.model import Model
from taxiway.serving.spool import SpoolWriter
from tests.control.rows import endpoint_row
from tests.monitoring.records import outcome, prediction

DAYS = weather.days()
SLICED = ("weather_yesterday", "temp_max")


@pytest.fixture
def tag(tags: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The older Model, as if it had declared slices."""
    monkeypatch.setattr(Model, "slices", property(lambda _: SLICED))
    stored._slicings_of.cache_clear()
    stored._reference.cache_clear()
    return tags[0]


@pytest.fixture
def book(tag: str, taxiway_home: Path) -> Ledger:
    return ledger()


@pytest.fixture
def row(book: Ledger, tag: str) -> EndpointRow:
    made = endpoint_row("rain", live=tag)
    with book.transaction() as session:
        session.add(made)
    return made


class Traffic:
    """Real days of weather, predicted at times of the test's choice."""

    def __init__(self, folder: Path, book: Ledger, row: EndpointRow) -> None:
        self.folder, self.book, self.row = folder, book, row
        self.monitor = Monitor(book)
        self.writer = SpoolWriter(folder, "live")
        self.given = 0

    def add(
        self,
        times: list[datetime],
        *,
        more: dict | None = None,
        ids: list[str] | None = None,
        replayed: bool = False,
    ) -> list[str]:
        """One prediction a time, read by the monitor at once: at that time, unless it is replayed now."""
        rows = DAYS.iloc[np.arange(self.given, self.given + len(times)) % len(DAYS)]
        self.given += len(times)
        inputs = {name: rows[name].tolist() for name in weather.FEATURES} | (more or {})
        ids = ids or [str(uuid.uuid4()) for _ in times]
        self.writer.append(
            prediction(
                ids,
                inputs=inputs,
                outputs={"label": ["True"] * len(times)},
                times=[time.timestamp() for time in times],
                model=self.row.live,
            )
        )
        self.monitor._ingest_all(self.row, self.folder)
        if not replayed:
            with self.book.transaction() as session:
                session.execute(update(WindowRow).values(updated=WindowRow.end))
        return ids

    def tell(self, ids: list[str], truth: bool) -> None:
        """Give the outcome of some."""
        self.writer.append(outcome(ids, [truth] * len(ids)))
        self.monitor._ingest_all(self.row, self.folder)

    def rows(self, table: type) -> list:
        with self.book.reading() as session:
            return list(session.scalars(select(table).order_by(table.start)))


@pytest.fixture
def traffic(book: Ledger, row: EndpointRow, tmp_path: Path) -> Traffic:
    made = Traffic(tmp_path / "spool", book, row)
    yield made
    made.writer.close()


def hours(start: datetime, count: int, *, step: int = 1) -> list[datetime]:
    return [start + timedelta(hours=step * number) for number in range(count)]


JANUARY = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday


def test_slices_have_profiles_that_add_up_to_their_window_and_tell_what_they_are(traffic, tag):
    for _ in range(2):
        traffic.add([JANUARY + timedelta(minutes=minute) for minute in range(40)])
    (window,) = traffic.rows(WindowRow)
    slices = traffic.rows(SliceRow)
    for column in SLICED:
        assert sum(one.rows for one in slices if one.column == column) == window.rows == 80
    one = max(slices, key=lambda found: found.rows if found.column == "weather_yesterday" else 0)
    seen = profiles.summary(profiles.read(Path(one.profile)))
    assert seen["weather_yesterday"].frequent == ((one.value, one.rows),)
    about = profiles.about(profiles.read(Path(one.profile)))
    assert about == {
        "endpoint": "rain",
        "model": tag,
        "role": "live",
        "start": "2026-01-05T00:00:00+00:00",
        "end": "2026-01-05T01:00:00+00:00",
        "slice": f"weather_yesterday={one.value}",
        "rows": str(one.rows),
        "version": taxiway.__version__,
    }
    script = (
        "import sys; from whylogs.core import DatasetProfileView as V\n"
        "view = V.deserialize(open(sys.argv[1], 'rb').read())\n"
        "about = view._metadata\n"  # whylogs 1.1 has no public name for it
        "print(about['taxiway.endpoint'], about['taxiway.rows'],"
        " view.to_pandas().loc['temp_max', 'counts/n'])"
    )
    plain = subprocess.run(
        [sys.executable, "-c", script, one.profile], capture_output=True, text=True, check=True, timeout=60
    )
    assert plain.stdout.split() == ["rain", str(one.rows), str(one.rows)]


def test_stored_windows_merge_to_days_weeks_and_months_with_their_drift(traffic, tag):
    traffic.add(hours(JANUARY, 60, step=12))
    endpoint = Endpoint("rain")
    with pytest.raises(NotFoundError, match="no window"):
        endpoint.profile(since=datetime(2027, 1, 1))
    (whole,) = endpoint.profile()
    days, weeks, months = (endpoint.profile(unit=unit) for unit in ("day", "week", "month"))
    assert [len(days), len(weeks), len(months)] == [30, 5, 2]
    for some in (days, weeks, months):
        assert sum(profiles.summary(view)["wind"].rows for view in some) == 60
    assert profiles.about(weeks[1])["start"] == "2026-01-12T00:00:00+00:00"
    assert profiles.about(weeks[1])["rows"] == "14"
    raw = DAYS.iloc[np.arange(60) % len(DAYS)]
    assert profiles.summary(whole)["temp_max"].mean == pytest.approx(raw["temp_max"].mean())
    assert len(endpoint.profile(since=datetime(2026, 1, 10), until=datetime(2026, 1, 12), unit="day")) == 2
    (rainy,) = endpoint.profile(slice="weather_yesterday=rain")
    assert profiles.summary(rainy)["wind"].rows == (raw["weather_yesterday"] == "rain").sum()
    with pytest.raises(NotFoundError, match="weather_yesterday=lava"):
        endpoint.profile(slice="weather_yesterday=lava")
    with pytest.raises(InputError, match="names no slice"):
        endpoint.profile(slice="lava")


@pytest.mark.parametrize("table", [WindowRow, SliceRow])
@pytest.mark.parametrize("damage", ["truncated", "one bit", "gone"])
def test_a_damaged_profile_is_made_again_from_the_log(traffic, table, damage):
    traffic.add(hours(JANUARY, 1) * 30)
    one = traffic.rows(table)[0]
    path = Path(one.profile)
    before, data = profiles.summary(profiles.read(path)), path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        half = len(data) // 2
        path.write_bytes(
            data[:half] if damage == "truncated" else data[:half] + bytes([data[half] ^ 4]) + data[half + 1 :]
        )
    assert profiles.summary(stored.load(traffic.book, one)) == before
    assert profiles.summary(profiles.read(path)) == before, "it is mended where it lies"
    path.write_bytes(b"")
    traffic.add(hours(JANUARY, 1) * 5)
    again = {getattr(found, "value", ""): found for found in traffic.rows(table)}[getattr(one, "value", "")]
    assert profiles.summary(profiles.read(Path(again.profile)))["wind"].rows == again.rows


def test_a_profile_that_is_lost_for_good_is_told_and_stops_nothing(traffic):
    traffic.add([JANUARY, JANUARY + timedelta(hours=1)])
    lost, kept = traffic.rows(WindowRow)
    Path(lost.profile).write_bytes(b"not a profile")
    with traffic.book.transaction() as session:
        for part in parts.of_window(session, lost):
            session.delete(session.get(PartRow, part.id))
    assert judging.judge(traffic.book, traffic.row)
    assert all(window.judged for window in traffic.rows(WindowRow))
    assert traffic.rows(WindowRow)[1].drift
    with traffic.book.reading() as session:
        (event,) = session.scalars(select(EventRow).where(EventRow.kind == "profile_lost"))
    assert lost.profile in event.text
    assert kept.profile not in event.text
    assert not judging.judge(traffic.book, traffic.row), "nothing is judged again and again"
    traffic.add([JANUARY])
    assert profiles.summary(profiles.read(Path(traffic.rows(WindowRow)[0].profile)))["wind"].rows == 1


# --- retention


def test_windows_become_longer_and_predictions_go_as_they_age(traffic, monkeypatch):
    ids = traffic.add(hours(JANUARY, 2 * 15, step=12))
    traffic.tell(ids[:4], truth=True)
    traffic.tell(ids[4:6], truth=False)
    judging.judge(traffic.book, traffic.row)
    rows = sum(window.rows for window in traffic.rows(WindowRow))
    by_slice = {
        name: sum(one.rows for one in traffic.rows(SliceRow) if one.column == name) for name in SLICED
    }

    def age(days: float) -> None:
        """Let so many days pass since the first window."""
        while retention.apply(traffic.book, traffic.row, now=JANUARY + timedelta(days=days)):
            pass

    age(30)
    assert len(traffic.rows(WindowRow)) == 2 * 15, "nothing is older than it is to be kept as it is"
    age(33)
    windows = traffic.rows(WindowRow)
    assert [(window.end - window.start).days for window in windows[:3]] == [1, 1, 1]
    assert len(windows) == 3 + 2 * 12
    traffic.add([JANUARY + timedelta(hours=8)])  # late, into a day that is merged
    assert len(traffic.rows(WindowRow)) == len(windows)
    assert traffic.rows(WindowRow)[0].rows == 3
    age(75)
    windows = traffic.rows(WindowRow)
    assert {window.end - window.start for window in windows} == {timedelta(days=1)}
    judging.judge(traffic.book, traffic.row)
    first, second, third = traffic.rows(WindowRow)[:3]
    share = {window.start: window.performance["metrics"]["accuracy"]["value"] for window in (first, third)}
    assert share == {first.start: 1.0, third.start: 0.0}, "measured again on the day's own predictions"
    assert second.drift

    age(140)
    with traffic.book.reading() as session:
        assert not parts.select_parts(session, "rain", "prediction")
        assert not parts.select_parts(session, "rain", "outcome")
    judging.judge(traffic.book, traffic.row)
    assert [one.performance["n_labelled"] for one in traffic.rows(WindowRow)[:3]] == [2, 2, 2]

    age(400)
    weeks = traffic.rows(WindowRow)
    assert [(week.start, week.end) for week in weeks] == [
        (JANUARY + timedelta(weeks=n), JANUARY + timedelta(weeks=n + 1)) for n in range(3)
    ]
    judging.judge(traffic.book, traffic.row)
    weeks = traffic.rows(WindowRow)
    assert weeks[0].performance["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert weeks[0].performance["n_labelled"] == 6
    assert weeks[0].drift
    assert sum(week.rows for week in weeks) == rows + 1
    for week in weeks:
        assert profiles.summary(profiles.read(Path(week.profile)))["wind"].rows == week.rows
    for name in SLICED:
        found = [one for one in traffic.rows(SliceRow) if one.column == name]
        assert sum(one.rows for one in found) == by_slice[name] + 1
        assert {one.start for one in found} == {week.start for week in weeks}
    monkeypatch.setattr("taxiway.control.monitor.ORPHAN_SECONDS", -1.0)
    traffic.monitor._tidy("rain", {})
    named = {Path(one.profile) for table in (WindowRow, SliceRow) for one in traffic.rows(table)}
    assert {file for file in parts.folder("rain").glob("*/*") if file.is_file()} == named


def test_what_is_replayed_of_years_ago_is_kept_as_long_as_what_is_new(traffic):
    traffic.add(hours(JANUARY - timedelta(days=5000), 6, step=12), replayed=True)
    before = [(window.start, window.end) for window in traffic.rows(WindowRow)]
    traffic.monitor._keep_bounded(traffic.row)
    assert [(window.start, window.end) for window in traffic.rows(WindowRow)] == before
    with traffic.book.reading() as session:
        assert len(parts.select_parts(session, "rain", "prediction")) == 6
    for days, left in ((80, 6), (100, 0)):
        retention.apply(traffic.book, traffic.row, now=datetime.now(UTC) + timedelta(days=days))
        with traffic.book.reading() as session:
            assert len(parts.select_parts(session, "rain", "prediction")) == left


def test_retention_is_bounded_and_goes_on_where_it_stopped(traffic, monkeypatch):
    monkeypatch.setattr(retention, "MOST_MERGES", 2)
    traffic.add(hours(JANUARY, 10, step=12))
    later = JANUARY + timedelta(days=60)
    rounds = 0
    while retention.apply(traffic.book, traffic.row, now=later):
        rounds += 1
    assert rounds >= 2
    assert {window.end - window.start for window in traffic.rows(WindowRow)} == {timedelta(days=1)}


def test_the_settings_say_how_long_things_are_kept(traffic, monkeypatch):
    traffic.add(hours(JANUARY, 4, step=12))
    monkeypatch.setenv("TAXIWAY_RETENTION_HOURS", "2")
    monkeypatch.setenv("TAXIWAY_RETENTION_PREDICTIONS", "3")
    retention.apply(traffic.book, traffic.row, now=JANUARY + timedelta(days=10))
    assert {window.end - window.start for window in traffic.rows(WindowRow)} == {timedelta(days=1)}
    with traffic.book.reading() as session:
        assert not parts.select_parts(session, "rain", "prediction")
    monkeypatch.setenv("TAXIWAY_RETENTION_HOURS", "0")
    with pytest.raises(InputError, match="TAXIWAY_RETENTION_HOURS"):
        retention.apply(traffic.book, traffic.row)
    monkeypatch.delenv("TAXIWAY_RETENTION_HOURS")


# --- outcomes find their windows


def test_outcomes_find_every_window_of_their_id_and_read_few_files(traffic, monkeypatch):
    own = [[f"018f{hour:04d}-{n}" for n in range(3)] for hour in range(20)]  # sort by time, as ours do
    for hour, ids in enumerate(own):
        traffic.add([JANUARY + timedelta(hours=hour)] * 3, ids=ids)
    random = [traffic.add([JANUARY + timedelta(hours=hour)] * 3) for hour in range(20)]
    traffic.add([JANUARY + timedelta(hours=40)], ids=[own[3][0]])  # the same id once more, much later
    read: list[str] = []
    ids_of = lookup._ids_of
    monkeypatch.setattr(lookup, "_ids_of", lambda path: read.append(path) or ids_of(path))
    look = lookup.Lookup()

    def starts(*ids: str) -> set[int]:
        found = look.windows_of(traffic.book, "rain", set(ids))
        return {round((start - JANUARY).total_seconds() / 3600) for _, start, _, _ in found}

    assert starts(own[7][1]) == {7}
    assert starts(own[3][0]) == {3, 40}
    assert starts("none", random[5][2], own[9][0]) == {5, 9}
    assert starts(*(one for some in random for one in some)) == set(range(20))
    read.clear()
    assert starts(random[17][0], random[18][0]) == {17, 18}
    assert len(read) == 2, "hashes of what was read before say where it is not"
    assert starts("nobody's") == set()
    assert Monitor(traffic.book)._lookup.windows_of(traffic.book, "rain", set()) == set()
    small = lookup.Lookup(most=10)
    assert small.windows_of(traffic.book, "rain", {random[17][0]})
    assert small._held <= 13


def test_wide_empty_and_odd_windows_are_stored(traffic):
    """2,000 columns; a value of another type in each record; a text no index takes; times of any year."""
    wide = {f"x{i}": [float(i)] for i in range(2000)}
    traffic.add([JANUARY - timedelta(hours=1)], more=wide)
    for odd in (1, "one", None, True, [1], {"a": 2}, "é" * 3000, float("inf")):
        traffic.add([JANUARY], more={"odd": [odd], "weather_yesterday": [odd]})
    traffic.add([datetime(9000, 1, 1, tzinfo=UTC)])
    assert [window.rows for window in traffic.rows(WindowRow)] == [1, 8, 1]
    assert judging.judge(traffic.book, traffic.row)
    assert all(window.judged for window in traffic.rows(WindowRow))
    assert sum(one.rows for one in traffic.rows(SliceRow) if one.column == "weather_yesterday") == 10
    frame = pd.DataFrame([vars(one) for one in traffic.rows(SliceRow)])
    assert frame["value"].str.len().max() <= 500
