"""The ledger's tables. Times are UTC; whatever is a list or a mapping is JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# A window is over once data of a later one has come, or once nothing more has come for this long.
GRACE = timedelta(minutes=2)


class UtcDateTime(TypeDecorator[datetime]):
    """A UTC time; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Store in UTC; a time without a zone is a mistake of the caller's."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time in the ledger needs a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# What counts rows, bytes or requests passes 2³¹ within days of load
Count = Annotated[int, mapped_column(BigInteger().with_variant(Integer(), "sqlite"))]


class Table(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own idiom
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


class EndpointRow(Table):
    """The desired state of one endpoint.

    ``generation`` grows with every change of it; ``learned`` is how many outcomes of the live Model a
    retraining run has already seen, or were there when it went live. ``options`` holds what the user gave of
    limits, device, bake, address, TLS and the token's hash; what is not in it has its default.
    """

    __tablename__ = "endpoints"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    backend: Mapped[str] = mapped_column(String(100))
    desired: Mapped[str] = mapped_column(String(20), default="running")
    live: Mapped[str] = mapped_column(String(200))
    previous: Mapped[str | None] = mapped_column(String(200))
    shadow: Mapped[str | None] = mapped_column(String(200))
    shadow_since: Mapped[datetime | None]
    window: Mapped[str] = mapped_column(String(20))
    workers: Mapped[int] = mapped_column(default=1)
    port: Mapped[int] = mapped_column(default=0)
    policies: Mapped[dict[str, Any]] = mapped_column(default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    generation: Mapped[int] = mapped_column(default=1)
    learned: Mapped[Count] = mapped_column(default=0)
    created: Mapped[datetime]
    updated: Mapped[datetime]


class ObservationRow(Table):
    """What the back end last said of an endpoint, and which generation had been applied then.

    ``settled`` is the last status that was not on its way to another, so that the history tells of changes.
    """

    __tablename__ = "observations"

    endpoint: Mapped[str] = mapped_column(ForeignKey("endpoints.name", ondelete="CASCADE"), primary_key=True)
    status: Mapped[str] = mapped_column(String(20))
    settled: Mapped[str] = mapped_column(String(20), default="")
    native: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    url: Mapped[str | None] = mapped_column(Text)
    live: Mapped[str | None] = mapped_column(String(200))
    shadow: Mapped[str | None] = mapped_column(String(200))
    replicas: Mapped[int] = mapped_column(default=0)
    spool: Mapped[str | None] = mapped_column(Text)
    notes: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    generation: Mapped[int] = mapped_column(default=0)
    time: Mapped[datetime]


class EventRow(Table):
    """Something that happened; never changed, chained by hash so that a gap shows."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[datetime]
    endpoint: Mapped[str | None] = mapped_column(String(100), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class HeadRow(Table):
    """The ledger's newest state, in the one row of this table.

    ``changes`` grows with every transaction that may have written; ``events`` and ``hash`` are the number of
    events and the newest one's hash, so that one that is removed from the end shows.
    """

    __tablename__ = "head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    changes: Mapped[Count] = mapped_column(default=0)
    events: Mapped[Count] = mapped_column(default=0)
    hash: Mapped[str] = mapped_column(String(64), default="")


class LeaseRow(Table):
    """Who may act now."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int]
    since: Mapped[datetime]
    expires: Mapped[datetime]
    doing: Mapped[str] = mapped_column(Text, default="")


class SegmentRow(Table):
    """How far a spool segment has been read."""

    __tablename__ = "segments"

    path: Mapped[str] = mapped_column(String(1000), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(100), index=True)
    offset: Mapped[Count]


class PartRow(Table):
    """A Parquet file of the prediction log or of the outcomes; a file that is not listed does not count."""

    __tablename__ = "parts"
    __table_args__ = (Index("ix_parts_lookup", "endpoint", "kind", "window_start"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    endpoint: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(20))
    window_start: Mapped[datetime | None]
    role: Mapped[str] = mapped_column(String(10), default="")
    model: Mapped[str] = mapped_column(String(200), default="")
    rows: Mapped[Count]
    path: Mapped[str] = mapped_column(Text)


class WindowRow(Table):
    """A window of predictions of one Model in one role, with its profile and what was found in it.

    ``quality`` holds what its profile tells of the shape of the data (``taxiway.monitoring.schema``),
    ``multivariate`` the drift of all columns together, ``estimated`` the performance as it is estimated
    without outcomes.
    """

    __tablename__ = "windows"

    endpoint: Mapped[str] = mapped_column(String(100), primary_key=True)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    role: Mapped[str] = mapped_column(String(10), primary_key=True)
    end: Mapped[datetime]
    rows: Mapped[Count]
    profile: Mapped[str] = mapped_column(Text)
    judged: Mapped[bool] = mapped_column(default=False)
    drift: Mapped[list[Any]] = mapped_column(default=list)
    performance: Mapped[dict[str, Any] | None]
    quality: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    multivariate: Mapped[dict[str, Any] | None]
    estimated: Mapped[dict[str, Any] | None]
    updated: Mapped[datetime]


class SliceRow(Table):
    """The profile of one slice (rows whose column has a value, or lies in a range) of a window."""

    __tablename__ = "slices"

    endpoint: Mapped[str] = mapped_column(String(100), primary_key=True)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    role: Mapped[str] = mapped_column(String(10), primary_key=True)
    column: Mapped[str] = mapped_column(String(500), primary_key=True)
    value: Mapped[str] = mapped_column(String(500), primary_key=True)
    rows: Mapped[Count]
    profile: Mapped[str] = mapped_column(Text)


class ConceptRow(Table):
    """What the change detector says of the errors of one Model, in the order of the predictions' times."""

    __tablename__ = "concepts"

    endpoint: Mapped[str] = mapped_column(String(100), primary_key=True)
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    state: Mapped[dict[str, Any]]
    time: Mapped[datetime]


class SchemaRow(Table):
    """A difference between requests and the signature, by kind and column."""

    __tablename__ = "schema_findings"

    endpoint: Mapped[str] = mapped_column(String(100), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    column: Mapped[str] = mapped_column(String(500), primary_key=True)
    model: Mapped[str] = mapped_column(String(200))
    count: Mapped[Count]
    requests: Mapped[Count]
    rejected: Mapped[bool]
    expected: Mapped[str] = mapped_column(Text, default="")
    found: Mapped[str] = mapped_column(Text, default="")
    example: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class RuleRow(Table):
    """A rule that someone set: for one endpoint, or for all where ``endpoint`` is empty."""

    __tablename__ = "rules"

    endpoint: Mapped[str] = mapped_column(String(100), primary_key=True)
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    definition: Mapped[dict[str, Any]]
    actor: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime]


class AlertRow(Table):
    """A rule that held; ``since`` is when it began to, which is earlier if it has to hold for a while."""

    __tablename__ = "alerts"
    __table_args__ = (Index("ix_alerts_open", "endpoint", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    endpoint: Mapped[str] = mapped_column(String(100))
    rule: Mapped[str] = mapped_column(String(60))
    fingerprint: Mapped[str] = mapped_column(String(64))
    severity: Mapped[str] = mapped_column(String(20))
    title: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text, default="")
    column: Mapped[str | None] = mapped_column(String(500))
    window: Mapped[str | None] = mapped_column(String(60))
    value: Mapped[float | None]
    threshold: Mapped[float | None]
    state: Mapped[str] = mapped_column(String(20), default="firing")
    count: Mapped[int] = mapped_column(default=1)
    since: Mapped[datetime | None]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class SilenceRow(Table):
    """Alerts that nobody is to be told of: until a time, or in a maintenance window that comes again."""

    __tablename__ = "silences"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    matcher: Mapped[dict[str, Any]]
    starts: Mapped[datetime]
    ends: Mapped[datetime | None]
    schedule: Mapped[dict[str, Any] | None]
    reason: Mapped[str] = mapped_column(Text, default="")
    actor: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime]


class SinkRow(Table):
    """Where alerts are delivered; ``definition`` names the secret's variable, never the secret."""

    __tablename__ = "sinks"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    definition: Mapped[dict[str, Any]]
    failures: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    delivered: Mapped[datetime | None]
    created: Mapped[datetime]


class DeliveryRow(Table):
    """One thing to be told to one sink: written with the alert's change, removed from the queue when told."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "state", "due"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    sink: Mapped[str] = mapped_column(String(60))
    alert: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    due: Mapped[datetime]
    error: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime]
    ended: Mapped[datetime | None]


class ReportRow(Table):
    """The newest comparison of a shadow with the live Model."""

    __tablename__ = "shadow_reports"

    endpoint: Mapped[str] = mapped_column(String(100), primary_key=True)
    shadow: Mapped[str] = mapped_column(String(200), primary_key=True)
    live: Mapped[str] = mapped_column(String(200))
    report: Mapped[dict[str, Any]]
    time: Mapped[datetime]


class TriggerRow(Table):
    """When an endpoint's retraining notebook is to run by itself, and what follows."""

    __tablename__ = "triggers"

    endpoint: Mapped[str] = mapped_column(ForeignKey("endpoints.name", ondelete="CASCADE"), primary_key=True)
    notebook: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    rules: Mapped[list[Any]] = mapped_column(default=list)
    min_outcomes: Mapped[int] = mapped_column(default=100)
    timeout: Mapped[float] = mapped_column(default=3600.0)
    created: Mapped[datetime]


class RunRow(Table):
    """One execution of a retraining notebook for one logical time."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("endpoint", "logical_key"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    endpoint: Mapped[str | None] = mapped_column(String(100), index=True)
    notebook: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    trigger: Mapped[str] = mapped_column(Text)
    logical_key: Mapped[str] = mapped_column(String(200))
    timeout: Mapped[float] = mapped_column(default=3600.0)
    state: Mapped[str] = mapped_column(String(20), default="queued")
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    model: Mapped[str | None] = mapped_column(String(200))
    error: Mapped[str | None] = mapped_column(Text)
