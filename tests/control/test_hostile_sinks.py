"""Sinks that mean harm, or hang, or were given text that does: nothing else suffers from it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from taxiway.control import apprising, hosts, messages, notices, outbox, rules, senders, sinks
from taxiway.control.delivery import Delivery
from taxiway.control.ledger import Ledger
from taxiway.control.tables import DeliveryRow, RuleRow
from taxiway.errors import InputError
from taxiway.monitoring.context import firing
from tests.control.alerts import DRIFT, NOW, add, deliver, hold, in_sqlite, rows, sink
from tests.control.receivers import Receiver

pytestmark = [
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]


@pytest.fixture
def drip() -> Iterator[str]:
    """The address of one that answers a byte at a time, and never comes to an end."""
    ending = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\nx-a: ")
                while not ending.wait(0.05):
                    peer.sendall(b"a")
        except OSError:
            pass  # the other one has left

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    ending.set()
    listener.close()
    thread.join(5)


@in_sqlite
@pytest.mark.parametrize(("kind", "scheme"), [("webhook", "http"), ("apprise", "json")])
def test_an_answer_without_end_is_a_failure_after_the_time_it_may_take(
    book: Ledger, postman: Delivery, drip: str, monkeypatch: pytest.MonkeyPatch, kind: str, scheme: str
) -> None:
    monkeypatch.setattr(apprising, "START_SECONDS", 8.0)
    add(book, kind=kind, url=f"{scheme}://{drip}/x", timeout=1.0)
    hold(book, DRIFT)
    began = time.monotonic()
    deliver(postman)
    assert time.monotonic() - began < 18
    assert "within 1 s" in sink(book).error
    assert [row.state for row in rows(book)] == ["queued"]


@pytest.mark.parametrize(
    "host",
    [
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "169.254.169.254.",
    ],
)
@pytest.mark.parametrize("kind", ["webhook", "apprise"])
def test_no_way_of_writing_where_clouds_keep_credentials_is_taken(host: str, kind: str) -> None:
    with pytest.raises(InputError, match="where clouds keep credentials"):
        sinks.parse({"kind": kind, "url": f"{'http' if kind == 'webhook' else 'json'}://{host}/x"})


def test_a_name_that_leads_to_where_clouds_keep_credentials_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for kind, scheme in (("webhook", "http"), ("apprise", "json")):
        spec = sinks.parse({"kind": kind, "url": f"{scheme}://metadata.example/x", "timeout": 2})
        with pytest.raises(senders.UndeliveredError, match="where clouds keep credentials"):
            senders.send(spec, "meta", [], NOW)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage",
        "https://maker.ifttt.com/trigger/rain/with/key/abcdefghijklmnop",
        "https://hooks.zapier.com/hooks/catch/12345/abcde",
    ],
)
def test_a_services_address_that_is_its_credential_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="carries a credential"):
        sinks.parse({"kind": "webhook", "url": url})


@in_sqlite
def test_a_sink_for_which_much_waits_keeps_nothing_from_the_others(
    book: Ledger, postman: Delivery, receiver: Receiver
) -> None:
    add(book, "dead", url="http://127.0.0.1:9/x")
    with book.transaction() as session:
        later = NOW + timedelta(minutes=4)
        for _ in range(2500):
            session.add(DeliveryRow(sink="dead", alert=1, kind="opened", due=later, created=NOW))
    add(book, url=receiver.url)
    hold(book, DRIFT)
    deliver(postman)
    assert receiver.told == [("data_drift", "opened")]


@in_sqlite
def test_what_cannot_be_looked_at_keeps_no_alert_back(
    book: Ledger, postman: Delivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(moment: object) -> None:
        raise PermissionError("a spool's folder")

    monkeypatch.setattr(postman._stoppages, "look", fail)
    add(book, url=receiver.url)
    hold(book, DRIFT)
    with pytest.raises(PermissionError):
        postman.round()
    deadline = time.monotonic() + 10
    while not receiver.received and time.monotonic() < deadline:
        time.sleep(0.02)
    assert receiver.told == [("data_drift", "opened")]


@in_sqlite
def test_alertmanager_is_told_again_after_it_failed_once(
    book: Ledger, postman: Delivery, receiver: Receiver
) -> None:
    add(book, "am", kind="alertmanager", url=f"http://{receiver.address}")
    hold(book, DRIFT)
    deliver(postman)
    receiver.answer = lambda _: (503, {})
    postman._repeated["am"] -= senders.REPEAT.total_seconds()
    deliver(postman)
    assert sink(book, "am").failures == 1
    receiver.answer = lambda _: (200, {})
    known = len(receiver.received)
    postman._repeated["am"] -= senders.REPEAT.total_seconds()
    deliver(postman)
    assert len(receiver.received) == known + 1, "else it would take what fires for resolved"
    assert sink(book, "am").failures == 0


def test_alertmanager_never_gets_an_end_before_the_beginning() -> None:
    began = outbox._test(DeliveryRow(id=1, sink="am", kind="test", created=NOW))
    body = messages.as_alertmanager(began, ends=NOW - timedelta(hours=1))  # the clock was set back
    assert body["startsAt"] <= body["endsAt"]


@in_sqlite
def test_a_name_that_leads_elsewhere_once_it_was_looked_at_is_sent_nothing(
    book: Ledger, postman: Delivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(book, url=receiver.url)
    hold(book, DRIFT)
    monkeypatch.setattr(senders, "insist_open", lambda parts: None)  # the look, at which it led elsewhere
    monkeypatch.setattr(hosts, "_OF_CLOUDS", frozenset({"127.0.0.1"}))
    deliver(postman)
    assert receiver.received == []
    assert "where clouds keep credentials" in sink(book).error


def test_a_name_that_leads_elsewhere_meanwhile_is_refused_to_apprise_too(receiver: Receiver) -> None:
    code = "from taxiway.control import apprising, hosts; hosts._OF_CLOUDS = {'127.0.0.1'}; apprising.main()"
    message = {"subject": "a", "body": "b", "mood": "info", "timeout": 5, "url": f"json://{receiver.address}"}
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(message), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["wrong"]
    assert receiver.received == []


@in_sqlite
def test_two_changes_for_the_worse_have_two_keys(book: Ledger, postman: Delivery, receiver: Receiver) -> None:
    add(book, url=receiver.url)
    for severity in ("info", "warning", "critical"):
        hold(book, replace(DRIFT, severity=severity))
        deliver(postman)
    told = [one for got in receiver.received for one in got.json["alerts"]]
    assert [one["transition"] for one in told] == ["opened", "worsened", "worsened"]
    assert len({one["key"] for one in told}) == 3


@in_sqlite
def test_a_value_that_json_has_not_is_told_as_none(
    book: Ledger, postman: Delivery, receiver: Receiver
) -> None:
    add(book, url=receiver.url)
    hold(book, replace(DRIFT, value=float("inf")))
    deliver(postman)
    (got,) = receiver.received
    assert got.json["alerts"][0]["value"] is None


HOSTILE = "a\r\nBcc: victim@example.org\r\n\r\n<img src=x> <!channel> @everyone `x`\u202e\x1b[2J"


def test_a_columns_name_writes_no_line_and_no_command_into_an_alert() -> None:
    one = firing("rain", "schema_added", "warning", f"New column `{HOSTILE}` in requests", "Why.", HOSTILE)
    assert one.column == HOSTILE, "programs get the name as it is"
    assert one.title.isprintable()
    assert "Bcc: victim@example.org" in one.title, "people still see what was sent"


@in_sqlite
def test_a_columns_name_neither_mentions_anybody_nor_becomes_markup_or_a_header_of_a_mail(
    book: Ledger, postman: Delivery, smtp: Any
) -> None:
    port = smtp.server_address[1]
    add(
        book,
        "mail",
        kind="apprise",
        url=f"mailto://127.0.0.1:{port}?from=taxiway@example.org&to=someone@example.org&format=html",
    )
    hold(book, firing("rain", "schema_added", "warning", f"New column `{HOSTILE}`", "Why.", HOSTILE))
    deliver(postman)
    assert [row.state for row in rows(book)] == ["sent"], rows(book)[0].error
    mail = message_from_bytes(b"".join(smtp.mail), policy=policy.default)
    assert mail["bcc"] is None
    parts = [part for part in mail.walk() if part.get_content_maintype() == "text"]
    page = "".join(part.get_content() for part in parts if part.get_content_subtype() == "html")
    assert "<img" not in page
    assert "&lt;" in page, "the text is told as text"
    for part in parts:
        assert "<!channel>" not in part.get_content()
        assert "@everyone" not in part.get_content()
    assert "Why." in page


def test_a_pending_alert_of_a_rule_that_is_gone_or_off_does_not_fire(book: Ledger) -> None:
    from taxiway.monitoring.rulebook import parse_rule

    waiting = firing("rain", "wind-moves", "warning", "psi of `wind`", "", "wind", hold=timedelta(hours=1))
    hold(book, waiting)
    later = NOW + timedelta(hours=2)
    off = parse_rule({"name": "wind-moves", "metric": "psi", "above": 1, "for": "1h", "enabled": False})
    on = parse_rule({"name": "wind-moves", "metric": "psi", "above": 1, "for": "1h"})
    with book.reading() as session:
        assert not notices.are_ripe(session, {"rain": []}, later)
        assert not notices.are_ripe(session, {"rain": [off]}, later)
        assert notices.are_ripe(session, {"rain": [on]}, later)


@in_sqlite
def test_a_stored_rule_that_cannot_be_read_is_listed_as_off_beside_the_others(book: Ledger) -> None:
    with book.transaction() as session:
        session.add(RuleRow(endpoint="", name="old", definition={"metric": "gone"}, actor="t", created=NOW))
    (entry,) = [one for one in rules.listed(book) if one["name"] == "old"]
    assert not entry["enabled"]
    assert "is not a metric" in entry["about"]
