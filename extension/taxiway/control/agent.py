"""The agent: the one process that acts on the ledger, and outlives the notebook.

It holds a lease, reconciles every endpoint with its back end, keeps the monitor running while there
is something to read, and runs retraining notebooks. Killed at any point, the next one carries on.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from sqlalchemy import select

from taxiway.control import exposition, logs
from taxiway.control.delivery import Delivery
from taxiway.control.lease import RENEWALS, DeposedError, Lease
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.loops import Journal, Loops
from taxiway.control.monitor_process import MonitorSupervisor
from taxiway.control.retraining import RunSupervisor
from taxiway.control.tables import EndpointRow
from taxiway.errors import AgentError, TaxiwayError
from taxiway.settings import settings

POLL_SECONDS = 0.2  # between two looks at whether the ledger changed, where no bell tells
LOOK_SECONDS = 1.0  # between two looks at the rest
RUNS_SECONDS = 5.0  # between two looks at runs, while none runs and the ledger does not change
STANDBY_SECONDS = 0.5
HELD = 3  # exit status: another agent works
DEPOSED = 4  # exit status: another agent took over, or is to: the ledger is of a newer Taxiway

log = logging.getLogger("taxiway.agent")


class Agent:
    """The agent's main loop; what is done to endpoints is done in ``Loops``.

    Parameters
    ----------
    book
        The ledger.
    standby
        Where another agent works, wait until it does not, instead of refusing.
    """

    def __init__(self, book: Ledger, *, standby: bool = False) -> None:
        self.lease = Lease(book, settings().agent_lease, standby=standby)
        self.ledger = self.lease.ledger
        self.standby = standby
        self.stopping = False
        self.deposed = False
        self.loops = Loops(self.ledger, self._depose)
        self.monitor = MonitorSupervisor(self.ledger)
        self.runs = RunSupervisor(self.ledger)
        self.delivery = Delivery(self.ledger)
        self._home = settings().home
        self._journal = Journal(self._home / "agent.json")
        self._renew_due = 0.0
        self._look_due = 0.0
        self._runs_due = 0.0
        self._token = ""
        self._rows: list[EndpointRow] = []

    def run(self) -> None:
        """Work until told to stop, or until the lease is lost.

        Raises
        ------
        AgentError
            Another agent holds the lease, and this one does not stand by.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._take_lease()
        if self.stopping:
            return
        log.info("the agent holds the lease as %s", self.lease.holder)
        self.ledger.bell.listen()
        self.delivery.start()
        self._guarded("serving metrics", lambda: exposition.serve(self.ledger))
        try:
            while not self.stopping:
                self._guarded("a round", self._round)
                self.ledger.bell.wait(LOOK_SECONDS if self.ledger.bell.is_heard else POLL_SECONDS)
        finally:
            self.loops.end()
            self.delivery.end()
            self.monitor.stop()
            if not self.deposed:  # else the runs are the new holder's, and so is the lease
                self._guarded("the end", self._end)
            log.info("the agent has stopped")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stopping = True
        self.ledger.bell.ring()  # else its wait would go on after the signal

    def _depose(self) -> None:
        self.deposed = self.stopping = True

    def _take_lease(self) -> None:
        """Take the lease, or wait for it where this agent stands by."""
        waiting = None
        while not self.stopping and (holder := self.lease.blocked_by() or self.lease.take()) is not None:
            if not self.standby:
                raise AgentError(
                    f"An agent is running already (process {holder.pid}).",
                    hint="`taxiway agent status` shows it.",
                )
            if waiting != holder.holder:
                waiting = holder.holder
                log.info("standing by while %s holds the lease", waiting)
            time.sleep(STANDBY_SECONDS)

    def _round(self) -> None:
        monotonic = time.monotonic()
        if not self._home.is_dir():
            log.warning("%s was removed, and with it the reason to run", self._home)
            self._depose()
            return
        if monotonic >= self._renew_due:
            self.lease.renew(self._doing())
            self._renew_due = monotonic + self.lease.seconds / RENEWALS
        token = self.ledger.data_version()
        if token != self._token:
            with self.ledger.reading() as session:
                self._rows = list(session.scalars(select(EndpointRow)))
            self._token = token
            self.loops.want(self._rows)
            self.delivery.wake()
            self._runs_due = monotonic
        if monotonic >= self._look_due:
            self._look_due = monotonic + LOOK_SECONDS
            self._look(monotonic)

    def _look(self, monotonic: float) -> None:
        """See to all that needs no haste."""
        self.loops.want(self._rows)  # also begins again what ended just when it was asked for
        self._guarded("the journal", lambda: self._journal.write(self.loops.activities(), monotonic))
        running = [row for row in self._rows if row.desired == "running"]
        self._guarded("the monitor", lambda: self.monitor.supervise(running, monotonic))
        if monotonic >= self._runs_due or self.runs.doing():
            self._runs_due = monotonic + RUNS_SECONDS
            self._guarded("retraining", lambda: self.runs.supervise(monotonic))

    def _doing(self) -> str:
        running = sum(row.desired == "running" for row in self._rows)
        parts = [f"{running} endpoint{'' if running == 1 else 's'}"]
        return "watching " + ", ".join(parts + self.monitor.doing() + self.runs.doing())

    def _end(self) -> None:
        self.runs.stop()
        self.ledger.bell.end()  # before the lease is dropped: afterwards it is the next holder's
        self.lease.drop()

    def _guarded(self, what: str, work: Callable[[], object]) -> None:
        """One part's failure must not end the others; that the lease is lost ends all."""
        try:
            work()
        except DeposedError as error:
            log.warning("%s: %s", what, error)
            self._depose()
        except Exception:  # a mistake in, say, retraining must not leave the endpoints without an agent
            log.exception("%s failed", what)
            time.sleep(1)


def main() -> None:
    """Run the agent in this process, logging to standard error."""
    parser = argparse.ArgumentParser(prog="python -m taxiway.control.agent", description="Run the agent.")
    parser.add_argument(
        "--standby", action="store_true", help="wait while another agent works, then take over"
    )
    arguments = parser.parse_args()
    logs.configure("agent")
    os.umask(0o077)
    try:
        settings().home.mkdir(parents=True, exist_ok=True, mode=0o700)
        agent = Agent(ledger(), standby=arguments.standby)
        agent.run()
    except AgentError as error:
        log.error("%s", error)
        raise SystemExit(HELD) from error
    except DeposedError as error:
        log.error("%s", error)
        raise SystemExit(DEPOSED) from error
    except TaxiwayError as error:
        log.error("%s", error)
        raise SystemExit(1) from error
    raise SystemExit(DEPOSED if agent.deposed else 0)


if __name__ == "__main__":
    main()
