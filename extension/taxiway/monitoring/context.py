"""What the rules look at, and what they give."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from taxiway.monitoring.drift import ColumnDrift
from taxiway.monitoring.findings import SchemaFinding, storable
from taxiway.monitoring.performance import Performance

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

#: The rules that hold without any configuration, and what each tells of.
DEFAULT_RULES: dict[str, str] = {
    "schema_added": "a column that the Model does not know",
    "schema_removed": "a column that is missing",
    "schema_retyped": "a column whose type changed",
    "schema_renamed": "a column that seems to have another name now",
    "schema_reordered": "columns in another order",
    "schema_rescaled": "a column that seems to have another unit",
    "schema_constant": "a column that has one value only",
    "schema_out_of_range": "values outside the range of the reference",
    "new_category": "a category that the reference does not have",
    "null_share": "missing values",
    "data_drift": "an input whose distribution moved",
    "prediction_drift": "an output whose distribution moved",
    "multivariate_drift": "inputs that moved together",
    "performance_drop": "the main metric, by outcomes",
    "estimated_drop": "the main metric as it is estimated, while outcomes are missing",
    "concept_drift": "errors that changed for good",
    "slice_gap": "a slice that fares worse than the rest",
    "shadow_errors": "a shadow that fails",
    "predictions_lost": "a prediction log without room",
    "clock_ahead": "predictions of a time that has not come yet",
    "no_predictions": "an endpoint that nobody asks any more",
    "log_stopped": "a prediction log that nobody writes or reads",
    "monitor_stopped": "a monitor that keeps stopping",
    "sink_failed": "a sink that takes no alerts",
}


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
class WindowReadings:
    """What else was read of one window of one Model, as JSON.

    Attributes
    ----------
    quality
        ``SchemaChange`` of ``taxiway.monitoring.schema``, each as a mapping.
    multivariate, estimated
        Drift of all columns together, and performance without outcomes; None if not computed.
    slices
        Performance by slice: ``column``, ``value``, ``metrics``, ``gap``, ``worse`` and so on.
    """

    label: str
    start: datetime
    end: datetime
    model: str
    rows: int
    quality: Sequence[Mapping[str, Any]] = ()
    multivariate: Mapping[str, Any] | None = None
    estimated: Mapping[str, Any] | None = None
    slices: Sequence[Mapping[str, Any]] = ()
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
class Ahead:
    """How many predictions have a time that has not come yet, the last of these, and when they came, UTC."""

    rows: int
    last: datetime
    came: datetime

    @property
    def said(self) -> str:
        """The same as a sentence."""
        many = "1 prediction has" if self.rows == 1 else f"{self.rows:,} predictions have"
        return (
            f"{many} a time that has not come yet, as late as {self.last:%b %Y}: is a clock wrong? "
            "What is of such a time is kept, but left out of what is shown and judged."
        )


@dataclass(frozen=True, slots=True)
class Context:
    """All that the rules look at, for one endpoint.

    Attributes
    ----------
    model
        The live Model's tag; windows of other Models are not judged. None judges all.
    drift, performance
        Windows that have begun, in any order; the rules look at the latest complete one that can be judged.
    readings
        Of the same windows: rows, quality, multivariate drift, estimated performance, slices.
    concept
        What the change detector says of the live Model's errors, as JSON; None where it has not looked.
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
    readings: Sequence[WindowReadings] = ()
    concept: Mapping[str, Any] | None = None
    baseline: Baseline | None = None
    shadow: ShadowHealth | None = None
    losses: LogLosses | None = None
    ahead: Ahead | None = None
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
    hold
        How long it has to hold before anybody is told.
    """

    rule: str
    fingerprint: str
    severity: Severity
    title: str
    detail: str
    column: str | None = None
    window: str | None = None
    value: float | None = None
    threshold: float | None = None
    hold: timedelta = timedelta(0)


def fingerprint(endpoint: str, rule: str, column: str | None = None) -> str:
    """Give the fingerprint of a rule on a column of an endpoint: 16 hexadecimal digits."""
    return hashlib.sha256("\0".join((endpoint, rule, column or "")).encode()).hexdigest()[:16]


def firing(
    endpoint: str,
    rule: str,
    severity: Severity,
    title: str,
    detail: str,
    column: str | None = None,
    **more: Any,
) -> Firing:
    """Make a firing with its fingerprint; whatever a column's name has in it, each text is one line."""
    mark = fingerprint(endpoint, rule, column)
    kept = None if column is None else storable(column)
    return Firing(rule, mark, severity, printable(title), printable(detail), kept, **more)


def printable(text: str) -> str:
    """Give a text without what ends a line, moves a cursor or turns the direction of writing."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
