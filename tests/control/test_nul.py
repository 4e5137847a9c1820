"""A NUL character, which PostgreSQL's text has not, stops nothing wherever it comes from."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import select

from taxiway.control import first_look
from taxiway.control.column_detail import column_detail, column_history
from taxiway.control.delivery import Delivery
from taxiway.control.ledger import Ledger, ledger, now
from taxiway.control.monitor import Monitor
from taxiway.control.tables import AlertRow, ObservationRow, SchemaRow, SegmentRow, WindowRow
from taxiway.demo import weather
from taxiway.monitoring.context import firing
from taxiway.packaging import registry
from taxiway.serving.spool import SpoolWriter
from tests.control.alerts import add, deliver, hold
from tests.control.receivers import Receiver
from tests.control.rows import endpoint_row
from tests.monitoring.records import finding, outcome, prediction

ROWS = 40


def test_a_nul_in_names_values_and_outcomes_stops_no_cycle(
    ledger_url: str, tags: tuple[str, str], tmp_path: Path
) -> None:
    book, tag = ledger(), tags[0]
    with book.transaction() as session:
        session.add(endpoint_row("rain", live=tag, window="month"))
        session.flush()
        session.add(ObservationRow(endpoint="rain", status="READY", spool=str(tmp_path), time=now()))
    days = weather.days().head(ROWS)
    said = registry.load(tag).predict(days[weather.FEATURES])
    inputs = {name: days[name].tolist() for name in weather.FEATURES}
    inputs |= {"weather_yesterday": ["su\0n"] * ROWS, "acc\0ount": ["go\0ld"] * ROWS}
    outputs = {name: said[name].tolist() for name in said}
    found = [finding("extra", "acc\0ount", example="go\0ld", found="str\0ing")]
    found.append(finding("new_category", "weather_yesterday", example="su\0n"))
    at, monitor, writer = time.time(), Monitor(book), SpoolWriter(tmp_path, "live")
    for turn in range(2):
        ids = [f"{turn}\0{number}" for number in range(ROWS)]
        writer.append(prediction(ids, inputs=inputs, outputs=outputs, findings=found, model=tag, at=at))
        writer.append(outcome(ids, ["su\0n"] * ROWS, at=at))
        first_look.look(book)
        assert monitor.cycle()
        assert not monitor.cycle()
    writer.close()
    with book.reading() as session:
        (window,) = session.scalars(select(WindowRow))
        alerts = session.scalars(select(AlertRow).where(AlertRow.rule == "schema_added")).all()
        counted = {row.column: row.requests for row in session.scalars(select(SchemaRow))}
        assert len(session.scalars(select(SegmentRow)).all()) == 1
    assert (window.rows, window.judged) == (2 * ROWS, True)
    assert len(alerts) == 1
    assert alerts[0].state == "firing"
    for name in (str(alerts[0].column), "acc\0ount"):
        shown = column_detail("rain", name)
        assert shown["column"] == "acc\0ount"
        assert shown["present"]["rows"] == 2 * ROWS
        assert len(column_history("rain", name)["windows"]) == 1
    assert "`acc\\x00ount`" in alerts[0].title
    assert counted == {"acc\\x00ount": 2, "weather_yesterday": 2}


def test_an_alert_of_a_column_with_a_nul_in_its_name_is_told_once_and_so_is_its_end(
    book: Ledger, postman: Delivery, receiver: Receiver
) -> None:
    drifted = firing("rain", "data_drift", "warning", "`wi\0nd` drifted", "Why.", "wi\0nd", value=0.4)
    add(book, url=receiver.url)
    for firings in ((drifted,), (drifted,), ()):
        hold(book, *firings)
        deliver(postman)
    assert receiver.told == [("data_drift", "opened"), ("data_drift", "resolved")]
    with book.reading() as session:
        assert session.scalars(select(AlertRow.column)).all() == ["wi\\x00nd"]
