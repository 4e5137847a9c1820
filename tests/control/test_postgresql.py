"""An endpoint's whole life with the ledger in PostgreSQL, with a real agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from taxiway.control import agent_process, views
from taxiway.control.api import deploy
from taxiway.control.audit import audit
from taxiway.control.ledger import ledger
from taxiway.demo import weather


@pytest.mark.timeout(600)
@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_an_endpoint_is_deployed_monitored_switched_and_stopped(
    ledger_url: str, tags: tuple[str, str], home: Path, until: Callable[..., object]
) -> None:
    endpoint = deploy(tags[0], endpoint="rain", window="month")
    answered = endpoint.predict(weather.days()[weather.FEATURES].head(50))
    assert len(answered) == 50
    until(
        lambda: sum(window["rows"] for window in views.endpoint_detail("rain")["windows"]) == 50,
        "windows of all 50 rows",
    )
    endpoint.start_shadow(tags[1])
    assert endpoint.promote(force=True).live == tags[1]
    assert endpoint.rollback().live == tags[0]
    agent_process.stop()
    assert not (home / "ledger.sqlite").exists()
    with ledger().reading() as session:
        found = audit(session)
    assert found.events > 5
    assert found.findings == []
