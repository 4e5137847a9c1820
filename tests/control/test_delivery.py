"""Alerts reach their sinks: at least once, grouped, signed, bounded; a slow or dead one holds up nobody."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import smtplib
import socket
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import select

from taxiway.control import delivery, notices, outbox, senders, silencing, sinks
from taxiway.control.delivery import Bucket, Delivery
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.tables import AlertRow, DeliveryRow, EventRow, SinkRow
from taxiway.errors import InputError
from taxiway.monitoring.context import Firing, firing
from taxiway.monitoring.silences import Matcher, Schedule, as_cron
from tests.control.receivers import Receiver, receiver  # noqa: F401 - fixture

# of Python's own module, which Apprise's plug-ins import
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DRIFT = firing("rain", "data_drift", "warning", "`wind` drifted in Jan 2013", "Why.", "wind", value=0.4)
ADDED = firing("rain", "schema_added", "critical", "New column `account_type`", "", "account_type")


#: Most tests need one database only; the others see to it that the outbox is the same in both.
in_sqlite = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


class Clock:
    """The time of day, which a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def book(ledger_url: str) -> Ledger:
    return ledger()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def postman(book: Ledger, clock: Clock) -> Delivery:
    return Delivery(book, clock)


def add(book: Ledger, name: str = "hook", **definition: Any) -> None:
    sinks.add(book, name, {"kind": "webhook", **definition}, by="test")


def hold(book: Ledger, *firings: Firing, at: datetime = NOW, endpoint: str = "rain") -> None:
    with book.transaction() as session:
        notices.settle(session, endpoint, firings, moment=at)


def deliver(postman: Delivery) -> None:
    """Tell what is due, and wait until it is told."""
    for thread in postman.deliver():
        thread.join(20)


def rows(book: Ledger) -> list[DeliveryRow]:
    with book.reading() as session:
        return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)))


def sink(book: Ledger, name: str = "hook") -> SinkRow:
    with book.reading() as session:
        return session.get_one(SinkRow, name)


def test_alerts_of_one_cycle_go_as_one_signed_message_and_so_does_their_end(
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
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
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
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
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
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
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
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
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
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
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
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
def test_a_slow_sink_holds_up_no_other(
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
) -> None:
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
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
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


def _times(one: dict[str, Any]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(one[name]) for name in ("first_seen", "last_seen")}


def test_what_a_silence_kept_is_told_when_it_ends_unless_it_is_over(
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
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
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
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


# components/schemas of api/v2/openapi.yaml of Alertmanager 0.28: postableAlerts
POSTABLE = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["labels"],
        "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "generatorURL": {"type": "string", "format": "uri"},
            "startsAt": {"type": "string", "format": "date-time"},
            "endsAt": {"type": "string", "format": "date-time"},
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
}


@in_sqlite
def test_alertmanager_is_told_in_its_own_form_and_again_while_it_fires(
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    clock: Clock,
) -> None:
    add(book, "am", kind="alertmanager", url=f"http://{receiver.address}/")
    hold(book, DRIFT)
    deliver(postman)
    assert {got.path for got in receiver.received} == {"/api/v2/alerts"}
    assert len(receiver.received) == 2, "opened, and the first repetition"
    for got in receiver.received:
        Draft202012Validator(POSTABLE).validate(got.json)
        (one,) = got.json
        assert one["labels"]["alertname"] == "data_drift"
        assert one["labels"].items() >= {"endpoint": "rain", "severity": "warning", "column": "wind"}.items()
        assert datetime.fromisoformat(one["endsAt"]) == NOW + senders.HOLDS
    deliver(postman)
    assert len(receiver.received) == 2
    postman._repeated["am"] -= senders.REPEAT.total_seconds()
    deliver(postman)
    assert len(receiver.received) == 3
    clock.now = NOW + timedelta(minutes=2)
    hold(book, at=clock.now)
    deliver(postman)
    assert datetime.fromisoformat(receiver.received[3].json[0]["endsAt"]) == clock.now


@in_sqlite
def test_apprise_tells_another_json_receiver_and_says_why_it_cannot(
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ELSEWHERE", f"json://someone:hunter2password@{receiver.address}/in")
    add(book, "elsewhere", kind="apprise", url="env:ELSEWHERE")
    hold(book, ADDED)
    deliver(postman)
    (got,) = receiver.received
    assert got.json["title"] == "[critical] New column `account_type`"
    receiver.answer = lambda _: (403, {})
    hold(book)
    deliver(postman)
    error = sink(book, "elsewhere").error
    assert error
    monkeypatch.delenv("ELSEWHERE")
    with book.transaction() as session:
        outbox.enqueue_test(session, "elsewhere")
    deliver(postman)
    tested = rows(book)[-1]
    assert tested.state == "failed"
    assert "no environment variable ELSEWHERE" in tested.error
    assert "hunter2password" not in error + caplog.text + "".join(row.error for row in rows(book))


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as it takes to accept a message."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                for text in self.rfile:
                    if text == b".\r\n":
                        break
                    self.server.mail.append(text)  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            if verb == b"QUIT":
                return


@pytest.fixture
def smtp() -> Iterator[Any]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp)
    server.daemon_threads, server.block_on_close = True, False
    server.mail = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@in_sqlite
def test_apprise_sends_mail(book: Ledger, postman: Delivery, smtp: Any) -> None:
    port = smtp.server_address[1]
    assert smtplib.SMTP("127.0.0.1", port).quit()[0] == 221
    url = f"mailto://127.0.0.1:{port}?from=taxiway@example.org&to=someone@example.org"
    add(book, "mail", kind="apprise", url=url)
    hold(book, ADDED)
    deliver(postman)
    assert [row.state for row in rows(book)] == ["sent"], rows(book)[0].error
    assert any(b"account_type" in line for line in smtp.mail)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/services/T00000000/B00000000/x",
        "https://user:password@host/x",
        "https://host/x?token=1",
        "https://host/hooks/9f8a7b6c5d4e3f2a1b0c",
        "slack://tokena/tokenb/tokenc",
        "mailto://me:secret@example.org",
        "discord://1234/abcd",
    ],
)
def test_an_address_with_a_credential_is_refused_with_the_remedy(url: str) -> None:
    kind = "webhook" if url.startswith("https") else "apprise"
    with pytest.raises(InputError, match="carries a credential") as refused:
        sinks.parse({"kind": kind, "url": url})
    assert "environment variable" in refused.value.hint
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    "definition",
    [
        {"kind": "webhook", "url": "ftp://host/x"},
        {"kind": "apprise", "url": "file:///etc/passwd"},
        {"kind": "webhook", "url": "http://169.254.169.254/latest"},
        {"kind": "webhook", "url": "http://[fe80::1]/x"},
        {"kind": "apprise", "url": "json://host/?template=/etc/passwd"},
        {"kind": "apprise", "url": "env:"},
        {"kind": "carrier-pigeon", "url": "json://host"},
        {"kind": "webhook", "url": "http://host/x", "secret": "plain"},
        {"kind": "webhook", "url": "http://host/x", "timeout": 1e9},
        {"kind": "webhook", "url": "http://[host/x"},
    ],
    ids=str,
)
def test_a_definition_that_cannot_be_used_is_refused_in_a_sentence(definition: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        sinks.parse(definition)
    assert "\n" not in refused.value.message
    assert refused.value.hint


@in_sqlite
def test_a_redirect_is_not_followed(
    book: Ledger,
    postman: Delivery,
    receiver: Receiver,  # noqa: F811
) -> None:
    receiver.answer = lambda one: (302, {"location": receiver.url + "/elsewhere"})
    add(book, url=receiver.url)
    hold(book, DRIFT)
    deliver(postman)
    assert len(receiver.received) == 1
    assert sink(book).error == "It answered 302; redirects are not followed."


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


def test_what_a_sinks_code_quotes_of_its_address_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(spec: object, url: str, told: object) -> str:
        raise RuntimeError(f"cannot post to {url}: xoxb%2Dtoken or xoxb-token at hooks/T00/secret99")

    monkeypatch.setattr(senders, "_by_apprise", fail)
    monkeypatch.setenv("SLACK_URL", "slack://xoxb%2Dtoken/T00/secret99/#general")
    spec = sinks.parse({"kind": "apprise", "url": "env:SLACK_URL"})
    with pytest.raises(senders.UndeliveredError) as refused:
        senders.send(spec, "slack", [], NOW)
    told = str(refused.value)
    assert told.startswith("RuntimeError: cannot post to")
    assert not [word for word in ("xoxb%2Dtoken", "xoxb-token", "secret99") if word in told]
