"""Firings over time become alerts: pending while they have to hold, firing, resolved in the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from taxiway.monitoring.context import SEVERITIES, Firing, Severity

State = Literal["pending", "firing", "acknowledged", "resolved"]


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that held, for as long as it held.

    Attributes
    ----------
    since
        When it began to hold; ``first_seen`` is when it fired.
    count
        How often it came with something new to tell (another window, more requests).
    """

    fingerprint: str
    rule: str
    severity: Severity
    title: str
    detail: str
    column: str | None
    window: str | None
    value: float | None
    threshold: float | None
    state: State
    first_seen: datetime
    last_seen: datetime
    count: int = 1
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """What became of an alert.

    It is ``pending`` until it has held for long enough, then ``opened``; ``worsened`` (more severe than
    before), ``updated`` (there is something else new), ``resolved``; or ``withdrawn``, if it never fired.
    """

    kind: Literal["pending", "withdrawn", "opened", "worsened", "updated", "resolved"]
    alert: Alert


def fold(firings: Iterable[Firing], open_alerts: Iterable[Alert], *, now: datetime) -> list[Transition]:
    """Give the transitions that lead from the open alerts to the rules that hold now.

    Parameters
    ----------
    firings
        All rules that hold now, as ``rules.evaluate`` gives them.
    open_alerts
        The alerts that are not resolved, at most one of a fingerprint.

    Returns
    -------
    list of Transition
        Nothing for an alert that holds with nothing new. An acknowledged alert stays so unless it gets
        more severe. Folding again after applying them gives no transition.
    """
    held = {firing.fingerprint: firing for firing in firings}
    opened = {alert.fingerprint: alert for alert in open_alerts}
    transitions = [
        _begun(firing, now) if mark not in opened else _continued(opened[mark], firing, now)
        for mark, firing in held.items()
    ]
    ended = [_ended(alert, now) for mark, alert in opened.items() if mark not in held]
    return [transition for transition in transitions if transition is not None] + ended


def ripe(alert: Alert, hold: timedelta, now: datetime) -> bool:
    """Whether a pending alert has held for long enough.

    A clock that was set back makes it wait anew, and no longer than ``hold``.
    """
    since = alert.since or alert.first_seen
    return now - since >= hold


def fired(alert: Alert, now: datetime) -> Transition:
    """Let a pending alert fire."""
    return Transition("opened", replace(alert, state="firing", first_seen=now, last_seen=now))


def _begun(firing: Firing, now: datetime) -> Transition:
    waits = firing.hold > timedelta(0)
    alert = Alert(
        fingerprint=firing.fingerprint,
        rule=firing.rule,
        severity=firing.severity,
        title=firing.title,
        detail=firing.detail,
        column=firing.column,
        window=firing.window,
        value=firing.value,
        threshold=firing.threshold,
        state="pending" if waits else "firing",
        first_seen=now,
        last_seen=now,
        since=now,
    )
    return Transition("pending" if waits else "opened", alert)


def _ended(alert: Alert, now: datetime) -> Transition:
    if alert.state == "pending":
        return Transition("withdrawn", alert)
    return Transition("resolved", replace(alert, state="resolved", last_seen=now))


def _continued(alert: Alert, firing: Firing, now: datetime) -> Transition | None:
    changed = replace(
        alert,
        severity=firing.severity,
        title=firing.title,
        detail=firing.detail,
        window=firing.window,
        value=firing.value,
        threshold=firing.threshold,
    )
    if alert.state == "pending":
        if alert.since is not None and alert.since > now:  # the clock was set back
            changed = replace(changed, since=now)
        elif ripe(changed, firing.hold, now):
            return fired(changed, now)
        return Transition("pending", changed) if changed != alert else None
    if changed == alert:
        return None
    counted = replace(changed, last_seen=now, count=alert.count + 1)
    if SEVERITIES.index(firing.severity) > SEVERITIES.index(alert.severity):
        return Transition("worsened", replace(counted, state="firing"))
    return Transition("updated", counted)
