"""The ledger: one database that says what should be, what was seen, and what happened."""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Row, create_engine, event, func, inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from taxiway.control import holders
from taxiway.control.bell import Bell
from taxiway.control.tables import EventRow, Table
from taxiway.errors import CorruptionError, InputError, TaxiwayError
from taxiway.settings import settings

REVISION = "0004"
WAIT_SECONDS = 15  # for others who write
FROZEN_SECONDS = 120  # in a transaction, after which PostgreSQL ends it
WRITER_LOCK = 0x7A71  # any number that no other user of the database takes
_MIGRATIONS = Path(__file__).parent / "migrations"
_HEAD = Table.metadata.tables["head"]


class OutdatedError(Exception):
    """A newer Taxiway has changed the ledger's schema: this process must not write any more."""


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
        parsed = _address(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            self.engine = _sqlite(parsed, Path(parsed.database))
            self.bell = Bell(Path(f"{parsed.database}.bell"))
            reading: dict[str, Any] = {}
        else:
            self.engine = _postgresql(parsed)
            self.bell = Bell(None)
            # All queries of one session see one state, as SQLite's do
            reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._readers = self.engine.execution_options(taxiway_read=True, **reading)
        with _explained(self.engine):
            self._migrate()

    def _migrate(self) -> None:
        """Bring the schema up to date; a schema that already is costs one query."""
        with self._readers.connect() as connection:
            if _revision(connection) == REVISION:
                return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.engine.begin() as connection:
            _one_writer(connection)
            found = _revision(connection)
            if found > REVISION:
                raise TaxiwayError(
                    f"The ledger is of a newer Taxiway: its revision is {found}, this one knows {REVISION}.",
                    hint="Install that Taxiway: pip install --upgrade taxiway.",
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def transaction(self, *, notable: bool = True) -> Iterator[Session]:
        """Open a session that commits at the end of the block, or changes nothing.

        Parameters
        ----------
        notable
            Whether ``data_version`` is to change with it, and all who poll it are to read anew.

        Raises
        ------
        TaxiwayError
            The database cannot be written: it is locked, its disk is full, its server is away.
        """
        with (
            _explained(self.engine),
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            _one_writer(session.connection())
            yield session
            session.flush()
            if notable:
                session.connection().execute(update(_HEAD).values(changes=_HEAD.c.changes + 1))
        if notable:
            self.bell.ring()

    @property
    def identity(self) -> str:
        """16 hexadecimal digits that no other ledger has, and its copies share; empty before any event."""
        first = select(EventRow.hash).order_by(EventRow.id).limit(1)
        with self.reading() as session:
            return (session.scalar(first) or "")[:16]

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session to read with, which never waits for a writer and sees one state throughout."""
        with (
            _explained(self.engine),
            Session(self._readers, expire_on_commit=False, autoflush=False) as session,
        ):
            yield session

    def data_version(self) -> str:
        """Give a token that changes with every notable transaction; cheap enough to poll."""
        try:  # past SQLAlchemy's own work, which takes six times as long
            with closing(self.engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute("SELECT changes FROM head")
                row = cursor.fetchone()
                return str(row[0]) if row else ""
        except (DatabaseError, self.engine.dialect.loaded_dbapi.Error) as error:
            raise _unusable(self.engine, error) from error

    def close(self) -> None:
        """Let go of its connections; it opens new ones when it is used again."""
        self.engine.dispose()


def _address(url: str) -> URL:
    """Read a ledger's URL; of PostgreSQL's drivers, psycopg is the one that is used."""
    hint = "Unset it to use SQLite, or give one such as postgresql://user@host/name."
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        name = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(
            f"TAXIWAY_DATABASE_URL is not a database URL that can be used: {error}.", hint=hint
        ) from error
    if name not in ("sqlite", "postgresql"):
        raise InputError(f"TAXIWAY_DATABASE_URL names {name}, which no ledger can lie in.", hint=hint)
    return parsed


def _sqlite(url: URL, path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives its -wal and -shm files the mode of this one
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise TaxiwayError(
            f"The ledger cannot be opened: {error}.", hint="Make its folder writable, or set TAXIWAY_HOME."
        ) from error
    engine = create_engine(url, json_serializer=_json)
    _configure_sqlite(engine)
    return engine


def _postgresql(url: URL) -> Engine:
    try:
        from psycopg.types.string import StrDumperUnknown
    except ModuleNotFoundError as error:
        raise InputError(
            "A ledger in PostgreSQL needs psycopg.", hint="Install it: pip install 'taxiway[postgres]'."
        ) from error

    class WithoutNul(StrDumperUnknown):
        """PostgreSQL's text has no NUL, which a crashing process may well have logged."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", ""))

    engine = create_engine(
        url,
        json_serializer=_json,
        pool_pre_ping=True,  # the server may have been started anew
        connect_args={
            "application_name": f"taxiway {socket.gethostname()}:{os.getpid()}",
            "connect_timeout": 10,
        },
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.adapters.register_dumper(str, WithoutNul)
        connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        # One that is frozen in the midst of a transaction is let go of by the server
        connection.execute(f"SET idle_in_transaction_session_timeout = '{FROZEN_SECONDS}s'")
        connection.commit()

    return engine


def _json(value: Any) -> str:
    """Write JSON as the standard has it; PostgreSQL takes no NaN and no infinity, and they become null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _revision(connection: Connection) -> str:
    """Read which revision the schema has; empty if there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""


def _one_writer(connection: Connection) -> None:
    """Wait for the writers before this one, as SQLite's BEGIN IMMEDIATE does."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))


def check_revision(session: Session) -> None:
    """Make sure that a newer Taxiway has not changed the schema since this process opened the ledger.

    Raises
    ------
    OutdatedError
        It has; what this process would write may no longer be right.
    """
    found = session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found != REVISION:
        raise OutdatedError(f"The ledger's revision is {found} by now, and this process knows {REVISION}.")


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Say in one sentence what the database's own error means; an error of the code's is left as it is."""
    try:
        yield
    except DatabaseError as error:
        if type(error) not in (DatabaseError, OperationalError):
            raise
        raise _unusable(engine, error.orig or error) from error


def _unusable(engine: Engine, error: BaseException) -> TaxiwayError:
    url, reason = engine.url, str(error).strip().rstrip(".").replace("\n", " ")
    if "lock" in reason and ("locked" in reason or "timeout" in reason):
        if url.get_backend_name() == "postgresql":
            holder = holders.postgresql_writer(engine, WRITER_LOCK)
        else:
            holder = holders.sqlite_writer(Path(str(url.database)))
        reason += f"; it is being written by {holder}" if holder else ""
        hint = "Another process has been writing for too long: try again, or end it if it is frozen."
    elif url.get_backend_name() == "postgresql":
        hint = f"Check that the server runs: {url.render_as_string(hide_password=True)}."
    else:
        hint = "Check that its folder is writable and its disk is not full, or set TAXIWAY_HOME."
    return TaxiwayError(f"The ledger cannot be used: {reason}.", hint=hint)


def _configure_sqlite(engine: Engine) -> None:
    """Set WAL, full synchronisation, foreign keys; a transaction that may write takes its lock at once."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={WAIT_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
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
    ledger().close()
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
    session.flush()
    head = session.connection().execute(select(_HEAD.c.events, _HEAD.c.hash)).one_or_none()
    if head is None:
        raise CorruptionError(
            "The ledger's head is gone.", hint="`taxiway audit` says more; `taxiway restore` brings a backup."
        )
    row = EventRow(
        time=now(),
        endpoint=endpoint,
        kind=kind,
        actor=by,
        text=text.replace("\0", ""),
        data=json.loads(_json(data)),  # as it will be read
        previous_hash=head.hash,
    )
    row.hash = event_hash(row)
    session.add(row)
    session.flush()
    session.connection().execute(update(_HEAD).values(events=head.events + 1, hash=row.hash))
    return row


def event_hash(row: EventRow | Row[Any]) -> str:
    """SHA-256 over an event's content and its predecessor's hash."""
    content = [row.previous_hash, row.time.isoformat(), row.endpoint, row.kind, row.actor, row.text, row.data]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
