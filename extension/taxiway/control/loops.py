"""A loop for each endpoint, in a thread of its own, so that a slow back end holds up no other endpoint."""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from taxiway.control.lease import DeposedError
from taxiway.control.ledger import REVISION, Ledger, now
from taxiway.control.reconcile import LedgerError, Reconciler
from taxiway.control.tables import EndpointRow

LEDGER_SECONDS = 5.0  # between two tries while the ledger cannot be used
END_SECONDS = 5.0  # that a back end is given to finish what it does when the agent ends

log = logging.getLogger("taxiway.agent")


@dataclass(frozen=True, slots=True)
class Activity:
    """What a loop does.

    Attributes
    ----------
    name
        The endpoint.
    doing, since
        In words, and since when (ISO 8601, UTC).
    due
        When it will look or try next (ISO 8601, UTC); None while it acts.
    failures
        Tries that failed since the last one that did not.
    reason
        Why it is not as it should be, in the back end's words.
    """

    name: str
    doing: str
    since: str
    due: str | None
    failures: int
    reason: str


class Loop(threading.Thread):
    """Reconciles one endpoint until it is gone or the agent ends.

    Parameters
    ----------
    ledger
        Fenced: a loop whose agent was deposed changes nothing.
    row
        The desired state.
    on_deposed
        Called, from the loop's thread, when the lease is another's.
    """

    def __init__(self, ledger: Ledger, row: EndpointRow, on_deposed: Callable[[], None]) -> None:
        # Not waited for when the agent ends: a back end may never answer.
        super().__init__(name=f"taxiway-{row.name}", daemon=True)
        self.reconciler = Reconciler(ledger, row.name)
        self._row = row
        self._on_deposed = on_deposed
        self._wake = threading.Event()
        self._ending = False
        self._acting = False

    def want(self, row: EndpointRow) -> None:
        """Take up the desired state, at once if it has changed."""
        changed = row.generation != self._row.generation
        self._row = row
        if changed:
            self._wake.set()

    def end(self) -> None:
        """Begin nothing more."""
        self._ending = True
        self._wake.set()

    def run(self) -> None:
        """Reconcile whenever it is due."""
        while not self._ending:
            self._wake.clear()  # before the row is read, so that no change of it is slept over
            row, pause = self._row, 0.0
            try:
                self._acting = True
                self.reconciler.run(row, time.monotonic())
            except DeposedError as error:
                if not self._ending:
                    log.warning("%s: nothing more is done to it: %s", row.name, error)
                    self._on_deposed()
                return
            except LedgerError as error:
                log.warning("%s: %s", row.name, error)
                pause = LEDGER_SECONDS * random.uniform(0.75, 1.0)  # noqa: S311
            except Exception:  # else nobody would look after this endpoint until the agent ends
                log.exception("%s: a mistake of the agent's own", row.name)
                pause = LEDGER_SECONDS
            finally:
                self._acting = False
            if self.reconciler.gone and self._row.generation == self.reconciler.applied:
                return
            self._wake.wait(pause or max(0.0, self.reconciler.due - time.monotonic()))

    def activity(self) -> Activity:
        """Say what it does."""
        one = self.reconciler
        due = None if self._acting else now() + timedelta(seconds=one.due - time.monotonic())
        return Activity(
            name=one.name,
            doing=one.doing,
            since=one.since.isoformat(timespec="seconds"),
            due=due.isoformat(timespec="seconds") if due else None,
            failures=one.failures,
            reason=one.reason,
        )


class Loops:
    """The loops of all endpoints.

    Parameters
    ----------
    ledger
        Fenced.
    on_deposed
        Called when a loop finds that the lease is another's.
    """

    def __init__(self, ledger: Ledger, on_deposed: Callable[[], None]) -> None:
        self._ledger = ledger
        self._on_deposed = on_deposed
        self._loops: dict[str, Loop] = {}
        self._gone: dict[str, int] = {}

    def want(self, rows: Iterable[EndpointRow]) -> None:
        """Give every endpoint's loop its desired state; begin a loop where there is none."""
        for row in rows:
            loop = self._loops.get(row.name)
            if loop is not None and not loop.is_alive():
                self._gone[row.name] = loop.reconciler.applied
                del self._loops[row.name]
                loop = None
            if loop is not None:
                loop.want(row)
            elif self._gone.get(row.name) != row.generation:
                loop = self._loops[row.name] = Loop(self._ledger, row, self._on_deposed)
                loop.start()

    def activities(self) -> list[Activity]:
        """What every loop does, by name of the endpoint."""
        alive = [loop for loop in self._loops.values() if loop.is_alive()]
        return [loop.activity() for loop in sorted(alive, key=lambda loop: loop.reconciler.name)]

    def end(self) -> None:
        """End every loop; one whose back end does not answer is left behind."""
        for loop in self._loops.values():
            loop.end()
        deadline = time.monotonic() + END_SECONDS
        for loop in self._loops.values():
            loop.join(max(0.0, deadline - time.monotonic()))


class Journal:
    """A file that says what the agent does, for whoever asks on this machine.

    It is written when something else is done than before, and else now and then: when a loop looks next
    changes all the time.

    Parameters
    ----------
    path
        The file, for its owner only.
    """

    SECONDS = 5.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: list[Activity] = []
        self._due = 0.0

    def write(self, activities: list[Activity], monotonic: float) -> None:
        """Write the file if that is due."""
        if monotonic < self._due and _gist(activities) == _gist(self._written):
            return
        staged = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w") as stream:
            told = {"pid": os.getpid(), "revision": REVISION}
            json.dump({**told, "endpoints": [asdict(one) for one in activities]}, stream)
        staged.replace(self.path)
        self._written, self._due = activities, monotonic + self.SECONDS


def read_journal(path: Path, pid: int) -> list[Activity]:
    """Read what the agent of that process does; empty where it has not said."""
    told = _told(path, pid)
    return [Activity(**entry) for entry in told["endpoints"]] if told else []


def is_outdated(path: Path, pid: int) -> bool:
    """Tell whether the agent of that process is of another Taxiway, which knows another ledger."""
    told = _told(path, pid)
    return told is not None and told.get("revision") != REVISION


def _told(path: Path, pid: int) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return told if told["pid"] == pid else None


def _gist(activities: list[Activity]) -> list[tuple[str, str, int, str]]:
    return [(one.name, one.doing, one.failures, one.reason) for one in activities]
