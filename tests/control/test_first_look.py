"""What requests have found is told before their rows are profiled, once, and by nothing that is heavy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from taxiway.control import first_look
from taxiway.control.ledger import Ledger, ledger, now
from taxiway.control.monitor import Monitor
from taxiway.control.tables import AlertRow, ObservationRow, SchemaRow
from taxiway.demo import weather
from taxiway.serving.spool import SpoolWriter
from tests.control.rows import endpoint_row
from tests.monitoring.records import finding, prediction

LOOK = """
import sys
from taxiway.control import first_look, monitor
from taxiway.control.ledger import ledger
first_look.look(ledger())
print(sorted({"whylogs", "pandas", "sklearn", "scipy"} & set(sys.modules)))
"""


@pytest.fixture
def book(tags: tuple[str, str], tmp_path: Path) -> Ledger:
    made = ledger()
    with made.transaction() as session:
        session.add(endpoint_row("rain", live=tags[0], window="month"))
        session.flush()
        spool = str(tmp_path / "spool")
        session.add(ObservationRow(endpoint="rain", status="READY", spool=spool, time=now()))
    return made


def told(book: Ledger) -> list[str]:
    with book.reading() as session:
        return list(session.scalars(select(AlertRow.title).where(AlertRow.rule == "schema_added")))


def test_a_new_column_is_told_before_whylogs_is_read_and_the_cycle_counts_it_once(
    book: Ledger, tags: tuple[str, str], tmp_path: Path
) -> None:
    with_column = [finding("extra", "humidity", example=0.5)]
    writer = SpoolWriter(tmp_path / "spool", "live")
    days = weather.days().head(3)
    inputs = {name: days[name].tolist() for name in weather.FEATURES}

    def ask(number: int) -> None:
        ids = [f"{number}-{place}" for place in range(3)]
        record = prediction(ids, inputs=inputs, findings=with_column, model=tags[0], at=time.time())
        assert writer.append(record)

    ask(1)
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    title = "New column `humidity` in requests to rain (1 request, example 0.5)"
    assert told(book) == [title]
    with book.reading() as session:
        assert session.scalars(select(SchemaRow)).all() == [], "what is counted is the cycle's to write"
    assert Monitor(book).cycle()
    ask(2)
    before = book.data_version()
    first_look.look(book)
    assert book.data_version() == before, "what fires already is not told again"
    assert Monitor(book).cycle()
    assert told(book) == [title.replace("1 request", "2 requests")]
    writer.close()
