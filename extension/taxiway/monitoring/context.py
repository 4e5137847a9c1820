"""What the rules look at, and what they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args

from taxiway.monitoring.drift import ColumnDrift
from taxiway.monitoring.findings import SchemaFinding
from taxiway.monitoring.performance import Performance

Severity = Literal["info", "warning", "critical"]
Rule = Literal[
    "schema_added",
    "schema_removed",
    "schema_retyped",
    "new_category",
    "null_share",
    "data_drift",
    "prediction_drift",
    "performance_drop",
    "shadow_errors",
    "predictions_lost",
]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When the default rules hold.

    Attributes
    ----------
    psi
        What ``taxiway.monitoring.drift.drift`` was asked with; told in the alert.
    alpha
        Level of the one-sided test of a performance drop.
    min_labels, min_drop
        Outcomes that a window needs, and the least drop (absolute accuracy; share of the MAE) that matters.
    schema_hold, loss_hold
        How long after the last such request a schema alert, and one of lost predictions, stays open.
    shadow_error_share, shadow_min_errors
        The share and the number of failed shadow predictions from which the shadow is called failing.
    """

    psi: float = 0.2
    alpha: float = 0.01
    min_labels: int = 20
    min_drop: float = 0.02
    schema_hold: timedelta = timedelta(days=1)
    loss_hold: timedelta = timedelta(minutes=10)
    shadow_error_share: float = 0.01
    shadow_min_errors: int = 3


@dataclass(frozen=True, slots=True)
class WindowDrift:
    """The drift of one window of one Model; ``label`` names the window for people."""

    label: str
    start: datetime
    end: datetime
    model: str
    columns: Sequence[ColumnDrift]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class WindowPerformance:
    """The performance of one window of one Model."""

    label: str
    start: datetime
    end: datetime
    model: str
    performance: Performance
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the main metric should be.

    Attributes
    ----------
    n, spread
        Over how many rows it was measured, and the standard deviation over them (regression); None if it
        is to be taken as exact.
    source
        Where it comes from, for people: "on the reference", "in Jan 2013".
    """

    value: float
    n: int | None = None
    spread: float | None = None
    source: str = "on the reference"


@dataclass(frozen=True, slots=True)
class ShadowHealth:
    """How a shadow fares: requests mirrored to it, and those it failed or rejected."""

    model: str
    requests: int
    errors: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LogLosses:
    """How many records of the prediction log were lost for want of room, and when first and last, UTC."""

    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Context:
    """All that the rules look at, for one endpoint.

    Attributes
    ----------
    model
        The live Model's tag; windows of other Models are not judged. None judges all.
    drift, performance
        Windows in any order; the rules look at the latest complete one that can be judged.
    baseline
        None takes the first labelled window of the Model.
    outputs
        The names of the Model's outputs, whose drift is a rule of its own.
    now
        None keeps alerts of schema and of losses open for ever.
    """

    endpoint: str
    model: str | None = None
    schema: Sequence[SchemaFinding] = ()
    drift: Sequence[WindowDrift] = ()
    performance: Sequence[WindowPerformance] = ()
    baseline: Baseline | None = None
    shadow: ShadowHealth | None = None
    losses: LogLosses | None = None
    outputs: frozenset[str] = frozenset()
    now: datetime | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that holds now.

    Attributes
    ----------
    fingerprint
        The same for the same endpoint, rule and column, whatever the window.
    title, detail
        One line, and what stands behind it.
    """

    rule: Rule
    fingerprint: str
    severity: Severity
    title: str
    detail: str
    column: str | None = None
    window: str | None = None
    value: float | None = None
    threshold: float | None = None
