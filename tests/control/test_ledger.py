"""The ledger, in SQLite and in PostgreSQL."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import select, text

from taxiway.control.ledger import REVISION, Ledger, record
from taxiway.control.tables import EndpointRow, EventRow, Table
from taxiway.errors import InputError, TaxiwayError
from tests.control.rows import endpoint_row


@pytest.fixture
def book(ledger_url: str) -> Ledger:
    return Ledger(ledger_url)


def test_migrations_make_exactly_the_tables_that_the_code_knows(book: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with book.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Table.metadata)
    assert differences == []


def test_the_revision_in_the_code_is_the_head_of_the_migrations() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "taxiway.control:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_a_transaction_that_fails_changes_nothing(book: Ledger) -> None:
    def half() -> None:
        with book.transaction() as session:
            record(session, "promoted", "half of it", by="test", endpoint="rain")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    with book.reading() as session:
        assert session.execute(text("SELECT count(*) FROM events")).scalar() == 0


def test_readers_do_not_wait_for_a_writer(book: Ledger) -> None:
    with book.transaction() as session:
        record(session, "promoted", "not committed yet", by="test", endpoint="rain")
        with book.reading() as other:
            assert other.execute(text("SELECT count(*) FROM events")).scalar() == 0


def test_the_token_changes_with_every_commit(book: Ledger) -> None:
    before = book.data_version()
    assert book.data_version() == before
    with book.transaction() as session:
        record(session, "promoted", "something", by="test", endpoint="rain")
    assert book.data_version() != before


def test_the_token_changes_when_the_desired_state_does_without_an_event(book: Ledger) -> None:
    with book.transaction() as session:
        session.add(endpoint_row("rain"))
    before = book.data_version()
    for _ in range(20):  # within one tick of the file system's clock
        with book.transaction() as session:
            session.get_one(EndpointRow, "rain").workers += 1
        assert book.data_version() != before
        before = book.data_version()


def test_a_reader_sees_one_state_throughout(book: Ledger) -> None:
    with book.reading() as session:
        assert session.scalars(select(EventRow)).all() == []
        with book.transaction() as writer:
            record(writer, "promoted", "in between", by="test")
        assert session.scalars(select(EventRow)).all() == []
    with book.reading() as session:
        assert len(session.scalars(select(EventRow)).all()) == 1


def test_what_one_database_could_not_hold_is_written_alike_to_both(book: Ledger) -> None:
    with book.transaction() as session:
        record(
            session, "observed", "a log with a NUL: \0.", by="test", value=float("nan"), deep=[(1, -1e999)]
        )
        session.add(endpoint_row("rain", previous="\0" if "postgresql" in str(book.engine.url) else ""))
    with book.reading() as session:
        row = session.scalars(select(EventRow)).one()
        assert session.get_one(EndpointRow, "rain").previous == ""
    assert row.text == "a log with a NUL: ."
    assert row.data == {"value": None, "deep": [[1, None]]}


def test_connections_that_the_server_closed_are_opened_anew(ledger_url: str, engines: None) -> None:
    book = Ledger(ledger_url)
    if book.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no server")
    before = book.data_version()
    other = Ledger(ledger_url)
    with other.transaction() as session:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        session.execute(text(query + " AND datname = current_database()"))
    assert book.data_version() != before


def test_only_the_owner_can_read_the_ledger(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}").engine.dispose()
    assert stat.S_IMODE((tmp_path / "ledger.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("url", ["not a url", "nosuchdatabase://host/name", "mysql://host/name"])
def test_a_bad_url_is_named_with_a_remedy(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Ledger(url)
    assert "TAXIWAY_DATABASE_URL" in caught.value.message
    assert caught.value.hint


def test_a_ledger_that_is_no_database_is_named_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is not a database, however long it may be" * 100)
    with pytest.raises(TaxiwayError) as caught:
        Ledger(f"sqlite:///{path}")
    assert caught.value.hint


def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(TaxiwayError) as caught:
        Ledger(f"postgresql://me:very-secret@/ledger?host={tmp_path}")
    assert "very-secret" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "server" in caught.value.hint


def test_a_ledger_that_cannot_be_written_is_named_with_a_remedy(ledger_url: str) -> None:
    book, other = Ledger(ledger_url), Ledger(ledger_url)
    short = {"sqlite": "PRAGMA busy_timeout=50", "postgresql": "SET lock_timeout = '50ms'"}
    pooled = book.engine.raw_connection()
    pooled.cursor().execute(short[book.engine.dialect.name])
    pooled.commit()
    pooled.close()
    with other.transaction(), pytest.raises(TaxiwayError, match="lock") as caught, book.transaction():
        pass
    assert "try again" in caught.value.hint
    assert str(os.getpid()) in caught.value.message, "who is writing"
