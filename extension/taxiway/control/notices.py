"""Firings become alerts in the ledger, each change with its event and with what is to be delivered of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import outbox
from taxiway.control.ledger import now, record
from taxiway.control.tables import AlertRow
from taxiway.monitoring.alerts import Alert, Transition, fired, fold, ripe
from taxiway.monitoring.context import DEFAULT_RULES, Firing
from taxiway.monitoring.rulebook import RuleSpec, duration

#: What the agent watches, since the monitor does not run while nothing comes, or does not run at all.
OUTSIDE_RULES = ("monitor_stopped", "log_stopped", "no_predictions", "sink_failed")


def settle(
    session: Session,
    endpoint: str,
    firings: Iterable[Firing],
    *,
    only: Collection[str] = (),
    moment: datetime | None = None,
) -> list[Transition]:
    """Open, update or resolve the alerts of an endpoint by what holds now.

    Parameters
    ----------
    endpoint
        Empty for what is of no endpoint.
    firings
        All that hold of the rules concerned.
    only
        The rules concerned; none names all that the monitor evaluates.
    """
    time = moment or now()
    query = select(AlertRow).where(AlertRow.endpoint == endpoint, AlertRow.state != "resolved")
    query = query.where(AlertRow.rule.in_(only) if only else AlertRow.rule.not_in(OUTSIDE_RULES))
    stored = {row.fingerprint: row for row in session.scalars(query)}
    changes = fold(firings, [as_alert(row) for row in stored.values()], now=time)
    for change in changes:
        row = stored.get(change.alert.fingerprint)
        if change.kind == "withdrawn":
            session.delete(row)
            continue
        if row is None:
            row = AlertRow(endpoint=endpoint, **_values(change.alert))
            session.add(row)
            session.flush()
        else:
            for name, value in _values(change.alert).items():
                setattr(row, name, value)
        _announce(session, row, change.kind, time)
    return changes


def ripen(session: Session, specs: Mapping[str, Iterable[RuleSpec]], moment: datetime | None = None) -> None:
    """Let pending alerts fire that have held for long enough, while nothing new comes that would end them.

    Parameters
    ----------
    specs
        The rules that were set, by endpoint.
    """
    time = moment or now()
    for row in _ripe(session, specs, time):
        for name, value in _values(fired(as_alert(row), time).alert).items():
            setattr(row, name, value)
        _announce(session, row, "opened", time)


def are_ripe(session: Session, specs: Mapping[str, Iterable[RuleSpec]], moment: datetime) -> bool:
    """Whether any pending alert has held for long enough."""
    return bool(_ripe(session, specs, moment))


def _ripe(session: Session, specs: Mapping[str, Iterable[RuleSpec]], moment: datetime) -> list[AlertRow]:
    known = {(endpoint, spec.name): spec for endpoint, some in specs.items() for spec in some}
    rows = session.scalars(select(AlertRow).where(AlertRow.state == "pending"))
    ripened = []
    for row in rows:
        spec = known.get((row.endpoint, row.rule))
        if (spec is None and row.rule not in DEFAULT_RULES) or (spec is not None and not spec.enabled):
            continue  # the rule was deleted or switched off meanwhile; the monitor's next look withdraws it
        if ripe(as_alert(row), timedelta(0) if spec is None else duration(spec.hold), moment):
            ripened.append(row)
    return ripened


def as_alert(row: AlertRow) -> Alert:
    """Give a stored alert in the form that the rules know."""
    return Alert(**{entry.name: getattr(row, entry.name) for entry in fields(Alert)})


def _values(alert: Alert) -> dict[str, object]:
    return {entry.name: getattr(alert, entry.name) for entry in fields(alert)}


def _announce(session: Session, row: AlertRow, kind: str, time: datetime) -> None:
    if kind not in ("opened", "worsened", "resolved"):
        return
    record(
        session,
        f"alert {kind}",
        f"{row.title}.",
        by="agent",
        endpoint=row.endpoint or None,
        alert=row.id,
        rule=row.rule,
        column=row.column,
    )
    outbox.enqueue(session, row, kind, time)
