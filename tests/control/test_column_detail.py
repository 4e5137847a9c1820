"""One column of an endpoint, and many: what the ledger's windows and their profiles give to look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taxiway.control import silencing, views
from taxiway.control.api import silence_alert, unsilence_alert
from taxiway.control.column_detail import column_detail, column_history
from taxiway.control.ledger import ledger, now
from taxiway.control.tables import AlertRow, EndpointRow, WindowRow
from taxiway.errors import ConflictError, InputError, NotFoundError
from taxiway.monitoring import profiles
from taxiway.monitoring.silences import Matcher
from tests.monitoring.weather import of_month, seattle

MONTHS = 3


def entry(column: str, psi: float) -> dict[str, Any]:
    return {"column": column, "kind": "numeric", "psi": psi, "p_value": 0.001, "drifted": psi > 0.2}


@pytest.fixture
def windows(home: Path, tags: tuple[str, str]) -> list[datetime]:
    """Three months of Seattle's weather as windows of an endpoint that no agent serves, and an alert."""
    starts = [datetime(2013, month, 1, tzinfo=UTC) for month in range(1, MONTHS + 1)]
    with ledger().transaction() as session:
        session.add(
            EndpointRow(
                name="rain", backend="local", live=tags[0], window="month", created=now(), updated=now()
            )
        )
        session.flush()
        for start in starts:
            path = home / f"{start:%m}.bin"
            profiles.write(profiles.profile(of_month(seattle(), 2013, start.month)), path)
            drift = [entry("temp_max", 0.5), *[entry(f"c{i}", i / 1000) for i in range(100)]]
            session.add(
                WindowRow(
                    endpoint="rain",
                    start=start,
                    end=start + timedelta(days=28),
                    model=tags[0],
                    role="live",
                    rows=28,
                    profile=str(path),
                    judged=True,
                    drift=drift,
                    updated=now(),
                )
            )
        alert = {"rule": "data_drift", "fingerprint": "f", "severity": "warning", "title": "t"}
        seen = {"first_seen": now(), "last_seen": now()}
        session.add(AlertRow(endpoint="rain", column="temp_max", window="Feb 2013", **alert, **seen))
    return starts


def test_a_column_is_shown_in_a_window_over_the_reference(windows: list[datetime]) -> None:
    told = column_detail("rain", "temp_max", windows[1].isoformat())
    assert told["window"] == windows[1].isoformat()
    assert told["drift"]["psi"] == 0.5
    assert told["reference"]["rows"] > told["present"]["rows"] == 28
    shown = told["distribution"]
    assert len(shown["reference"]) == len(shown["window"]) == len(shown["edges"]) - 1
    assert column_detail("rain", "temp_max")["window"] == windows[-1].isoformat()


def test_its_history_leaves_out_windows_whose_profile_is_gone(windows: list[datetime], home: Path) -> None:
    (home / "02.bin").unlink()
    told = column_history("rain", "temp_max")
    assert [one["start"] for one in told["windows"]] == [windows[0].isoformat(), windows[2].isoformat()]
    assert told["total"] == MONTHS
    assert [len(one["quantiles"]) for one in told["windows"]] == [5, 5]
    with pytest.raises(NotFoundError):
        column_detail("rain", "temp_max", windows[1].isoformat())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("absent", "temp_max"), NotFoundError),
        (("rain", "absent"), NotFoundError),
        (("rain", "temp_max", "2031-01-01"), NotFoundError),
        (("rain", "temp_max", "soon"), InputError),
    ],
)
def test_what_is_not_there_is_told(
    windows: list[datetime], arguments: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        column_detail(*arguments)


def test_of_many_columns_the_windows_have_the_most_drifted_and_the_list_has_all(
    windows: list[datetime],
) -> None:
    detail = views.endpoint_detail("rain")
    assert len(detail["columns"]) == 101
    assert detail["columns"][0]["column"] == "temp_max"
    assert {len(window["drift"]) for window in detail["windows"]} == {views.MOST_COLUMNS}
    assert all(any(one["column"] == "temp_max" for one in window["drift"]) for window in detail["windows"])


def test_an_alert_tells_its_window_and_can_be_silenced(windows: list[datetime]) -> None:
    [alert] = views.alerts("rain")
    assert alert["window_start"] == windows[1].isoformat()
    assert alert["silenced_until"] is None
    wide = silencing.silence(
        ledger(), Matcher(endpoint="rain"), lasting=timedelta(minutes=9), reason="Upstream.", by="test"
    )
    silence_alert(alert["id"], seconds=3600)
    [alert] = views.alerts("rain")
    assert datetime.fromisoformat(alert["silenced_until"]) > now() + timedelta(minutes=59)
    unsilence_alert(alert["id"])
    assert datetime.fromisoformat(views.alerts("rain")[0]["silenced_until"]) < now() + timedelta(minutes=10)
    silencing.end(ledger(), wide, by="test")
    assert views.alerts("rain")[0]["silenced_until"] is None
    with pytest.raises(ConflictError, match="no silence of this alone"):
        unsilence_alert(alert["id"])
    with pytest.raises(NotFoundError):
        silence_alert(4711, seconds=60)
