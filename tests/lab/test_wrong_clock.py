"""Predictions of a time that has not come yet: said, kept, and never the newest window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from taxiway.control import alerting, readings, views
from taxiway.control.column_detail import column_detail, column_history
from taxiway.control.ledger import ledger, now
from taxiway.control.stoppages import Stoppages
from taxiway.control.tables import EndpointRow, WindowRow
from taxiway.lab.attention import attention
from taxiway.lab.report import hidden_detail
from taxiway.monitoring.rulebook import evaluate
from taxiway.packaging import registry
from tests.control.rows import endpoint_row
from tests.lab.replayed import replay

LATE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def rain(two_versions: Path, taxiway_home: Path) -> EndpointRow:
    """A quarter of real weather, and a window of 2100 that is a copy in which every column drifted."""
    replay(two_versions, taxiway_home, until="2013-04")
    with ledger().transaction() as session:
        row = session.get_one(EndpointRow, "rain")
        real = session.scalars(select(WindowRow).order_by(WindowRow.start.desc())).first()
        assert real is not None
        values = {column.name: getattr(real, column.name) for column in WindowRow.__table__.columns}
        drift = [{**one, "drifted": True, "psi": 9.0, "p_value": 0.0} for one in real.drift]
        times = {"start": LATE, "end": LATE + timedelta(days=31), "updated": now()}
        session.add(
            WindowRow(**{**values, **times, "drift": drift, "quality": [{"kind": "x", "column": "x"}]})
        )
    return row


def test_a_window_that_has_not_begun_is_said_and_is_nowhere_the_newest(rain: EndpointRow) -> None:
    detail = hidden_detail("rain")
    assert [window["start"][:7] for window in detail["windows"]] == ["2013-01", "2013-02", "2013-03"]
    assert {one["window"][:7] for one in detail["columns"]} == {"2013-03"}
    assert max(one["peak"] for one in detail["columns"]) < 9
    assert not detail["quality"]
    assert set(views.overview()["endpoints"][0]["drifted_columns"]) < {c["column"] for c in detail["columns"]}
    (said,) = [point.text for point in attention(detail) if "clock" in point.text]
    assert said.startswith("31 predictions have a time that has not come yet, as late as Jan 2100")
    assert "2100-" not in str(detail["windows"]) + str(detail["columns"])

    model = registry.load(rain.live)
    with ledger().reading() as session:
        seen = alerting.context(session, rain, model)
    assert max(window.start for window in seen.drift).year == 2013
    assert {window.start.year for window in seen.readings} == {2013}
    (wrong,) = [one for one in evaluate(seen) if one.rule == "clock_ahead"]
    assert wrong.value == 31
    assert wrong.detail.startswith("31 predictions have a time that has not come yet, as late as Jan 2100")
    later = replace(seen, now=now() + timedelta(days=30))
    assert "clock_ahead" not in {one.rule for one in evaluate(later)}
    assert {window.year for window in readings.drift("rain")["window"]} == {2013}

    assert column_detail("rain", "temp_max")["window"].startswith("2013-03")
    assert column_detail("rain", "temp_max", LATE.isoformat())["window"].startswith("2100")
    assert len(column_history("rain", "temp_max")["windows"]) == 3


def test_it_hides_from_nobody_that_an_endpoint_is_no_longer_asked(rain: EndpointRow) -> None:
    hour, began = timedelta(hours=1), now() - timedelta(days=1)
    with ledger().transaction() as session:
        session.add(endpoint_row("asked", live=rain.live))
        for start in (*(began + number * hour for number in range(10)), LATE):
            mine = {"endpoint": "asked", "model": rain.live, "role": "live", "start": start, "profile": ""}
            session.add(WindowRow(**mine, end=start + hour, rows=5, updated=min(start + hour / 2, now())))
    Stoppages(ledger()).look(now())
    assert [alert["rule"] for alert in views.alerts("asked")] == ["no_predictions"]
