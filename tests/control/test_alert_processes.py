"""From a request to a webhook, by real processes; and what a kill between two of their steps leaves."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from taxiway.control import notices, sinks, views
from taxiway.control.api import deploy
from taxiway.control.ledger import ledger
from taxiway.control.tables import DeliveryRow
from taxiway.demo import weather
from taxiway.monitoring.context import firing
from tests import forked
from tests.conftest import processes_of
from tests.control.agents import Agents
from tests.control.receivers import Receiver

Until = Callable[..., object]
KEY = "a-key-that-nobody-sees"


@pytest.fixture
def metrics_port(home: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Everything at its default, and metrics on a free port."""
    monkeypatch.delenv("TAXIWAY_MONITOR_INTERVAL")
    monkeypatch.setenv("HOOK_KEY", KEY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    monkeypatch.setenv("TAXIWAY_METRICS_PORT", str(port))
    return port


@pytest.mark.timeout(240)
def test_an_added_column_is_told_to_a_webhook_by_name(
    metrics_port: int,
    tags: tuple[str, str],
    home: Path,
    receiver: Receiver,
    until: Until,
    record_property: Callable[[str, object], None],
) -> None:
    endpoint = deploy(tags[0], endpoint="rain", window="month")
    add = forked.taxiway("sinks", "add", "hook", "--url", receiver.url, "--secret", "env:HOOK_KEY")
    assert add.returncode == 0, add.stderr
    tried = forked.taxiway("alerts", "test", "hook")
    assert tried.stdout.startswith("hook has it: It answered 200"), tried.stderr
    assert receiver.told == [("test", "test")]
    rows = weather.days().head(3)[["date", *weather.FEATURES]].drop(columns="date")
    began = time.monotonic()
    endpoint.predict(rows.assign(account_type="gold"))
    until(lambda: ("schema_added", "opened") in receiver.told, "the message")
    record_property("seconds", round(receiver.received[-1].at - began, 2))
    (alert,) = [
        one for got in receiver.received for one in got.json["alerts"] if one["transition"] == "opened"
    ]
    assert alert["column"] == "account_type"
    assert alert["link"] == endpoint.url
    assert "taxiway-signature" in receiver.received[-1].headers

    url = f"http://127.0.0.1:{metrics_port}/metrics"
    text = httpx.get(url).text
    labels = 'endpoint="rain",rule="schema_added",severity="warning",state="firing"'
    assert f"taxiway_alerts{{{labels}}} 1.0" in text
    assert 'taxiway_endpoint_ready{endpoint="rain"} 1.0' in text
    assert 'taxiway_sink_failures{sink="hook"} 0.0' in text
    assert httpx.get(url, headers={"host": "evil.example:80"}).status_code == 421
    assert httpx.get(url.replace("/metrics", "/x")).status_code == 404

    for process in processes_of(home):
        assert KEY not in " ".join(process.cmdline())
    for file in filter(Path.is_file, [*home.glob("*.log"), *home.glob("ledger.sqlite*")]):  # one is a pipe
        assert KEY.encode() not in file.read_bytes(), file
    forked.taxiway("endpoints", "delete", "rain", "--yes")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.timeout(120)
def test_an_agent_that_is_killed_while_it_tells_tells_again_with_the_same_key(
    agents: Agents,
    receiver: Receiver,
    gate: threading.Event,
    until: Until,
) -> None:
    receiver.answer = lambda _: (200 if gate.wait(60) else 500, {})
    sinks.add(ledger(), "hook", {"kind": "webhook", "url": receiver.url}, by="test")
    held = firing("rain", "data_drift", "warning", "`wind` drifted", "", "wind")
    with ledger().transaction() as session:
        notices.settle(session, "rain", [held])
    first = agents.start()
    until(lambda: receiver.received, "the message to come")
    assert psutil.pid_exists(first.pid)
    first.send_signal(signal.SIGKILL)
    first.wait()
    with ledger().reading() as session:
        assert [row.state for row in session.scalars(select(DeliveryRow))] == ["queued"]
    gate.set()
    agents.start()
    until(lambda: len(receiver.received) > 1, "the message to come again")
    keys = {one["key"] for got in receiver.received for one in got.json["alerts"]}
    assert len(keys) == 1
    assert len({got.headers["idempotency-key"] for got in receiver.received}) == 1

    def told() -> bool:
        with ledger().reading() as session:
            return [row.state for row in session.scalars(select(DeliveryRow))] == ["sent"]

    until(told, "it to be written down")
    assert len(receiver.received) == 2
    assert re.fullmatch(r"[0-9a-f]{16}-\d+-opened", keys.pop())
    assert [row["state"] for row in views.alerts("rain")] == ["firing"]
