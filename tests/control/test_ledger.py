from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from taxiway.control.ledger import REVISION, Ledger, broken_links, record
from taxiway.control.tables import Table
from taxiway.errors import InputError, TaxiwayError


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


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


def test_two_processes_that_make_the_ledger_at_once_both_get_it(tmp_path: Path) -> None:
    code = "import sys; from taxiway.control.ledger import Ledger; print(Ledger(sys.argv[1]).data_version())"
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error.decode()


def test_a_changed_event_shows(book: Ledger) -> None:
    with book.transaction() as session:
        for number in range(3):
            record(session, "promoted", f"event {number}", by="test", endpoint="rain", number=number)
    with book.reading() as session:
        assert broken_links(session) == []
    with book.transaction() as session:
        session.execute(text("UPDATE events SET text = 'something else' WHERE id = 2"))
    with book.reading() as session:
        assert broken_links(session) == [2]


def test_a_removed_event_shows(book: Ledger) -> None:
    with book.transaction() as session:
        for number in range(3):
            record(session, "promoted", f"event {number}", by="test", endpoint="rain")
    with book.transaction() as session:
        session.execute(text("DELETE FROM events WHERE id = 2"))
    with book.reading() as session:
        assert broken_links(session) == [3]


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


def test_only_the_owner_can_read_the_ledger(book: Ledger, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "ledger.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("url", ["not a url", "nosuchdatabase://host/name"])
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
