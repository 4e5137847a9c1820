"""The monitor reads a backlog in rounds of bounded size, and no record that was written can stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select

from taxiway.control import monitor, parts
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.monitor import Monitor
from taxiway.control.tables import EndpointRow, SegmentRow, WindowRow
from taxiway.serving.spool import SpoolWriter, list_segments
from tests.control.rows import endpoint_row
from tests.monitoring.records import AT, prediction

LARGE = 200  # rows of a record of some 20 KB


@pytest.fixture
def book(ledger_url: str) -> Ledger:
    return ledger()


@pytest.fixture
def row(book: Ledger) -> EndpointRow:
    made = endpoint_row("rain")
    with book.transaction() as session:
        session.add(made)
    return made


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each round that had any held in memory."""
    sizes: list[int] = []
    made = monitor.prediction_log.predictions_frame

    def counted(records: list[dict[str, Any]]) -> pd.DataFrame:
        sizes.append(len(records))
        return made(records)

    monkeypatch.setattr(monitor.prediction_log, "predictions_frame", counted)
    return sizes


def ids(book: Ledger) -> list[str]:
    with book.reading() as session:
        found: list[str] = parts.read(parts.select_parts(session, "rain", "prediction"))["id"].tolist()
    return found


def test_a_backlog_of_large_records_is_read_wholly_in_several_rounds(
    book: Ledger, row: EndpointRow, tmp_path: Path, rounds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MOST_BYTES", 50_000)
    writer = SpoolWriter(tmp_path, "live", segment_bytes=100_000)
    wanted = [[f"{number}-{place}-{'x' * 80}" for place in range(LARGE)] for number in range(14)]
    for some in wanted:
        assert writer.append(prediction(some))
    assert len(list_segments(tmp_path)) > 2
    assert Monitor(book)._ingest_all(row, tmp_path)
    assert sorted(ids(book)) == sorted(one for some in wanted for one in some)
    assert sum(rounds) == len(wanted)
    assert len(rounds) > 3
    assert max(rounds) <= 3
    assert not Monitor(book)._ingest_all(row, tmp_path)
    writer.close()


def test_a_round_in_which_nothing_can_be_read_does_not_stop_the_next(
    book: Ledger, row: EndpointRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MOST_BYTES", 1000)
    writer = SpoolWriter(tmp_path, "live")
    for _ in range(3):
        writer.append({"unnamed": 0, "text": "x" * 1000})
    writer.append(prediction(["a"]))
    assert Monitor(book)._ingest_all(row, tmp_path)
    assert ids(book) == ["a"]
    writer.close()


@pytest.mark.parametrize("wrong", [1.79e12, 1_790_000_000_000, -(10**11)])
def test_a_time_that_no_calendar_holds_does_not_stop_the_monitoring(
    book: Ledger, row: EndpointRow, tmp_path: Path, wrong: float
) -> None:
    writer = SpoolWriter(tmp_path, "live")
    writer.append(prediction(["a", "b"], times=[int(AT) - 86_400, wrong]))
    assert Monitor(book)._ingest_all(row, tmp_path)
    with book.reading() as session:
        windows = list(session.scalars(select(WindowRow).order_by(WindowRow.start)))
        offsets = list(session.scalars(select(SegmentRow.offset)))
    assert [(window.start.timestamp(), window.rows) for window in windows] == [(AT - 86_400, 1), (AT, 1)]
    assert offsets[0] > 8, "it is not read again"
    writer.close()
