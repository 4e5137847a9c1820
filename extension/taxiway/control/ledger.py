"""The ledger: one database that says what should be, what was seen, and what happened."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError
from sqlalchemy.orm import Session

from taxiway.control.tables import EventRow
from taxiway.errors import InputError, TaxiwayError
from taxiway.settings import settings

REVISION = "0001"
WRITER_LOCK = 0x7A71  # any number that no other user of the database takes
_MIGRATIONS = Path(__file__).parent / "migrations"


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def actor(channel: str) -> str:
    """Who acts, as events record it: the user and the way they came by."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user} ({channel})"


class Ledger:
    """A connection to the ledger, migrated to this version's schema.

    Parameters
    ----------
    url
        An SQLAlchemy URL.

    Raises
    ------
    InputError
        The URL names no usable database.
    TaxiwayError
        The database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "sqlite" and parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                # SQLite gives its -wal and -shm files the mode of this one
                os.close(os.open(parsed.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.engine = create_engine(parsed)
        except (ArgumentError, NoSuchModuleError) as error:
            raise InputError(
                f"TAXIWAY_DATABASE_URL is not a database URL that can be used: {error}.",
                hint="Unset it to use SQLite, or give one such as postgresql+psycopg://user@host/name.",
            ) from error
        if self.engine.dialect.name == "sqlite":
            _configure_sqlite(self.engine)
        try:
            self._migrate()
        except DatabaseError as error:
            raise TaxiwayError(
                f"The ledger cannot be opened: {error.orig}.",
                hint="Check that its folder is writable and its disk is not full, or set TAXIWAY_HOME.",
            ) from error

    def _migrate(self) -> None:
        """Bring the schema up to date; a schema that already is costs one query."""
        with self.engine.connect().execution_options(taxiway_read=True) as connection:
            if inspect(connection).has_table("alembic_version"):
                found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
                if found == REVISION:
                    return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session that commits at the end of the block, or changes nothing."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            if self.engine.dialect.name == "postgresql":  # one writer at a time, as with BEGIN IMMEDIATE
                session.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session to read with, which never waits for a writer."""
        with Session(
            self.engine.execution_options(taxiway_read=True), expire_on_commit=False, autoflush=False
        ) as session:
            yield session

    def data_version(self) -> str:
        """Give a token that changes whenever the ledger may have changed; cheap enough to poll."""
        with self.engine.connect().execution_options(taxiway_read=True) as connection:
            last_event = connection.execute(select(func.max(EventRow.id))).scalar()
            if self.engine.dialect.name != "sqlite":
                return f"{last_event}"
        wal = Path(f"{self.engine.url.database}-wal")
        try:
            stat = wal.stat()
        except FileNotFoundError:
            return f"{last_event}"
        return f"{last_event}-{stat.st_size}-{stat.st_mtime_ns}"


def _configure_sqlite(engine: Engine) -> None:
    """Set WAL, full synchronisation, foreign keys; a transaction that may write takes its lock at once."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in ("busy_timeout=15000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        reading = connection.get_execution_options().get("taxiway_read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@lru_cache(maxsize=8)
def _open(url: str, _pid: int) -> Ledger:
    return Ledger(url)


def ledger() -> Ledger:
    """Open the ledger that the settings name; the same object each time within a process."""
    return _open(settings().ledger_url, os.getpid())


def close() -> None:
    """Let go of every ledger that this process has open, such as one whose files were deleted."""
    ledger().engine.dispose()
    _open.cache_clear()


def record(
    session: Session, kind: str, text: str, *, by: str, endpoint: str | None = None, **data: Any
) -> EventRow:
    """Append an event to the chain.

    Parameters
    ----------
    kind
        The field's word for it: ``deployed``, ``promoted``, ``alert opened`` …
    text
        One sentence for people.
    by
        Who acted, as ``actor`` gives it.
    data
        JSON-able details.
    """
    previous = session.execute(select(EventRow.hash).order_by(EventRow.id.desc()).limit(1)).scalar() or ""
    row = EventRow(
        time=now(), endpoint=endpoint, kind=kind, actor=by, text=text, data=data, previous_hash=previous
    )
    row.hash = event_hash(row)
    session.add(row)
    session.flush()
    return row


def event_hash(row: EventRow) -> str:
    """SHA-256 over an event's content and its predecessor's hash."""
    content = [row.previous_hash, row.time.isoformat(), row.endpoint, row.kind, row.actor, row.text, row.data]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def broken_links(session: Session) -> list[int]:
    """Give the ids of events whose hash or link does not hold; empty for an untouched ledger."""
    broken, previous = [], ""
    for row in session.scalars(select(EventRow).order_by(EventRow.id)):
        if row.previous_hash != previous or event_hash(row) != row.hash:
            broken.append(row.id)
        previous = row.hash
    return broken
