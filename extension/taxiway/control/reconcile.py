"""One endpoint: make what the back end runs equal to what the ledger asks for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from taxiway.backends import (
    Backend,
    Collecting,
    EndpointRef,
    EndpointSpec,
    ModelRef,
    Observation,
    Paced,
    Preparing,
    Routing,
    Status,
)
from taxiway.control import options
from taxiway.control.lease import DeposedError
from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import EndpointRow, ObservationRow
from taxiway.errors import InputError, TaxiwayError
from taxiway.packaging import registry

LOOK_SECONDS = 1.0
CALM_SECONDS = 3.0  # between two looks at what is as it should be
WAIT_SECONDS = 0.02  # while something is on its way
LONGEST_SECONDS = 30.0
_UNDER_WAY = (Status.PENDING, Status.STOPPING)


class LedgerError(Exception):
    """The ledger could not be used, and so nothing was done."""


def backend(name: str) -> Backend:
    """Load a back end by its name in the entry point group ``taxiway.backends``.

    Raises
    ------
    InputError
        No installed distribution offers it.
    """
    return _kind(name)()


@lru_cache
def _kind(name: str) -> type[Backend]:
    """Find a back end's class: all that is installed is read for it, so once is enough."""
    found = entry_points(group="taxiway.backends")
    for entry in found:
        if entry.name == name:
            loaded: type[Backend] = entry.load()
            return loaded
    known = ", ".join(sorted(entry.name for entry in found)) or "none"
    raise InputError(f"There is no back end named {name!r}.", hint=f"Installed: {known}.")


def specification(row: EndpointRow, owner: str = "") -> EndpointSpec:
    """Say to a back end what the ledger asks for; ``owner`` is that ledger's identity."""
    live = reference(row.live)
    shadow = reference(row.shadow) if row.shadow else None
    return EndpointSpec(
        name=row.name,
        routing=Routing(live, shadow),
        workers=row.workers,
        port=row.port,
        policies=dict(row.policies),
        owner=owner,
        **options.fields(row.options),
    )


def reference(tag: str) -> ModelRef:
    """Say to a back end which Model is meant, and where its files lie."""
    model = registry.load(tag)
    return ModelRef(model.name, model.version, model.path)


@dataclass(slots=True)
class Reconciler:
    """Reconciles one endpoint, backing off after failures.

    Parameters
    ----------
    ledger
        Where the desired state is read and the observation written; fenced, where an agent works with it.
    name
        The endpoint.

    Attributes
    ----------
    applied, tried
        The generations that were carried out, and tried, last.
    failures
        How many tries have failed since the last one that did not.
    mends
        How often it was applied again since it was last as it should be.
    due
        When to look again, on the monotonic clock, in seconds.
    doing, since
        What it does, in words, and since when.
    gone
        It was to be deleted, and is.
    """

    ledger: Ledger
    name: str
    applied: int = 0
    tried: int = 0
    failures: int = 0
    mends: int = 0
    due: float = 0.0
    doing: str = "starting"
    since: datetime = field(default_factory=now)
    reason: str = ""
    gone: bool = False
    _mend_due: float = 0.0
    _seen: tuple[str, ...] = ()
    _backend: Backend | None = None
    _collecting: Collecting | None = None
    _pace: float = 0.0
    _owner: str = ""

    def run(self, row: EndpointRow, monotonic: float) -> None:
        """Apply a new generation, or look again; record what changed.

        Parameters
        ----------
        row
            The desired state.
        monotonic
            The monotonic clock, in seconds.

        Raises
        ------
        DeposedError
            Another agent holds the lease; nothing was done.
        LedgerError
            The ledger cannot be used; without it nothing is done either.
        """
        if row.generation == self.tried and monotonic < self.due:
            return
        self.tried = row.generation
        try:
            row, observation = self._act(row, monotonic)
            observation = self._collect(observation)
            self.failures = 0
        except (DeposedError, LedgerError):
            raise
        except TaxiwayError as error:
            observation = self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - a back end's bug must not end the agent
            observation = self._failed(f"{type(error).__name__}: {error}")
        self._plan(row, observation, monotonic)
        self._write(row, observation)

    def _collect(self, seen: Observation) -> Observation:
        """Bring the prediction log here from where the back end keeps it; that it waits is no failure."""
        if self._collecting is None or seen.spool is None:
            return seen
        try:
            self._collecting.collect(EndpointRef(self.name, self._owner), seen.spool)
        except TaxiwayError as error:
            return replace(
                seen, notes=(*seen.notes, f"Its prediction log waits to be fetched: {error.message}")
            )
        return seen

    def _failed(self, reason: str) -> Observation:
        self.failures += 1
        return Observation(Status.UNKNOWN, now(), reason=reason)

    def _act(self, row: EndpointRow, monotonic: float) -> tuple[EndpointRow, Observation]:
        """Look, and act where that is needed; give the desired state that was acted on, and what was seen."""
        if self._backend is None or self._backend.name != row.backend:
            found, self._owner = backend(row.backend), self._identity()
            if isinstance(found, Preparing):
                found.prepare()
            # once, for asking an object whether it keeps a protocol takes a tenth of a look
            self._collecting = found if isinstance(found, Collecting) else None
            self._pace = found.look_seconds if isinstance(found, Paced) else 0.0
            self._backend = found
        target, reference = self._backend, EndpointRef(row.name, self._owner)
        doing = "deleting" if row.desired == "absent" else f"applying change {row.generation}"
        if row.generation == self.applied:
            seen = target.observe(reference)
            if _is_right(row, seen):
                self.mends = 0
                return row, seen
            if seen.status is Status.UNKNOWN and not self.mends:  # say so first, and look again
                self.mends, self._mend_due = 1, monotonic + LOOK_SECONDS / 2
            if seen.status in _UNDER_WAY or monotonic < self._mend_due:
                return row, seen
            # apply is idempotent: it mends what is broken and leaves alone what is not
            self._mend_due = monotonic + _pause(self.mends, LOOK_SECONDS)
            self.mends += 1
            doing = "mending"
        self._say(doing)
        row = self._newest(row)
        token = f"{row.name}-{row.generation}"
        if row.desired == "absent":
            seen = target.destroy(reference, token=token)
        else:
            seen = target.apply(specification(row, self._owner), token=token)
        self.applied = self.tried = row.generation
        return row, seen

    def _identity(self) -> str:
        try:
            return self.ledger.identity
        except (TaxiwayError, SQLAlchemyError, OSError) as error:
            raise LedgerError(str(error)) from error

    def _newest(self, row: EndpointRow) -> EndpointRow:
        """Make sure, before anything is changed, that it is ours to change; give what is asked for by now."""
        with self._writing(notable=False) as session:
            return session.get(EndpointRow, self.name) or row

    @contextmanager
    def _writing(self, *, notable: bool = True) -> Iterator[Session]:
        """Tell the ledger's failures from the back end's."""
        try:
            with self.ledger.transaction(notable=notable) as session:
                yield session
        except (TaxiwayError, SQLAlchemyError, OSError) as error:
            raise LedgerError(str(error)) from error

    def _plan(self, row: EndpointRow, seen: Observation, monotonic: float) -> None:
        """Say when to look again, and what it waits for till then."""
        self.reason = seen.reason
        if self.failures:
            pause = _pause(self.failures, 0.5)
            self._say("trying again")
        elif seen.status in _UNDER_WAY:
            pause = WAIT_SECONDS
            self._say("waiting for the back end")
        else:
            right = _is_right(row, seen)
            pause = CALM_SECONDS if right else LOOK_SECONDS
            pause *= random.uniform(0.9, 1.1)  # noqa: S311 - so that not all look at once
            self._say("watching" if right else "mending")
        pause = max(pause, self._pace)
        self.gone = row.desired == "absent" and not self.failures and seen.status is Status.ABSENT
        self.due = monotonic + pause

    def _say(self, doing: str) -> None:
        if doing != self.doing:
            self.doing, self.since = doing, now()

    def _write(self, row: EndpointRow, seen: Observation) -> None:
        """Write the observation if it differs from the last one, with an event when the status does."""
        generation = self.applied if not self.failures else -1
        fingerprint = (
            seen.status.value,
            seen.reason,
            str(seen.url),
            str(seen.live),
            str(seen.shadow),
            str(seen.replicas),
            str(seen.notes),
            str(generation),
        )
        if fingerprint == self._seen:
            return
        with self._writing() as session:
            current = session.get(ObservationRow, self.name)
            if current is None:
                current = ObservationRow(endpoint=self.name, status="", settled="", time=seen.time)
                session.add(current)
            before, settling = current.settled, seen.status in _UNDER_WAY
            strayed = not settling and seen.live not in (None, row.live, current.live)
            current.settled = before if settling else seen.status.value
            current.status, current.native, current.reason = seen.status.value, seen.native, seen.reason
            current.live, current.shadow, current.replicas = seen.live, seen.shadow, seen.replicas
            current.notes = list(seen.notes)
            current.url = seen.url or (current.url if seen.status != Status.ABSENT else None)
            current.spool = str(seen.spool) if seen.spool else current.spool
            current.generation, current.time = max(generation, 0), seen.time
            if (stored := session.get(EndpointRow, self.name)) is not None and seen.url and not stored.port:
                stored.port = urlsplit(seen.url).port or 0
            if current.settled != before or strayed:
                record(
                    session,
                    "observed",
                    f"{row.name} is {seen.status.value}" + (f": {seen.reason}" if seen.reason else "."),
                    by="agent",
                    endpoint=row.name,
                    live=seen.live,
                )
        self._seen = fingerprint


def _is_right(row: EndpointRow, seen: Observation) -> bool:
    """Tell whether what is seen is what is asked for."""
    if row.desired == "absent":
        return seen.status is Status.ABSENT
    return seen.status is Status.READY and (seen.live, seen.shadow) == (row.live, row.shadow)


def _pause(times: int, first: float) -> float:
    """Seconds to wait after a number of failures: twice as long each time, and not all at the same time."""
    longest = min(LONGEST_SECONDS, first * 2.0 ** min(times, 8))
    return longest * random.uniform(0.75, 1.0)  # noqa: S311
