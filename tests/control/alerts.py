"""Two alerts, and what takes them to their sinks, by a clock that a test sets."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from taxiway.control import notices, sinks
from taxiway.control.delivery import Delivery
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.tables import DeliveryRow, SinkRow
from taxiway.monitoring.context import Firing, firing

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
