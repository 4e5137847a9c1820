"""The protocol between the control plane and the places where models run.

A back end is found by name through the entry point group ``taxiway.backends``. It is told what
should be (``apply``, ``route``, ``destroy``) and asked what is (``observe``); it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class Capability(StrEnum):
    """Something that not every back end can do."""

    SHADOW = "shadow"
    CANARY = "canary"
    SCALE_TO_ZERO = "scale_to_zero"
    LOG_FOLLOW = "log_follow"
    COST = "cost"
    GPU = "gpu"


class Status(StrEnum):
    """The state of an endpoint as its back end sees it. UNKNOWN is never READY."""

    ABSENT = "ABSENT"
    PENDING = "PENDING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A Model and where its files lie."""

    name: str
    version: str
    path: Path

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class Routing:
    """Which Model answers, and which only watches."""

    live: ModelRef
    shadow: ModelRef | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What each serving process may use; None is no limit.

    Parameters
    ----------
    cpus
        Cores, also in parts: 0.5 is half of one.
    memory_bytes
        Bytes of memory.
    """

    cpus: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Bake:
    """How long a new live Model is watched, and what brings the one before it back by itself.

    Parameters
    ----------
    seconds
        The time in which the Model before it is kept ready.
    error_rate
        The highest share of predictions that may fail with a 5xx status, from 0 to 1.
    latency_factor
        How many times the 95th percentile of the answers' time may be that of the Model before it.
    """

    seconds: float = 60.0
    error_rate: float = 0.02
    latency_factor: float = 2.0


@dataclass(frozen=True, slots=True)
class Tls:
    """The PEM files of a server's certificate (with its chain) and of its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """All that a back end must know to make an endpoint so.

    Parameters
    ----------
    name
        The endpoint's name, unique on its back end.
    routing
        The live Model and the shadow, if any.
    workers
        Serving processes for the live Model.
    host, port
        Where to listen; port 0 lets the back end choose one and keep it.
    policies
        Finding kind → ``reject``, ``warn`` or ``ignore``; kinds not named keep the default.
    limits
        What each serving process may use.
    device
        ``auto``: a GPU if the Model fits on one, else the CPU; ``cpu``; ``gpu``: a GPU, or a refusal.
    bake
        How a new live Model is watched; None: it is not.
    token_hash
        The hex SHA-256 of the bearer token that clients must send; needed where ``host`` is not loopback.
    tls
        Serve HTTPS with these files.
    uds
        A Unix socket to listen on, instead of ``host`` and ``port``.
    settings
        What only one back end knows, as JSON values; it refuses keys that it does not know.
    owner
        As in ``EndpointRef``.
    """

    name: str
    routing: Routing
    workers: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    policies: dict[str, str] = field(default_factory=dict)
    limits: Resources = Resources()
    device: str = "auto"
    bake: Bake | None = None
    token_hash: str = ""
    tls: Tls | None = None
    uds: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""

    @property
    def ref(self) -> EndpointRef:
        """Which endpoint it is."""
        return EndpointRef(self.name, self.owner)


@dataclass(frozen=True, slots=True)
class EndpointRef:
    """An endpoint on its back end, by name.

    Parameters
    ----------
    owner
        The ledger that asks, where several teams may use one account: what bears another's mark is left
        alone. Empty: nobody in particular.
    """

    name: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a back end sees of an endpoint now.

    Parameters
    ----------
    status
        One of ours; ``native`` is the back end's own word.
    reason
        One sentence, when the status is not READY.
    live, shadow
        Tags of what is running (not of what is wanted).
    notes
        Sentences on what holds although all is well: limits, a bake that goes on.
    """

    status: Status
    time: datetime
    native: str = ""
    reason: str = ""
    url: str | None = None
    live: str | None = None
    shadow: str | None = None
    replicas: int = 0
    spool: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Whether a back end can be used from here. ``problems`` pairs a sentence with its remedy."""

    ok: bool
    problems: tuple[tuple[str, str], ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``apply`` would change.

    Parameters
    ----------
    hourly_cost
        US dollars an hour once it is so, an estimate; None where nothing is billed.
    notes
        Sentences on what it costs and for how long.
    """

    changes: tuple[str, ...]
    unsupported: tuple[str, ...] = ()
    hourly_cost: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a serving process's log."""

    time: datetime | None
    source: str
    text: str


@runtime_checkable
class Backend(Protocol):
    """A place where Models run."""

    name: str
    capabilities: frozenset[Capability]

    def check(self) -> Diagnosis:
        """Look at credentials, quotas and tools, without side effects."""
        ...

    def plan(self, spec: EndpointSpec) -> Plan:
        """Say what ``apply`` would change, without changing it."""
        ...

    def apply(self, spec: EndpointSpec, *, token: str) -> Observation:
        """Make the endpoint so; idempotent under one token; may answer PENDING."""
        ...

    def observe(self, ref: EndpointRef) -> Observation:
        """Look; ABSENT is a status, not an error."""
        ...

    def route(self, ref: EndpointRef, routing: Routing, *, token: str) -> Observation:
        """Change the live and the shadow Model of an existing endpoint, atomically for its clients."""
        ...

    def logs(
        self, ref: EndpointRef, *, since: datetime | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Give the serving processes' log lines, oldest first."""
        ...

    def destroy(self, ref: EndpointRef, *, token: str) -> Observation:
        """Remove the endpoint and its orphans; idempotent."""
        ...


@runtime_checkable
class Suspendable(Protocol):
    """A back end whose processes run on this machine: they can be stopped, and started again for free."""

    def stop(self, ref: EndpointRef) -> Observation:
        """Stop every process of the endpoint and keep its URL; ``apply`` starts it again."""
        ...


@runtime_checkable
class Collecting(Protocol):
    """A back end whose serving processes ship their spool to a store, from which it is brought here."""

    def collect(self, ref: EndpointRef, folder: Path) -> int:
        """Bring what was shipped since the last time into ``folder``; give the number of segments.

        A segment that is brought twice has the same name, and is counted once.
        """
        ...


@runtime_checkable
class Asking(Protocol):
    """A back end whose endpoints are asked with the user's credentials, not by plain HTTP."""

    def ask(
        self, ref: EndpointRef, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a body as ``POST /predict`` would; give status, headers and body of the answer.

        Parameters
        ----------
        headers
            ``content-type``, ``accept`` and ``x-request-id`` are passed on; the others are left out.

        Raises
        ------
        RequestError
            It cannot be asked: the body is too large, the credentials are refused, it is not there.
        """
        ...


@runtime_checkable
class Configurable(Protocol):
    """A back end whose ``settings`` decide what must be there before a deploy."""

    def check_for(self, settings: Mapping[str, Any]) -> Diagnosis:
        """Look as ``check`` does, for an endpoint with these settings; InputError for unknown ones."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """A back end that counts requests itself, whatever becomes of them in a serving process."""

    def metrics(self, ref: EndpointRef, *, minutes: int = 60) -> dict[str, float]:
        """Give its figures of the last minutes; those that it has none of are left out.

        Returns
        -------
        dict
            ``invocations``, ``errors_4xx``, ``errors_5xx``: counts; ``latency_ms``, the serving process's,
            and ``overhead_ms``, what the back end adds: means.
        """
        ...


@runtime_checkable
class Preparing(Protocol):
    """A back end that acts sooner if it was told before that there will be something to do."""

    def prepare(self) -> None:
        """Get ready for ``apply``: called once by who will call that often."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A back end that is far away: each look is a request, and getting ready takes minutes.

    Attributes
    ----------
    look_seconds
        The least time between two looks.
    patience_seconds
        How long a deploy, a promotion or a rollback is waited for.
    """

    look_seconds: float
    patience_seconds: float
