"""Alerts reach their sinks: at least once, grouped, signed, bounded; a slow or dead one holds up nobody."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from taxiway.control import delivery, outbox, silencing, views
from taxiway.control.delivery import Bucket, Delivery
from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import Ledger
from taxiway.control.tables import AlertRow, EventRow, SinkRow
from taxiway.monitoring.context import firing
from taxiway.monitoring.silences import Matcher, Schedule, as_cron
from tests.control.alerts import ADDED, DRIFT, NOW, Clock, add, deliver, hold, in_sqlite, rows, sink
from tests.control.receivers import Receiver
from tests.waiting import wait_until


@in_sqlite
def test_alerts_are_a_table_of_the_same_columns_when_there_are_none(book: Ledger) -> None:
    assert list(Endpoint("rain").alerts()["state"]) == []
    hold(book, DRIFT)
    (told,) = views.alerts("rain")
    found = Endpoint("rain").alerts()
    assert list(found) == list(told)
    assert list(found["state"]) == ["firing"]


def test_alerts_of_one_cycle_go_as_one_signed_message_and_so_does_their_end(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_KEY", "of nobody's business")
    add(book, url=receiver.url, secret="env:HOOK_KEY")
    hold(book, DRIFT, ADDED)
    deliver(postman)
    (got,) = receiver.received
    assert sorted(receiver.told) == [("data_drift", "opened"), ("schema_added", "opened")]
    assert got.json["alerts"][0]["title"] in (DRIFT.title, ADDED.title)
    stamp = got.headers["taxiway-timestamp"]
    mark = hmac.new(b"of nobody's business", stamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()
    assert (int(stamp), got.headers["taxiway-signature"]) == (int(NOW.timestamp()), f"v1={mark}")
    hold(book, DRIFT, ADDED)
    deliver(postman)
    assert len(receiver.received) == 1, "what holds on is not told again"
    hold(book, DRIFT)
    deliver(postman)
    assert receiver.told[2:] == [("schema_added", "resolved")]
    assert {row.state for row in rows(book)} == {"sent"}
    assert sink(book).delivered == NOW
    with book.reading() as session:
        stored = json.dumps([row.definition for row in session.scalars(select(SinkRow))])
        stored += str([row.data for row in session.scalars(select(EventRow))])
    assert "nobody" not in stored


def test_a_sink_that_refuses_is_told_again_with_the_same_keys_and_then_all_at_once(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer = lambda _: (503, {"retry-after": "7"})
    add(book, url=receiver.url)
    hold(book, DRIFT)
    deliver(postman)
    (row,) = rows(book)
    assert (row.state, row.attempts, sink(book).failures) == ("queued", 1, 1)
    assert row.due == NOW + timedelta(seconds=7)
    deliver(postman)
    assert len(receiver.received) == 1, "before it is due"
    hold(book, DRIFT, ADDED)
    receiver.answer = lambda _: (200, {})
    clock.now = NOW + timedelta(seconds=8)
    deliver(postman)
    keys = [[one["key"] for one in got.json["alerts"]] for got in receiver.received]
    assert keys[0][0] in keys[1]
    assert len(keys[1]) == 2
    assert sink(book).failures == 0


@in_sqlite
def test_a_clock_that_is_set_back_delays_no_try_for_long(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer = lambda _: (500, {})
    add(book, url=receiver.url)
    hold(book, DRIFT)
    deliver(postman)
    clock.now = NOW - timedelta(days=300)
    deliver(postman)
    assert len(receiver.received) == 2


@in_sqlite
def test_a_sink_that_keeps_failing_is_an_alert_for_the_others(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        add(book, "dead", url=f"http://127.0.0.1:{taken.getsockname()[1]}/x")
        add(book, url=receiver.url)
        hold(book, DRIFT)
        for _ in range(3):
            deliver(postman)
            clock.now += timedelta(minutes=6)
    assert len(receiver.received) == 1
    postman._look()
    deliver(postman)
    assert receiver.told[1:] == [("sink_failed", "opened")]
    assert "cannot be reached" in receiver.received[1].json["alerts"][0]["detail"]
    add(book, "dead", url=receiver.url)  # mended
    clock.now += timedelta(minutes=6)
    deliver(postman)
    postman._look()
    deliver(postman)
    assert ("sink_failed", "resolved") in receiver.told
    assert receiver.told.count(("data_drift", "opened")) == 2


@in_sqlite
def test_one_message_that_is_always_refused_is_an_alert_while_the_others_go_through(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer = lambda got: (400 if b"account_type" in got.body else 200, {})
    add(book, url=receiver.url)
    hold(book, ADDED)
    for number in range(4):
        deliver(postman)
        hold(book, *([DRIFT] if number % 2 == 0 else []), endpoint="snow")
        deliver(postman)
        clock.now += timedelta(minutes=6)
    assert sink(book).failures == 0
    postman._look()
    deliver(postman)  # the one that is refused, …
    deliver(postman)  # … and the others after it
    assert receiver.told[-1] == ("sink_failed", "opened"), (
        "the sink itself is told: it takes what is not that"
    )
    told = receiver.received[-1].json["alerts"][0]
    assert told["title"] == "The sink hook refuses a message"
    assert "It answered 400. It was tried" in told["detail"]
    postman._look()
    receiver.answer = lambda _: (200, {})
    clock.now += timedelta(minutes=6)
    deliver(postman)
    postman._look()
    deliver(postman)
    assert receiver.told[-1] == ("sink_failed", "resolved")
    assert receiver.told.count(("sink_failed", "opened")) == 1


@in_sqlite
def test_a_sink_that_is_new_is_told_once_of_what_fires_already(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
) -> None:
    over = firing("rain", "null_share", "critical", "Missing values", "", "wind")
    hold(book, DRIFT, ADDED, over)
    hold(book, DRIFT, ADDED)
    hour, of_drift = timedelta(hours=1), Matcher(rule="data_drift")
    number = silencing.silence(book, of_drift, lasting=hour, reason="x", by="t")
    add(book, url=receiver.url)
    add(book, "grave", url=receiver.url + "/grave", severity="critical", endpoints=("snow",))
    add(book, "am", kind="alertmanager", url=f"http://{receiver.address}/")
    add(book, url=receiver.url, timeout=5)  # changed, not new
    postman._repeated["am"] = float("inf")
    clock.now = datetime.now(UTC)
    deliver(postman)
    assert receiver.told == [("schema_added", "opened")]
    silencing.end(book, number, by="t")
    clock.now = datetime.now(UTC)
    postman._look()
    deliver(postman)
    assert receiver.told == [("schema_added", "opened"), ("data_drift", "opened")]
    assert {row.sink for row in rows(book)} == {"hook"}


@in_sqlite
def test_a_slow_sink_holds_up_no_other(book: Ledger, postman: Delivery, receiver: Receiver) -> None:
    slow, gate = Receiver(), threading.Event()
    slow.answer = lambda _: (200 if gate.wait(20) else 500, {})
    try:
        add(book, "a-slow", url=slow.url)
        add(book, url=receiver.url)
        hold(book, DRIFT)
        threads = postman.deliver()
        threads[1].join(10)
        assert [row.state for row in rows(book)] == ["queued", "sent"]
        hold(book, ADDED)
        for thread in postman.deliver():  # the slow one is still being told, and is not told twice
            thread.join(10)
        assert len(receiver.received) == 2
        assert len(slow.received) == 1
        gate.set()
        threads[0].join(10)
    finally:
        gate.set()
        slow.close()


@in_sqlite
def test_flapping_is_bounded_and_nothing_of_it_is_lost(
    book: Ledger, postman: Delivery, receiver: Receiver
) -> None:
    at = [0.0]
    postman._buckets["hook"] = Bucket(lambda: at[0])
    add(book, url=receiver.url)
    for _ in range(12):
        hold(book, DRIFT)
        deliver(postman)
        hold(book)
        deliver(postman)
    assert len(receiver.received) == delivery.BURST
    at[0] += delivery.REFILL_SECONDS
    deliver(postman)
    assert len(receiver.received) == delivery.BURST + 1, "all that waited, as one"
    assert len(receiver.told) == 24
    subject, body = outbox.messages.as_text(
        [outbox.Notice(**{**one, **_times(one)}) for one in receiver.received[-1].json["alerts"]]
    )
    assert subject == "[warning] resolved: `wind` drifted in Jan 2013"
    assert body.count("drifted") == 1


@in_sqlite
@pytest.mark.parametrize("sink_is", ["told enough", "out of order"])
def test_what_cannot_be_told_now_is_not_looked_for_without_a_pause(
    book: Ledger, postman: Delivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, sink_is: str
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("a mistake")

    if sink_is == "told enough":
        postman._buckets["hook"] = Bucket(lambda: 0.0, room=0.0)
    else:
        monkeypatch.setattr(postman, "_tell_group", fail)
    rounds, look = [], postman.round

    def counted() -> None:
        rounds.append(1)
        look()

    monkeypatch.setattr(postman, "round", counted)
    add(book, url=receiver.url)
    hold(book, DRIFT)
    postman.start()
    wait_until(lambda: rounds, "the first round")
    time.sleep(0.3)
    postman.end()
    postman.join(20)
    assert 1 <= len(rounds) <= 2
    assert receiver.received == []


def _times(one: dict[str, Any]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(one[name]) for name in ("first_seen", "last_seen")}


def test_what_a_silence_kept_is_told_when_it_ends_unless_it_is_over(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
) -> None:
    add(book, url=receiver.url)
    silencing.silence(
        book, Matcher("rain", "data_*"), lasting=timedelta(hours=2), reason="x", by="t", starts=NOW
    )
    number = silencing.silence(
        book,
        Matcher(rule="schema_added"),
        lasting=timedelta(hours=1),
        reason="every Saturday",
        by="t",
        starts=NOW - timedelta(days=1),
        schedule=Schedule(as_cron("sat 13:00"), 3600, "Europe/Berlin"),
    )
    hold(book, DRIFT, ADDED)
    deliver(postman)
    assert receiver.received == []
    hold(book, DRIFT, at=NOW + timedelta(minutes=1))
    clock.now = NOW + timedelta(hours=3)
    postman._look()
    deliver(postman)
    assert receiver.told == [("data_drift", "opened")]
    silencing.end(book, number, by="t")
    assert sorted(row.state for row in rows(book)) == ["dropped", "sent"]


@in_sqlite
def test_a_rule_that_has_to_hold_waits_for_its_time_even_when_nothing_comes_any_more(
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
) -> None:
    from taxiway.control import rules
    from tests.control.rows import endpoint_row

    with book.transaction() as session:
        session.add(endpoint_row("rain"))
    spec = {"name": "wind-moves", "metric": "psi", "column": "wind", "above": 0.3, "for": "1h"}
    rules.apply(book, rules.placed([spec], "rain"), by="test")
    add(book, url=receiver.url)
    held = firing("rain", "wind-moves", "warning", "It moves", "", "wind", hold=timedelta(hours=1))
    hold(book, held)
    for minutes in (0, 59):
        clock.now = NOW + timedelta(minutes=minutes)
        postman._look()
        deliver(postman)
        assert receiver.received == []
    clock.now = NOW + timedelta(minutes=61)
    postman._look()
    deliver(postman)
    assert receiver.told == [("wind-moves", "opened")]
    with book.reading() as session:
        alert = session.scalars(select(AlertRow)).one()
    assert (alert.state, alert.since, alert.first_seen) == ("firing", NOW, clock.now)


def test_pauses_double_to_five_minutes() -> None:
    for attempts, longest in ((1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (10_000, 300)):
        pauses = [outbox.pause(attempts) for _ in range(50)]
        assert longest / 2 <= min(pauses) <= max(pauses) <= longest


@in_sqlite
def test_nothing_is_written_where_nobody_is_to_be_told(book: Ledger, postman: Delivery) -> None:
    hold(book, DRIFT)
    assert rows(book) == []
    before = book.data_version()
    postman._look()
    postman.deliver()
    assert book.data_version() == before
