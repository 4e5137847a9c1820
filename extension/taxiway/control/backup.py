"""Backups: a whole ledger in one SQLite file, whichever database it lies in, and the way back from it.

What is not in it: the Models, the prediction log and the profiles, which lie in the store.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from taxiway.control.audit import audit
from taxiway.control.lease import LEASE, is_alive
from taxiway.control.ledger import REVISION, Ledger, now, record
from taxiway.control.tables import EndpointRow, EventRow, HeadRow, LeaseRow, ObservationRow, Table
from taxiway.errors import AgentError, ConflictError, CorruptionError, InputError, TaxiwayError
from taxiway.settings import settings

Progress = Callable[[int, int], None]  # how much is done, of how much
PAGES = 256
ROWS = 500


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written.

    Attributes
    ----------
    mark
        The audit's mark of its newest event.
    size
        Bytes.
    """

    path: Path
    endpoints: int
    events: int
    mark: str
    size: int


@dataclass(frozen=True, slots=True)
class Restored:
    """A ledger that was brought back.

    Attributes
    ----------
    kept
        Where the ledger lies that was there before; None if there was nothing in it.
    stopped
        Endpoints that the backup does not know; the agent will stop them.
    """

    endpoints: int
    events: int
    kept: Path | None
    stopped: list[str]


def _silent(done: int, total: int) -> None:
    del done, total


def backup(book: Ledger, path: Path, *, force: bool = False, progress: Progress = _silent) -> Backup:
    """Write the ledger as it is at one moment, while others go on reading and writing it.

    Parameters
    ----------
    path
        The file; it appears at once and whole, readable for its owner alone.
    force
        Write over a file that is there.

    Raises
    ------
    ConflictError
        There is such a file.
    TaxiwayError
        It cannot be written.
    """
    path = path.expanduser().absolute()
    if path.exists() and not force:
        raise ConflictError(f"{path} is there already.", hint="Name another file, or use --force.")
    with _explained(path), _half(path) as half:
        if book.engine.dialect.name == "sqlite":
            _copy(Path(str(book.engine.url.database)), half, progress, pages=PAGES)
            copy = Ledger(f"sqlite:///{half}")
        else:
            copy = Ledger(f"sqlite:///{half}")
            with book.reading() as source, copy.engine.begin() as target:
                _copy_rows(source.connection(), target, progress)
        with closing(copy), copy.reading() as session:
            found = audit(session)
            endpoints = _count(session)
        _alone(half)
        half.replace(path)
    return Backup(path, endpoints, found.events, found.mark, path.stat().st_size)


def restore(url: str, path: Path, *, by: str, force: bool = False, progress: Progress = _silent) -> Restored:
    """Bring a backup's content back, as one transaction: before its end, the ledger is as it was.

    Every endpoint gets a new generation, so that no back end takes what is asked for as done already.

    Parameters
    ----------
    url
        The ledger's SQLAlchemy URL; the backup may be of another kind of database.
    path
        A file that ``backup`` has written, by this version or an older one.
    by
        Who acts, as ``ledger.actor`` gives it.
    force
        Replace a ledger that is not empty; accept a backup whose chain of events is broken.

    Raises
    ------
    AgentError
        An agent works on the ledger.
    ConflictError
        The ledger is not empty.
    CorruptionError
        The backup's chain of events is broken.
    InputError
        The file is no backup.
    """
    path = path.expanduser().absolute()
    _check(path)
    place = Path(make_url(url).database or "") if url.startswith("sqlite") else None
    folder = place.parent if place else settings().home
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _explained(path), _half(folder / "ledger") as half:
        _copy(path, half, progress, pages=PAGES)
        with closing(Ledger(f"sqlite:///{half}")) as copy:
            _trust(copy, path, force)
            if place and not _is_sound(place):
                return _replace(copy, half, place, path, by, force)
            with closing(Ledger(url)) as book:
                return _overwrite(copy, half, book, place, path, by, force)


def _overwrite(
    copy: Ledger, half: Path, book: Ledger, place: Path | None, path: Path, by: str, force: bool
) -> Restored:
    """Write the copy over a ledger that can be read, by a transaction of its own database."""
    with book.reading() as session:
        _need_no_agent(session)
        is_empty = not _count(session) and not session.get_one(HeadRow, 1).events
        if not is_empty and not force:
            raise ConflictError(
                "The ledger is not empty.", hint="Use --force; the ledger as it is now is kept in a file."
            )
        before = list(session.scalars(select(EndpointRow)))
        head = session.get_one(HeadRow, 1)
    kept = None if is_empty else backup(book, _aside(place)).path
    restored = _prepare(copy, path, by, before, head, kept)
    if place:
        copy.close()
        _copy(
            half, place, _silent, pages=-1
        )  # SQLite writes it as one transaction, past those that have it open
    else:
        with copy.reading() as source, book.transaction() as session:
            _need_no_agent(session)
            _copy_rows(source.connection(), session.connection(), _silent)
            _follow_on(session.connection())
    return restored


def _replace(copy: Ledger, half: Path, place: Path, path: Path, by: str, force: bool) -> Restored:
    """Put the copy in the place of a file that is no longer a sound database."""
    if not force:
        raise ConflictError(
            "The ledger is damaged, and cannot tell what is in it.",
            hint="Stop the agent, then use --force; the damaged file is kept.",
        )
    kept = _aside(place)
    restored = _prepare(copy, path, by, [], None, kept)
    copy.close()
    _alone(half)
    for suffix in ("-wal", "-shm", ""):
        if (part := Path(f"{place}{suffix}")).exists():
            part.rename(f"{kept}{suffix}")
    half.replace(place)
    return restored


def _prepare(
    copy: Ledger, path: Path, by: str, before: list[EndpointRow], head: HeadRow | None, kept: Path | None
) -> Restored:
    """Make of the copy what the ledger is to be."""
    generations = {row.name: row.generation for row in before}
    with copy.transaction() as session:
        for lease in session.scalars(select(LeaseRow)):
            session.delete(lease)
        known = {row.name: row for row in session.scalars(select(EndpointRow))}
        for row in known.values():
            row.generation = max(row.generation, generations.get(row.name, 0)) + 1
        for seen in session.scalars(select(ObservationRow)):
            seen.generation = 0
        unknown = [row for row in before if row.name not in known and row.desired != "absent"]
        for row in unknown:
            values = {column.key: getattr(row, column.key) for column in EndpointRow.__table__.columns}
            given = {**values, "desired": "absent", "shadow": None, "shadow_since": None}
            session.add(EndpointRow(**{**given, "generation": row.generation + 1, "updated": now()}))
        stopped = sorted(row.name for row in unknown)
        newest = session.scalars(select(EventRow.time).order_by(EventRow.id.desc()).limit(1)).first()
        until = f", with events until {newest:%Y-%m-%d %H:%M:%S} UTC" if newest else ""
        record(
            session,
            "restored",
            f"The ledger was restored from {path.name}{until}.",
            by=by,
            kept=str(kept) if kept else None,
            replaced=f"{head.events}:{head.hash}" if head else None,
            stopped=stopped,
        )
        noted = session.get_one(HeadRow, 1)
        # Who polls the number of changes must see another one than before
        noted.changes = max(noted.changes, head.changes if head else 0) + 1
        session.flush()
        return Restored(_count(session), noted.events, kept, stopped)


def _check(path: Path) -> None:
    """Refuse what is no backup, before anything is touched."""
    hint = "Give a file that `taxiway backup` has written."
    if not path.is_file():
        raise InputError(f"There is no file {path}.", hint=hint)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            found = file.execute("SELECT version_num FROM alembic_version").fetchone()
            damage = file.execute("PRAGMA quick_check(1)").fetchone()[0]
            file.execute("SELECT 1 FROM endpoints, events LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise InputError(f"{path} is no backup of a ledger: {error}.", hint=hint) from error
    if damage != "ok":
        raise CorruptionError(f"{path} is damaged: {damage}.", hint="Take an older backup.")
    if found is None or found[0] > REVISION:
        raise InputError(
            f"{path} is of a newer Taxiway.", hint="Install that one: pip install --upgrade taxiway."
        )


def _trust(copy: Ledger, path: Path, force: bool) -> None:
    with copy.reading() as session:
        findings = audit(session).findings
    if findings and not force:
        raise CorruptionError(
            f"The chain of events in {path} is broken: {findings[0].text}",
            hint="Take another backup, or use --force.",
        )


def _need_no_agent(session: Session) -> None:
    row = session.get(LeaseRow, LEASE)
    if row is not None and row.expires > now() and is_alive(row):
        raise AgentError(
            f"An agent works on the ledger (process {row.pid}).",
            hint="Stop it, and what it serves if need be: `taxiway agent stop [--keep-serving]`.",
        )


def _count(session: Session) -> int:
    query = select(func.count()).select_from(EndpointRow).where(EndpointRow.desired != "absent")
    return session.scalar(query) or 0


def _aside(place: Path | None) -> Path:
    """Name the file in which the ledger is kept that is about to be replaced."""
    folder = place.parent if place else settings().home
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"ledger-before-restore-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}.sqlite"


@contextmanager
def _half(path: Path) -> Iterator[Path]:
    """Give a new file beside ``path``, which is gone in the end unless it was renamed."""
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(half, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        yield half
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{half}{suffix}").unlink(missing_ok=True)


def _copy(source: Path, target: Path, progress: Progress, *, pages: int) -> None:
    """Copy one SQLite database over another by its own backup, which is of one moment and atomic."""
    with (
        closing(sqlite3.connect(source, isolation_level=None, timeout=15)) as origin,
        closing(sqlite3.connect(target, isolation_level=None, timeout=15)) as copy,
    ):
        copy.execute("PRAGMA synchronous=FULL")
        origin.execute("BEGIN")  # a writer would make it begin anew, again and again
        origin.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        origin.backup(copy, pages=pages, progress=lambda _, left, total: progress(total - left, total))


def _alone(path: Path) -> None:
    """Make a SQLite database one file, without a log beside it, and see it on the disk."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode=DELETE")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_sound(path: Path) -> bool:
    """Tell whether a SQLite database, or the want of one, can be worked with."""
    if not path.exists() or not path.stat().st_size:
        return True
    try:
        with closing(sqlite3.connect(path, timeout=15)) as file:
            return bool(file.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.OperationalError:  # locked, for one, which is no damage
        raise
    except sqlite3.DatabaseError:
        return False


def _copy_rows(source: Connection, target: Connection, progress: Progress) -> None:
    """Copy every row of every table; what the target had is gone."""
    tables = Table.metadata.sorted_tables
    total = sum(source.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
    for table in reversed(tables):
        target.execute(table.delete())
    done = 0
    for table in tables:
        rows = source.execute(select(table), execution_options={"yield_per": ROWS})
        for chunk in rows.mappings().partitions():
            values: list[dict[str, Any]] = [dict(row) for row in chunk]
            target.execute(table.insert(), values)
            done += len(values)
            progress(done, total)


def _follow_on(connection: Connection) -> None:
    """Let PostgreSQL's sequences go on after the ids that were written."""
    for table in Table.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            newest = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, newest, text("false"))))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, DatabaseError, OSError) as error:
        raise TaxiwayError(
            f"{path.name} could not be copied: {error}.",
            hint="See that the folders are writable, and that there is room on the disk.",
        ) from error
