"""A prediction log that finds no room is told of: one alert, while requests are answered."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taxiway.control import views
from taxiway.control.api import deploy
from taxiway.control.ledger import ledger, now
from taxiway.control.monitor_process import MonitorSupervisor
from taxiway.control.tables import EndpointRow, ObservationRow, SegmentRow
from taxiway.demo import weather
from taxiway.serving.spool import SpoolWriter, list_segments, read_segment
from tests.control.rows import endpoint_row

Until = Callable[..., object]


@pytest.fixture
def disk(taxiway_home: Path) -> Iterator[Path]:
    """A file system of 1 MB, where the endpoint's spool will be."""
    spool = taxiway_home / "run" / "local" / "rain" / "spool"
    spool.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(spool)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system can only be mounted by root: {mounted.stderr}")
    yield spool
    subprocess.run(["umount", "-l", str(spool)], check=True)


def lost() -> list[dict[str, Any]]:
    return [row for row in views.alerts("rain") if row["rule"] == "predictions_lost"]


def test_a_full_disk_gives_one_alert_and_no_failed_request(
    disk: Path, tags: tuple[str, str], until: Until
) -> None:
    (disk / "ballast").write_bytes(b"x" * 900_000)
    endpoint = deploy(tags[0], endpoint="rain", window="month")
    days = weather.days()[weather.FEATURES].head(200)
    for _ in range(10):
        assert len(endpoint.predict(days)) == 200
    until(lost, "the alert")
    for _ in range(10):
        assert len(endpoint.predict(days)) == 200
    until(lambda: lost()[0]["count"] > 1, "the alert to tell of more")
    (alert,) = lost()
    assert alert["severity"] == "critical"
    assert alert["state"] == "firing"
    assert "has no room" in alert["title"]
    assert sum(row["event"] == "alert opened" for row in views.timeline("rain")) == 1


def test_the_monitor_is_started_for_a_record_though_its_segment_is_no_larger(taxiway_home: Path) -> None:
    """Room is set aside in a segment, so that its size tells nothing of what is in it."""
    book = ledger()
    spool = taxiway_home / "spool"
    writer = SpoolWriter(spool, "live")
    row = EndpointRow(
        name="rain", backend="local", live="rain:1", window="month", created=now(), updated=now()
    )
    with book.transaction() as session:
        session.add(row)
        session.flush()
        session.add(ObservationRow(endpoint="rain", status="READY", spool=str(spool), time=now()))
    supervisor = MonitorSupervisor(book)
    assert not supervisor._has_grown([row])
    for _ in range(3):
        writer.append({"n": 1})
        (segment,) = list_segments(spool)
        size = segment.stat().st_size
        assert supervisor._has_grown([row])
        assert not supervisor._has_grown([row]), "it was started for that already"
        _, offset = read_segment(segment)
        with book.transaction() as session:
            session.merge(SegmentRow(path=str(segment), endpoint="rain", offset=offset))
        assert not supervisor._has_grown([row])
        assert segment.stat().st_size == size
    writer.close()
    full = SpoolWriter(spool, "live", budget_bytes=0)
    for _ in range(2):
        assert not full.append({"n": 2})
        assert supervisor._has_lost([row])
        assert not supervisor._has_lost([row])
    full.close()


def test_a_spool_that_cannot_be_looked_at_hides_no_other(taxiway_home: Path) -> None:
    book, spools = ledger(), {"fog": taxiway_home / "no-folder", "rain": taxiway_home / "spool"}
    spools["fog"].touch()
    rows = [endpoint_row(name) for name in spools]
    with book.transaction() as session:
        session.add_all(rows)
        session.flush()
        for name, spool in spools.items():
            session.add(ObservationRow(endpoint=name, status="READY", spool=str(spool), time=now()))
    writer = SpoolWriter(spools["rain"], "live")
    writer.append({"n": 1})
    writer.close()
    assert MonitorSupervisor(book)._has_grown(rows)
