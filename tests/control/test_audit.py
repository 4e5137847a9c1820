"""What an audit shows, in SQLite and in PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from taxiway.control.audit import Audit, audit
from taxiway.control.ledger import Ledger, event_hash, record
from taxiway.control.tables import EventRow
from taxiway.errors import InputError


@pytest.fixture
def book(ledger_url: str) -> Ledger:
    book = Ledger(ledger_url)
    with book.transaction() as session:
        for number in range(4):
            record(session, "promoted", f"event {number}", by="test", endpoint="rain", number=number)
    return book


def audited(book: Ledger, since: str | None = None) -> Audit:
    with book.reading() as session:
        return audit(session, since=since)


def tamper(book: Ledger, *statements: str) -> Audit:
    """Change the database behind the ledger's back, and look."""
    assert audited(book).findings == []
    with book.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    return audited(book)


def forged(after: EventRow) -> EventRow:
    """An event that looks as if it had been recorded after another."""
    row = EventRow(id=50, time=after.time, kind="promoted", actor="eve", text="x", data={})
    row.previous_hash = after.hash
    row.hash = event_hash(row)
    return row


def test_an_untouched_ledger_has_no_findings_and_a_mark(book: Ledger) -> None:
    found = audited(book)
    assert (found.events, found.findings) == (4, [])
    assert found.mark.startswith("4:")


@pytest.mark.parametrize("change", ["text = 'other'", "actor = 'eve'", "endpoint = NULL", "data = '{}'"])
def test_a_changed_event_shows(book: Ledger, change: str) -> None:
    found = tamper(book, f"UPDATE events SET {change} WHERE id = 2")
    assert [finding.event for finding in found.findings] == [2]


def test_a_removed_event_shows(book: Ledger) -> None:
    found = tamper(book, "DELETE FROM events WHERE id = 2")
    assert found.findings[0].event == 3


def test_a_removed_beginning_shows(book: Ledger) -> None:
    assert tamper(book, "DELETE FROM events WHERE id = 1").findings[0].event == 2


def test_a_removed_end_shows_and_goes_on_showing(book: Ledger) -> None:
    found = tamper(book, "DELETE FROM events WHERE id = 4")
    assert "4 events, and there are 3" in found.findings[0].text
    with book.transaction() as session:
        record(session, "promoted", "as if nothing had been", by="test")
    assert "removed" in audited(book).findings[0].text


def test_an_event_that_something_else_inserted_shows(book: Ledger) -> None:
    with book.engine.begin() as connection:
        connection.execute(text("UPDATE events SET id = 104 WHERE id = 4"))
        connection.execute(text("UPDATE events SET id = 103 WHERE id = 3"))
    assert audited(book).findings == []  # the ids may have gaps
    with book.transaction() as session:
        second = session.get_one(EventRow, 2)
        forged = EventRow(
            id=50,
            time=second.time,
            kind="promoted",
            actor="eve",
            text="x",
            data={},
            previous_hash=second.hash,
        )
        forged.hash = event_hash(forged)
        session.add(forged)
    assert audited(book).findings[0].event == 103


def test_an_event_that_something_else_added_at_the_end_shows(book: Ledger) -> None:
    with book.transaction() as session:
        last = session.get_one(EventRow, 4)
        session.add(forged(last))
    assert "added" in audited(book).findings[0].text


def test_events_in_another_order_show(book: Ledger) -> None:
    found = tamper(
        book,
        "UPDATE events SET id = 99 WHERE id = 2",
        "UPDATE events SET id = 2 WHERE id = 3",
        "UPDATE events SET id = 3 WHERE id = 99",
    )
    assert [finding.event for finding in found.findings] == [2, 3, 4]


def test_a_chain_that_was_forged_as_a_whole_shows_only_against_a_mark(book: Ledger) -> None:
    mark = audited(book).mark
    with book.transaction() as session:
        record(session, "promoted", "later", by="test")
    assert audited(book, mark).findings == []
    with book.transaction() as session:
        previous = session.get_one(EventRow, 1).hash
        for number in range(2, 6):
            row = session.get_one(EventRow, number)
            row.previous_hash, row.text = previous, "something else"
            previous = row.hash = event_hash(row)
        session.flush()
        session.execute(text(f"UPDATE head SET hash = '{previous}'"))
    assert audited(book).findings == []
    assert [finding.event for finding in audited(book, mark).findings] == [4]


def test_a_ledger_that_is_shorter_than_its_mark_shows(book: Ledger) -> None:
    mark = audited(book).mark
    found = tamper(
        book,
        "DELETE FROM events WHERE id = 4",
        "UPDATE head SET events = 3, hash = (SELECT hash FROM events WHERE id = 3)",
    )
    assert found.findings == []
    assert "when the mark was taken, 4" in audited(book, mark).findings[0].text


def test_what_is_no_mark_is_named(book: Ledger) -> None:
    with pytest.raises(InputError, match="no mark"):
        audited(book, "yesterday")
