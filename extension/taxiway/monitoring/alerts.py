"""Firings over time become alerts: opened once, kept while they hold, resolved when they no longer do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from taxiway.monitoring.context import SEVERITIES, Firing, Severity

State = Literal["firing", "acknowledged", "resolved"]


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that held, for as long as it held.

    Attributes
    ----------
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


@dataclass(frozen=True, slots=True)
class Transition:
    """What became of an alert: it was ``opened``, ``updated`` (there is something new) or ``resolved``."""

    kind: Literal["opened", "updated", "resolved"]
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
        _opened(firing, now) if mark not in opened else _continued(opened[mark], firing, now)
        for mark, firing in held.items()
    ]
    resolved = [
        Transition("resolved", replace(alert, state="resolved", last_seen=now))
        for mark, alert in opened.items()
        if mark not in held
    ]
    return [transition for transition in transitions if transition is not None] + resolved


def _opened(firing: Firing, now: datetime) -> Transition:
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
        state="firing",
        first_seen=now,
        last_seen=now,
    )
    return Transition("opened", alert)


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
    if changed == alert:
        return None
    worse = SEVERITIES.index(firing.severity) > SEVERITIES.index(alert.severity)
    state: State = "firing" if worse else alert.state
    return Transition("updated", replace(changed, state=state, last_seen=now, count=alert.count + 1))
