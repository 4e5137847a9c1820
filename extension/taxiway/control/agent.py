"""The agent: the one process that acts on the ledger, and outlives the notebook.

It holds a lease, reconciles every endpoint with its back end, keeps the monitor running while there
is something to read, and runs retraining notebooks. Killed at any point, the next one carries on.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from types import FrameType

from sqlalchemy import select

from taxiway.control import logs
from taxiway.control.agent_process import is_agent
from taxiway.control.ledger import Ledger, ledger, now, record
from taxiway.control.monitor_process import MonitorSupervisor
from taxiway.control.reconcile import Reconciler
from taxiway.control.retraining import RunSupervisor
from taxiway.control.tables import EndpointRow, LeaseRow
from taxiway.errors import AgentError
from taxiway.settings import settings

LEASE = "agent"
LEASE_SECONDS = 60.0  # a holder that died on this machine is seen by its process at once
RENEW_SECONDS = 2.0
POLL_SECONDS = 0.1

log = logging.getLogger("taxiway.agent")


class Agent:
    """The agent's loop.

    Raises
    ------
    AgentError
        Another agent holds the lease.
    """

    def __init__(self, book: Ledger) -> None:
        self.ledger = book
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"
        self.stopping = False
        self.reconcilers: dict[str, Reconciler] = {}
        self.monitor = MonitorSupervisor(book)
        self.runs = RunSupervisor(book)
        self._home = settings().home
        self._lost = False
        self._renewed = 0.0
        self._token = ""
        self._rows: list[EndpointRow] = []

    def run(self) -> None:
        """Work until told to stop, or until the lease is lost."""
        self._take_lease()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        log.info("the agent holds the lease as %s", self.holder)
        try:
            while not self.stopping:
                self._guarded("a round", self._tick)
                time.sleep(POLL_SECONDS)
        finally:
            self.monitor.stop()
            if not self._lost:  # else the runs are the new holder's, and so is the lease
                self.runs.stop()
                self._drop_lease()
            log.info("the agent has stopped")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stopping = True

    def _tick(self) -> None:
        monotonic = time.monotonic()
        if not self._home.is_dir():
            log.warning("%s was removed, and with it the reason to run", self._home)
            self._lost = self.stopping = True
            return
        if monotonic - self._renewed >= RENEW_SECONDS:
            self._renew_lease([row for row in self._rows if row.desired == "running"])
            self._renewed = monotonic
            if self.stopping:
                return
        token = self.ledger.data_version()
        if token != self._token:
            self._token = token
            with self.ledger.reading() as session:
                self._rows = list(session.scalars(select(EndpointRow)))
        for row in self._rows:
            reconciler = self.reconcilers.setdefault(row.name, Reconciler(self.ledger, row.name))
            if row.desired == "absent" and reconciler.applied == row.generation and not reconciler.failures:
                continue
            reconciler.run(row, monotonic)
        running = [row for row in self._rows if row.desired == "running"]
        self._guarded("the monitor", lambda: self.monitor.supervise(running, monotonic))
        self._guarded("retraining", lambda: self.runs.supervise(monotonic))

    def _guarded(self, what: str, work: Callable[[], None]) -> None:
        """One part's failure must not end the others."""
        try:
            work()
        except Exception:
            log.exception("%s failed", what)
            time.sleep(1)

    def _take_lease(self) -> None:
        with self.ledger.transaction() as session:
            row = session.get(LeaseRow, LEASE)
            if row is not None and row.expires > now() and _alive(row):
                raise AgentError(
                    f"An agent is running already (process {row.pid}).",
                    hint="`taxiway agent status` shows it.",
                )
            if row is None:
                row = LeaseRow(name=LEASE)
                session.add(row)
            row.holder, row.pid, row.since = self.holder, os.getpid(), now()
            row.expires = now() + timedelta(seconds=LEASE_SECONDS)
            row.doing = "starting"
            record(session, "agent started", f"The agent started as process {os.getpid()}.", by="agent")

    def _renew_lease(self, running: list[EndpointRow]) -> None:
        parts = [f"{len(running)} endpoint{'' if len(running) == 1 else 's'}"]
        parts += self.monitor.doing() + self.runs.doing()
        with self.ledger.transaction() as session:
            row = session.get(LeaseRow, LEASE)
            if row is None or row.holder != self.holder:
                log.warning("the lease is held by %s now", row.holder if row else "nobody")
                self._lost = self.stopping = True
                return
            row.expires = now() + timedelta(seconds=LEASE_SECONDS)
            row.doing = "watching " + ", ".join(parts)

    def _drop_lease(self) -> None:
        with self.ledger.transaction() as session:
            row = session.get(LeaseRow, LEASE)
            if row is not None and row.holder == self.holder:
                session.delete(row)
                record(session, "agent stopped", f"The agent (process {os.getpid()}) stopped.", by="agent")


def _alive(row: LeaseRow) -> bool:
    """Tell whether a lease's holder still lives; on another machine only its expiry can tell."""
    return not row.holder.startswith(socket.gethostname() + ":") or is_agent(row.pid)


def main() -> None:
    """Run the agent in this process, logging to standard error."""
    logs.configure()
    settings().home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        Agent(ledger()).run()
    except AgentError as error:
        log.error("%s", error)
        raise SystemExit(3) from error


if __name__ == "__main__":
    main()
