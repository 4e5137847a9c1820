"""From what is known of an endpoint to its alerts, in the ledger."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import GRACE, AlertRow, EndpointRow, ObservationRow, SchemaRow, WindowRow
from taxiway.monitoring.alerts import Alert, fold
from taxiway.monitoring.context import Baseline, Context, LogLosses, WindowDrift, WindowPerformance
from taxiway.monitoring.drift import ColumnDrift
from taxiway.monitoring.findings import SchemaFinding
from taxiway.monitoring.performance import Performance
from taxiway.monitoring.rules import evaluate as hold
from taxiway.monitoring.windows import window_label
from taxiway.packaging import registry
from taxiway.packaging.model import Model
from taxiway.serving.losses import read_losses

NEWEST = 60
OUTSIDE_RULES = ("monitor_stopped",)


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
        _resolve_outside(session, endpoint)
        stored = {
            alert.fingerprint: alert
            for alert in session.scalars(
                select(AlertRow)
                .where(AlertRow.endpoint == endpoint, AlertRow.state != "resolved")
                .where(AlertRow.rule.not_in(OUTSIDE_RULES))
            )
        }
        known = [_alert(alert) for alert in stored.values()]
        for change in fold(hold(_context(session, row, model)), known, now=now()):
            values = {entry.name: getattr(change.alert, entry.name) for entry in fields(change.alert)}
            alert = stored.get(change.alert.fingerprint)
            if alert is None:
                alert = AlertRow(endpoint=endpoint, **values)
                session.add(alert)
                session.flush()
            else:
                for name, value in values.items():
                    setattr(alert, name, value)
            if change.kind != "updated":
                record(
                    session,
                    f"alert {change.kind}",
                    f"{alert.title}.",
                    by="agent",
                    endpoint=endpoint,
                    alert=alert.id,
                    rule=alert.rule,
                    column=alert.column,
                )


def _context(session: Session, row: EndpointRow, model: Model) -> Context:
    """Gather what the rules look at."""
    windows = list(
        session.scalars(
            select(WindowRow)
            .where(WindowRow.endpoint == row.name, WindowRow.model == row.live, WindowRow.role == "live")
            .order_by(WindowRow.start.desc())
            .limit(NEWEST)
        )
    )
    newest = max((window.start for window in windows), default=None)
    drift, performance = [], []
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
    findings = session.scalars(select(SchemaRow).where(SchemaRow.endpoint == row.name))
    return Context(
        endpoint=row.name,
        model=row.live,
        schema=[finding(entry) for entry in findings],
        drift=drift,
        performance=performance,
        baseline=_baseline(model),
        losses=_losses(session, row.name),
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


def _baseline(model: Model) -> Baseline | None:
    """Take the metric that was given at packaging, if its name is one that is monitored."""
    metric = {"classification": "accuracy", "regression": "mae"}.get(model.manifest.task)
    value = model.manifest.metrics.get(metric) if metric else None
    return None if value is None else Baseline(value, source="at packaging")


def finding(row: SchemaRow) -> SchemaFinding:
    """Give a stored finding in the form that the rules know."""
    return SchemaFinding(**{entry.name: getattr(row, entry.name) for entry in fields(SchemaFinding)})


def _column(entry: dict[str, Any]) -> ColumnDrift:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
    }
    return ColumnDrift(**values)


def _alert(row: AlertRow) -> Alert:
    return Alert(**{entry.name: getattr(row, entry.name) for entry in fields(Alert)})


def _resolve_outside(session: Session, endpoint: str) -> None:
    """The monitor runs again, so the alert that it does not is over."""
    for alert in session.scalars(
        select(AlertRow)
        .where(AlertRow.endpoint == endpoint, AlertRow.state != "resolved")
        .where(AlertRow.rule.in_(OUTSIDE_RULES))
    ):
        alert.state, alert.last_seen = "resolved", now()
        record(
            session,
            "alert resolved",
            f"{alert.title}.",
            by="agent",
            endpoint=endpoint,
            alert=alert.id,
        )
