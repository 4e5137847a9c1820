"""One endpoint: make what the back end runs equal to what the ledger asks for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from taxiway.backends import Backend, EndpointRef, EndpointSpec, ModelRef, Observation, Routing, Status
from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import EndpointRow, ObservationRow
from taxiway.errors import InputError, TaxiwayError
from taxiway.packaging import registry


def backend(name: str) -> Backend:
    """Load a back end by its name in the entry point group ``taxiway.backends``.

    Raises
    ------
    InputError
        No installed distribution offers it.
    """
    found = entry_points(group="taxiway.backends")
    for entry in found:
        if entry.name == name:
            loaded: Backend = entry.load()()
            return loaded
    known = ", ".join(sorted(entry.name for entry in found)) or "none"
    raise InputError(f"There is no back end named {name!r}.", hint=f"Installed: {known}.")


def specification(row: EndpointRow) -> EndpointSpec:
    """Say to a back end what the ledger asks for."""
    live = _reference(row.live)
    shadow = _reference(row.shadow) if row.shadow else None
    return EndpointSpec(
        name=row.name,
        routing=Routing(live, shadow),
        workers=row.workers,
        port=row.port,
        policies=dict(row.policies),
    )


def _reference(tag: str) -> ModelRef:
    model = registry.load(tag)
    return ModelRef(model.name, model.version, model.path)


@dataclass(slots=True)
class Reconciler:
    """Reconciles one endpoint, backing off after failures.

    Parameters
    ----------
    ledger
        Where the desired state is read and the observation written.
    name
        The endpoint.
    """

    ledger: Ledger
    name: str
    applied: int = 0
    tried: int = 0
    failures: int = 0
    due: float = 0.0
    looked: float = 0.0
    seen: tuple[str, ...] = ()

    def run(self, row: EndpointRow, monotonic: float) -> None:
        """Apply a new generation, or look again; record what changed.

        Parameters
        ----------
        row
            The desired state.
        monotonic
            The monotonic clock, in seconds.
        """
        if row.generation == self.tried and monotonic < self.due:
            return
        self.tried = row.generation
        try:
            observation = self._act(row)
            self.failures = 0
        except TaxiwayError as error:
            self.failures += 1
            observation = Observation(Status.UNKNOWN, now(), reason=str(error))
        except Exception as error:  # noqa: BLE001 - a back end's bug must not end the agent
            self.failures += 1
            observation = Observation(Status.UNKNOWN, now(), reason=f"{type(error).__name__}: {error}")
        waiting = observation.status in (Status.PENDING, Status.STOPPING)
        pause = min(30.0, 0.5 * 2 ** min(self.failures, 6)) if self.failures else 0.1 if waiting else 1.0
        self.due = monotonic + pause
        self._write(row, observation)

    def _act(self, row: EndpointRow) -> Observation:
        target = backend(row.backend)
        reference = EndpointRef(row.name)
        if row.desired == "absent":
            observation = target.destroy(reference, token=f"{row.name}-{row.generation}")
            self.applied = row.generation
            return observation
        if row.generation != self.applied:
            observation = target.apply(specification(row), token=f"{row.name}-{row.generation}")
            self.applied = row.generation
            return observation
        observation = target.observe(reference)
        if observation.status not in (Status.READY, Status.PENDING, Status.STOPPING):
            # apply is idempotent: it mends what is broken and leaves alone what is not
            return target.apply(specification(row), token=f"{row.name}-{row.generation}")
        return observation

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
            str(generation),
        )
        if fingerprint == self.seen:
            return
        with self.ledger.transaction() as session:
            current = session.get(ObservationRow, self.name)
            if current is None:
                current = ObservationRow(endpoint=self.name, status="", settled="", time=seen.time)
                session.add(current)
            before, settling = current.settled, seen.status in (Status.PENDING, Status.STOPPING)
            current.settled = before if settling else seen.status.value
            current.status, current.native, current.reason = seen.status.value, seen.native, seen.reason
            current.live, current.shadow, current.replicas = seen.live, seen.shadow, seen.replicas
            current.url = seen.url or (current.url if seen.status != Status.ABSENT else None)
            current.spool = str(seen.spool) if seen.spool else current.spool
            current.generation, current.time = max(generation, 0), seen.time
            if (stored := session.get(EndpointRow, self.name)) is not None and seen.url and not stored.port:
                stored.port = urlsplit(seen.url).port or 0
            if current.settled != before:
                record(
                    session,
                    "observed",
                    f"{row.name} is {seen.status.value}" + (f": {seen.reason}" if seen.reason else "."),
                    by="agent",
                    endpoint=row.name,
                    live=seen.live,
                )
        self.seen = fingerprint
