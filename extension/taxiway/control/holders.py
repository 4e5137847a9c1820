"""Who keeps others from writing to the ledger, for a message that helps."""

from __future__ import annotations

from pathlib import Path

import psutil
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

_WRITER = 120  # the byte of the -shm file that a writer locks: https://www.sqlite.org/walformat.html
_PATIENT = text("""
    SELECT activity.application_name, activity.state, extract(epoch FROM now() - activity.xact_start)::integer
    FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE pg_locks.locktype = 'advisory' AND pg_locks.granted AND pg_locks.objid = :key
    AND activity.datname = current_database()
""")


def sqlite_writer(path: Path, locks: Path = Path("/proc/locks")) -> str:
    """Name the process that is writing to a SQLite database; empty where that cannot be seen."""
    try:
        inode = Path(f"{path}-shm").stat().st_ino
        rows = [line.split() for line in locks.read_text().splitlines()]
    except OSError:  # other systems do not tell
        return ""
    for row in rows:
        kind, mode, pid, place, first, last = row[1], *row[3:8]
        held = kind == "POSIX" and mode == "WRITE" and place.rpartition(":")[2] == str(inode)
        if held and int(first) <= _WRITER and (last == "EOF" or int(last) >= _WRITER):
            return _named(int(pid))
    return ""


def postgresql_writer(engine: Engine, key: int) -> str:
    """Name the client that holds the writers' lock; empty where there is none any more."""
    try:
        with engine.connect() as connection:
            row = connection.execute(_PATIENT, {"key": key}).first()
    except SQLAlchemyError:
        return ""
    return f"{row[0]} ({row[1]}, for {row[2]} s)" if row else ""


def _named(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        words = " ".join(" ".join(process.cmdline()).split())
        return f"process {pid} ({words[:80]}; {process.status()})"
    except psutil.Error:
        return f"process {pid}"
