"""Each kind of sink is told in its own form, and given only what may be written down."""

from __future__ import annotations

import logging
import smtplib
from datetime import datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from taxiway.control import outbox, senders, sinks
from taxiway.control.delivery import Delivery
from taxiway.control.ledger import Ledger
from taxiway.errors import InputError
from tests.control.alerts import ADDED, DRIFT, NOW, Clock, add, deliver, hold, in_sqlite, rows, sink
from tests.control.receivers import Receiver

# of Python's own module, which Apprise's plug-ins import
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

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
    book: Ledger, postman: Delivery, receiver: Receiver, clock: Clock
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
    receiver: Receiver,
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


@in_sqlite
def test_a_redirect_is_not_followed(book: Ledger, postman: Delivery, receiver: Receiver) -> None:
    receiver.answer = lambda one: (302, {"location": receiver.url + "/elsewhere"})
    add(book, url=receiver.url)
    hold(book, DRIFT)
    deliver(postman)
    assert len(receiver.received) == 1
    assert sink(book).error == "It answered 302; redirects are not followed."


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
