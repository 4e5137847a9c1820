"""What has stopped is told: a log that nobody reads or writes, an endpoint that nobody asks, a monitor."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select

from taxiway.control import notices, rules
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.monitor_process import REVIEW_SECONDS, WINDOWS_SECONDS, MonitorSupervisor
from taxiway.control.stoppages import READ_SECONDS, Stoppages
from taxiway.control.tables import AlertRow, EndpointRow, ObservationRow, SegmentRow, SinkRow, WindowRow
from taxiway.monitoring.context import firing
from taxiway.monitoring.rulebook import parse_rule
from taxiway.monitoring.rulefile import Placed
from taxiway.serving.spool import SpoolWriter, list_segments, read_segment
from tests.control.rows import endpoint_row
from tests.monitoring.records import prediction

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.fixture
def book(taxiway_home: Path, spool: Path) -> Ledger:
    made = ledger()
    with made.transaction() as session:
        session.add(endpoint_row("rain"))
        session.flush()
        session.add(ObservationRow(endpoint="rain", status="READY", spool=str(spool), time=NOW))
    return made


def open_alerts(book: Ledger) -> list[str]:
    with book.reading() as session:
        found = session.scalars(select(AlertRow).where(AlertRow.state != "resolved"))
        return [alert.rule for alert in found]


def test_a_log_that_is_written_and_not_read_is_told_until_it_is(book: Ledger, spool: Path) -> None:
    at = [0.0]
    watch = Stoppages(book, unread_seconds=60, clock=lambda: at[0])
    writer = SpoolWriter(spool, "live")
    watch.look(NOW)
    at[0] = 1000.0
    watch.look(NOW)
    assert open_alerts(book) == [], "nothing waits to be read"
    writer.append(prediction(["a"]))
    watch.look(NOW)
    for at[0], told in ((1030.0, []), (1100.0, ["log_stopped"]), (2000.0, ["log_stopped"])):
        watch.look(NOW)
        assert open_alerts(book) == told
    (path,) = list_segments(spool)
    with book.transaction() as session:
        session.add(SegmentRow(path=str(path), endpoint="rain", offset=read_segment(path)[1]))
    before = None
    for _ in range(2):
        watch.look(NOW)
        assert open_alerts(book) == []
        before, last = book.data_version(), before
    assert before == last, "looking writes nothing"
    writer.close()


def test_while_nothing_changes_the_ledger_is_not_read(book: Ledger) -> None:
    at, asked = [0.0], []
    watch = Stoppages(book, clock=lambda: at[0])
    event.listen(book.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    for at[0], reads in ((0.0, True), (5.0, False), (10.0, False), (READ_SECONDS + 1, True)):
        asked.clear()
        watch.look(NOW)
        assert bool(asked) is reads, asked
    with book.transaction() as session:
        session.add(SinkRow(name="ops", definition={"kind": "webhook"}, failures=9, error="No.", created=NOW))
    watch.look(NOW)
    assert open_alerts(book) == ["sink_failed"]


def test_a_log_whose_folder_is_gone_is_told_while_the_endpoint_answers(book: Ledger, spool: Path) -> None:
    watch = Stoppages(book)
    shutil.rmtree(spool)
    watch.look(NOW)
    assert open_alerts(book) == ["log_stopped"]
    with book.transaction() as session:
        session.get_one(EndpointRow, "rain").desired = "stopped"
    watch.look(NOW)
    assert open_alerts(book) == []


def windows(book: Ledger, hours: range, *, late: timedelta = timedelta(0)) -> None:
    with book.transaction() as session:
        for hour in hours:
            start = NOW - (24 - hour) * HOUR
            session.add(
                WindowRow(
                    **{"endpoint": "rain", "model": "rain:one", "role": "live", "start": start},
                    **{"end": start + HOUR, "rows": 5, "profile": "", "updated": start + HOUR / 2 + late},
                )
            )


def test_an_endpoint_that_is_not_asked_as_often_as_before_is_told(book: Ledger) -> None:
    watch = Stoppages(book)
    windows(book, range(7))
    watch.look(NOW)
    assert open_alerts(book) == [], "too few windows to know how often it is asked"
    windows(book, range(10, 20))  # it has been quiet for three hours before
    watch.look(NOW)
    assert open_alerts(book) == []
    watch.look(NOW + 5 * HOUR)
    assert open_alerts(book) == ["no_predictions"]
    spec = {"name": "no_predictions", "enabled": False}
    rules.apply(book, rules.placed([spec], "rain"), by="test")
    watch.look(NOW + 5 * HOUR)
    assert open_alerts(book) == []


def test_replayed_data_tell_nothing_of_how_often_it_is_asked(book: Ledger) -> None:
    windows(book, range(20), late=timedelta(days=400))
    Stoppages(book).look(NOW + timedelta(days=500))
    assert open_alerts(book) == []


def test_a_monitor_that_keeps_stopping_is_one_alert(book: Ledger) -> None:
    supervisor = MonitorSupervisor(book)
    supervisor.deaths = 3
    for _ in range(2):
        with book.reading() as session:
            supervisor._alert([session.get_one(EndpointRow, "rain")])
    assert open_alerts(book) == ["monitor_stopped"]
    off = parse_rule({"name": "monitor_stopped", "enabled": False})
    rules.apply(book, [Placed("", off, 1)], by="test")
    with book.reading() as session:
        supervisor._alert([session.get_one(EndpointRow, "rain")])
    assert open_alerts(book) == []


def test_a_monitor_that_is_idle_ends_as_it_should(taxiway_home: Path) -> None:
    """Its thread waits for standard input: with a lock of Python's on it, Python would abort (status -6)."""
    code = "from taxiway.control import monitor_process as it; it.IDLE_SECONDS = 0.1; it.main()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.wait(60) == 0, process.stderr.read()  # type: ignore[union-attr]


def test_rules_that_change_and_alerts_that_stay_open_are_looked_at_while_nothing_comes(book: Ledger) -> None:
    supervisor, at = MonitorSupervisor(book), time.monotonic()
    times = iter(at + WINDOWS_SECONDS * number for number in range(1, 20))

    def is_due() -> bool:
        return supervisor._is_due([], next(times))

    assert not is_due()
    spec = parse_rule({"name": "few-rows", "metric": "rows", "below": 10})
    rules.apply(book, [Placed("", spec, 1)], by="test")
    assert is_due()
    assert not is_due(), "it was started for that already"
    rules.delete(book, "few-rows", by="test")
    assert is_due()
    with book.transaction() as session:
        notices.settle(session, "rain", [firing("rain", "schema_added", "warning", "New column", "", "x")])
    assert not is_due(), "so soon it is not over"
    supervisor._started -= REVIEW_SECONDS
    assert is_due()
    with book.transaction() as session:
        notices.settle(session, "rain", [])
    assert not is_due()
