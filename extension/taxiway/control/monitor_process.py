"""The monitor's process: the agent keeps it alive while there is something to read.

It imports whylogs, pandas and pyarrow, which the agent does not; it ends after a while of quiet, and
when the agent goes.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from taxiway.control import logs, notices, rules
from taxiway.control.lease import FencedLedger
from taxiway.control.ledger import Ledger, ledger, now
from taxiway.control.tables import (
    GRACE,
    AlertRow,
    EndpointRow,
    ObservationRow,
    RuleRow,
    SegmentRow,
    WindowRow,
)
from taxiway.monitoring.context import firing
from taxiway.monitoring.rulebook import adjusted
from taxiway.serving.losses import read_losses
from taxiway.serving.spool import SUFFIX
from taxiway.settings import settings

IDLE_SECONDS = 60.0
LOOK_SECONDS = 1.0
WINDOWS_SECONDS = 5.0
REVIEW_SECONDS = 3600.0  # between two looks at alerts that are open while nothing comes
RESTART_SECONDS = 5.0
GIVE_UP = 3
HOLDER = "TAXIWAY_AGENT_HOLDER"  # in the environment: the agent for which, and as long as it has the lease
FIRST_RECORD = 8  # bytes into a segment

log = logging.getLogger("taxiway.monitor")


class MonitorSupervisor:
    """Starts the monitor when an endpoint's spool has grown, and again when it dies."""

    def __init__(self, book: Ledger) -> None:
        self.ledger = book
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths = 0
        self._due = 0.0
        self._windows_due = 0.0
        self._token = ""
        self._spools: dict[str, str | None] = {}
        self._read: dict[str, int] = {}
        self._places: dict[str, int] = {}  # where each segment went on, when the monitor was started for it
        self._lost: dict[str, float] = {}  # when each spool lost its last record
        self._started = time.monotonic()
        self._rules: tuple[Any, ...] | None = None  # how many there are, and the newest
        self._reviewed = datetime.min.replace(tzinfo=UTC)

    def supervise(self, rows: list[EndpointRow], monotonic: float) -> None:
        """Look at the spools, and at the process."""
        if monotonic < self._due:
            return
        self._due = monotonic + LOOK_SECONDS
        if self.process is not None and (code := self.process.poll()) is not None:
            self.process = None
            if code == 0:
                self.deaths = 0
            else:
                self.deaths += 1
                self._due = monotonic + RESTART_SECONDS * self.deaths
                log.error("the monitor ended with status %s", code)
                self._places.clear()
                if self.deaths >= GIVE_UP:
                    self._alert(rows)
                return
        if self.process is None and (self._has_grown(rows) or self._is_due(rows, monotonic)):
            self._start()

    def doing(self) -> list[str]:
        """What the monitor does, in words."""
        return ["monitoring"] if self.process is not None else []

    def stop(self) -> None:
        """End the process; what it had not committed is read again next time."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _has_grown(self, rows: list[EndpointRow]) -> bool:
        """Tell whether any spool holds records that it had not at the last start."""
        grown = False
        if (token := self.ledger.data_version()) != self._token:
            with self.ledger.reading() as session:
                spools = select(ObservationRow.endpoint, ObservationRow.spool)
                self._spools = dict(session.execute(spools).all())
                places = select(SegmentRow.path, SegmentRow.offset)
                self._read = dict(session.execute(places).all())
            self._token = token
        for row in rows:
            spool = self._spools.get(row.name)
            if not spool:
                continue
            for path in _segments(spool):
                place = max(self._read.get(path, 0), FIRST_RECORD)
                if self._places.get(path) != place and _goes_on(path, place):
                    grown = True
                    self._places[path] = place
        return grown

    def _has_lost(self, rows: list[EndpointRow]) -> bool:
        """Tell whether any spool has lost records that it had not at the last start."""
        lost = False
        for spool in filter(None, (self._spools.get(row.name) for row in rows)):
            losses = read_losses(Path(spool))
            if losses is not None and losses.last > self._lost.get(spool, 0.0):
                lost = True
                self._lost[spool] = losses.last
        return lost

    def _is_due(self, rows: list[EndpointRow], monotonic: float) -> bool:
        """Tell whether there is something to judge although nothing came.

        Records were lost; a window has been over and quiet for a while since the last look; rules were set or
        deleted; or an alert has been open for long, and may be over.
        """
        if monotonic < self._windows_due:
            return False
        self._windows_due = monotonic + WINDOWS_SECONDS
        limit, since = now() - GRACE, self._reviewed
        query = select(WindowRow.endpoint).where(
            WindowRow.end <= limit,
            WindowRow.updated <= limit,
            or_(WindowRow.end > since, WindowRow.updated > since),
        )
        with self.ledger.reading() as session:
            due = session.scalars(query.limit(1)).first() is not None
            counted = session.execute(select(func.count(), func.max(RuleRow.created))).one()
            known = tuple(counted)
            changed, self._rules = self._rules not in (None, known), known
            stale = monotonic - self._started >= REVIEW_SECONDS and _has_open_alerts(session)
        self._reviewed = limit if due else since
        return self._has_lost(rows) or due or changed or stale

    def _start(self) -> None:
        self._started = time.monotonic()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(settings().home / "monitor.log", flags, 0o600), "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "taxiway.control.monitor_process"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={
                    **os.environ,
                    "TAXIWAY_HOME": str(settings().home),
                    "WHYLOGS_NO_ANALYTICS": "True",
                    HOLDER: self.ledger.holder if isinstance(self.ledger, FencedLedger) else "",
                },
            )

    def _alert(self, rows: list[EndpointRow]) -> None:
        """Tell that nobody watches: the alert that must not depend on the monitor."""
        with self.ledger.transaction() as session:
            for row in rows:
                stopped = firing(
                    row.name,
                    "monitor_stopped",
                    "critical",
                    f"The monitor of {row.name} keeps stopping",
                    f"It ended {self.deaths} times without having worked. Its log is monitor.log in "
                    "TAXIWAY_HOME; predictions go on and are kept.",
                )
                specs = {spec.name: spec for spec in rules.specs_of(session, row.name)}
                told = list(adjusted([stopped], specs))
                notices.settle(session, row.name, told, only=("monitor_stopped",))


def _has_open_alerts(session: Session) -> bool:
    """Whether an alert is open that only the monitor can end."""
    mine = select(AlertRow.id).where(
        AlertRow.state != "resolved", AlertRow.rule.not_in(notices.OUTSIDE_RULES), AlertRow.endpoint != ""
    )
    return session.scalars(mine.limit(1)).first() is not None


def _segments(spool: str) -> list[str]:
    """Give a spool's segments in any order: every spool is looked at every second, and this is most of it."""
    try:
        with os.scandir(spool) as entries:
            return [entry.path for entry in entries if entry.name.endswith(SUFFIX)]
    except OSError:  # of this one spool; the others are looked at
        return []


def _goes_on(path: str, place: int) -> bool:
    """Whether a segment has a record there: its size tells nothing, for room is set aside in it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return any(os.pread(file, 4, place))
    finally:
        os.close(file)


def main() -> None:
    """Run monitoring cycles until nothing has come for a while, or the agent is gone."""
    logs.configure()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from taxiway.control import first_look
    from taxiway.control.monitor import Monitor

    holder = os.environ.get(HOLDER)
    book = FencedLedger(ledger(), holder) if holder else ledger()
    first_look.look(book)  # what comes first is told before the cycle reads its libraries
    monitor, watch = Monitor(book), first_look.Watch(book)
    watch.start()
    last_work = time.monotonic()
    while time.monotonic() - last_work < IDLE_SECONDS:
        started = time.monotonic()
        if monitor.cycle():
            last_work = time.monotonic()
        time.sleep(max(0.05, settings().monitor_interval - (time.monotonic() - started)))
    watch.end()


def _end_with_parent() -> None:
    """The agent holds the other end of standard input; when it is gone, so is the reason to be here."""
    # not sys.stdin, whose lock this thread would hold when the idle process ends: Python aborts over it
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
