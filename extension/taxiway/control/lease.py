"""Who may act: a lease in the ledger, and a fence that keeps out whoever has lost it.

Of all the agents of one ledger, one holds the lease and works. Every change that it writes checks, in the
change's own transaction, that the lease is still its own; a holder that was frozen, or cut off, finds itself
deposed by its first try (Gray and Cheriton, *Leases*, SOSP 1989; the check is their fencing).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psutil
from sqlalchemy import update
from sqlalchemy.orm import Session

from taxiway.control.ledger import Ledger, OutdatedError, check_revision, now, record
from taxiway.control.tables import LeaseRow, ObservationRow

LEASE = "agent"
RENEWALS = 4  # in the time of a lease
_PROGRAM = "taxiway.control.agent"


class DeposedError(Exception):
    """Another agent holds the lease: this one must not act any more."""


class FencedLedger(Ledger):
    """The ledger as the holder of the lease writes it: every transaction checks that it is still the holder.

    Parameters
    ----------
    book
        The ledger, whose connections are shared.
    holder
        The name under which the lease was taken.
    """

    def __init__(self, book: Ledger, holder: str) -> None:
        self.__dict__.update(book.__dict__)
        self.holder = holder
        self._writer = threading.Lock()  # threads wait here for each other, rather than in the database

    @contextmanager
    def transaction(self, *, notable: bool = True) -> Iterator[Session]:
        """Open a session that commits at the end of the block, or changes nothing.

        Raises
        ------
        DeposedError
            Somebody else holds the lease, or nobody does; or the ledger is of a newer Taxiway by now.
        """
        with self._writer, super().transaction(notable=notable) as session:
            _need_revision(session)
            row = session.get(LeaseRow, LEASE)
            if row is None or row.holder != self.holder:
                raise DeposedError(f"The lease is held by {row.holder if row else 'nobody'} now.")
            yield session


class Lease:
    """The right to act, for a while at a time.

    Parameters
    ----------
    book
        The ledger.
    seconds
        How long it lasts without being renewed.
    standby
        Judge a holder by what this process saw of it, not by the time of day: for one who stands by, and
        must not be misled when a clock is set.
    """

    def __init__(self, book: Ledger, seconds: float, *, standby: bool = False) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"
        self.seconds = seconds
        self.ledger = FencedLedger(book, self.holder)
        self._book = book
        self._standby = standby
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0

    def blocked_by(self) -> LeaseRow | None:
        """Look whether another holds the lease: its row, or None where the lease can be taken."""
        with self._book.reading() as session:
            row = session.get(LeaseRow, LEASE)
        return None if self._is_free(row) else row

    def take(self) -> LeaseRow | None:
        """Take the lease; give the row of the one who holds it where that cannot be.

        Raises
        ------
        DeposedError
            The ledger is of a newer Taxiway by now.
        """
        with self._book.transaction() as session:
            _need_revision(session)
            row = session.get(LeaseRow, LEASE)
            if row is not None and not self._is_free(row):
                return row
            text = f"The agent started as process {os.getpid()}."
            if row is None:
                row = LeaseRow(name=LEASE)
                session.add(row)
            else:
                how = "no longer renewed its lease" if is_alive(row) else "died"
                text = f"{text[:-1]} in place of process {row.pid}, which {how}."
            row.holder, row.pid, row.since, row.doing = self.holder, os.getpid(), now(), "starting"
            row.expires = now() + timedelta(seconds=self.seconds)
            # What was seen before may be long ago, and nobody is to take it for what is
            session.execute(update(ObservationRow).values(generation=0))
            record(session, "agent started", text, by="agent")
        return None

    def renew(self, doing: str) -> None:
        """Hold it for longer, and say what is being done; nobody needs to read the ledger anew for that.

        Raises
        ------
        DeposedError
            It is another's.
        """
        with self.ledger.transaction(notable=False) as session:
            row = session.get_one(LeaseRow, LEASE)
            row.expires, row.doing = now() + timedelta(seconds=self.seconds), doing

    def drop(self) -> None:
        """Let go of it, for whoever stands by."""
        with self.ledger.transaction() as session:
            session.delete(session.get_one(LeaseRow, LEASE))
            record(session, "agent stopped", f"The agent (process {os.getpid()}) stopped.", by="agent")

    def _is_free(self, row: LeaseRow | None) -> bool:
        if row is None or not is_alive(row):
            return True
        seen = (row.holder, row.expires)
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        still = time.monotonic() - self._seen_at
        return still > self.seconds if self._standby else row.expires <= now()


def _need_revision(session: Session) -> None:
    try:
        check_revision(session)
    except OutdatedError as error:
        raise DeposedError(f"{error} The next agent is of the newer Taxiway.") from error


def is_here(row: LeaseRow) -> bool:
    """Tell whether a lease's holder is a process of this machine."""
    return row.holder.startswith(socket.gethostname() + ":")


def is_alive(row: LeaseRow) -> bool:
    """Tell whether a lease's holder may still live; on another machine only its renewals can tell."""
    return not is_here(row) or is_agent(row.pid)


def is_agent(pid: int) -> bool:
    """Tell whether a process of this machine is an agent."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and _PROGRAM in process.cmdline()
    except psutil.Error:
        return False
