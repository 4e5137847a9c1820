"""From what is known of an endpoint to its alerts, in the ledger."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import ahead, notices, rules
from taxiway.control.labels import outputs_of
from taxiway.control.ledger import Ledger, now
from taxiway.control.tables import GRACE, ConceptRow, EndpointRow, ObservationRow, SchemaRow, WindowRow
from taxiway.monitoring.context import (
    Baseline,
    Context,
    LogLosses,
    WindowDrift,
    WindowPerformance,
    WindowReadings,
)
from taxiway.monitoring.drift import ColumnDrift
from taxiway.monitoring.findings import SchemaFinding
from taxiway.monitoring.performance import METRICS, Performance
from taxiway.monitoring.rulebook import evaluate as hold
from taxiway.monitoring.windows import window_label
from taxiway.packaging import registry
from taxiway.packaging.model import Model
from taxiway.serving.losses import read_losses

NEWEST = 60


def evaluate(ledger: Ledger, endpoint: str) -> None:
    """Evaluate the rules and open, update or resolve alerts, each change with an event."""
    with ledger.reading() as session:
        row = session.get(EndpointRow, endpoint)
        if row is None or row.desired == "absent":
            return
        model = registry.load(row.live)
    with ledger.transaction() as session:
        row = session.get(EndpointRow, endpoint)
        if row is None or row.live != model.tag:
            return  # it was switched meanwhile; the next cycle looks again
        notices.settle(session, endpoint, [], only=("monitor_stopped",))  # it runs: this is it
        specs = rules.specs_of(session, endpoint)
        notices.settle(session, endpoint, hold(context(session, row, model), specs))


def context(session: Session, row: EndpointRow, model: Model) -> Context:
    """Gather what the rules look at."""
    windows = list(
        session.scalars(
            select(WindowRow)
            .where(WindowRow.endpoint == row.name, WindowRow.model == row.live, WindowRow.role == "live")
            .where(ahead.begun(now()))
            .order_by(WindowRow.start.desc())
            .limit(NEWEST)
        )
    )
    newest = max((window.start for window in windows), default=None)
    drift, performance, readings = [], [], []
    for window in windows:
        # a window is complete once data of a later one has come, or it is over and no more comes
        quiet = now() - max(window.updated, window.end) > GRACE
        common: dict[str, Any] = {
            "label": window_label(window.start, row.window),  # type: ignore[arg-type]
            "start": window.start,
            "end": window.end,
            "model": window.model,
            "complete": quiet or (newest is not None and window.end <= newest),
        }
        drift.append(WindowDrift(columns=[_column(entry) for entry in window.drift], **common))
        if window.performance:
            performance.append(
                WindowPerformance(performance=Performance.from_dict(window.performance), **common)
            )
        readings.append(
            WindowReadings(
                rows=window.rows,
                quality=window.quality or [],
                multivariate=window.multivariate,
                estimated=window.estimated,
                slices=(window.performance or {}).get("slices") or [],
                **common,
            )
        )
    findings = session.scalars(select(SchemaRow).where(SchemaRow.endpoint == row.name))
    return Context(
        endpoint=row.name,
        model=row.live,
        schema=[finding(entry) for entry in findings],
        drift=drift,
        performance=performance,
        readings=readings,
        concept=known.state if (known := session.get(ConceptRow, (row.name, row.live))) else None,
        baseline=_baseline(model, row),
        losses=_losses(session, row.name),
        ahead=ahead.find(session, row.name, now()),
        outputs=frozenset(output.name for output in model.manifest.outputs),
        now=now(),
    )


def _losses(session: Session, endpoint: str) -> LogLosses | None:
    """Read what the serving processes could not write, beside what they could."""
    observed = session.get(ObservationRow, endpoint)
    losses = read_losses(Path(observed.spool)) if observed is not None and observed.spool else None
    if losses is None:
        return None
    first, last = (datetime.fromtimestamp(time, UTC) for time in (losses.first, losses.last))
    return LogLosses(losses.count, first, last)


def _baseline(model: Model, row: EndpointRow) -> Baseline | None:
    """Take the metric that was given at packaging, if its name is one that is monitored."""
    outputs = outputs_of(model, row.options)
    metric = METRICS[outputs.task] if outputs is not None else None
    value = model.manifest.metrics.get(metric) if metric else None
    return None if value is None else Baseline(value, source="at packaging")


def finding(row: SchemaRow) -> SchemaFinding:
    """Give a stored finding in the form that the rules know."""
    return SchemaFinding(**{entry.name: getattr(row, entry.name) for entry in fields(SchemaFinding)})


def _column(entry: dict[str, Any]) -> ColumnDrift:
    known = {one.name for one in fields(ColumnDrift)}  # a window may have been judged by another version
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry.items()
        if name in known
    }
    return ColumnDrift(**values)
