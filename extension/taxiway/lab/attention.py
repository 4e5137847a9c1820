"""What of an endpoint needs attention, in plain sentences, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from taxiway.lab.svg import shorten
from taxiway.monitoring.performance import SPOKEN
from taxiway.monitoring.windows import window_label

Json = Mapping[str, Any]
Level = Literal["critical", "warning", "info", "ok"]

MOST_NAMED = 6
LITTLE_COVERAGE = 0.5
_ORDER: tuple[Level, ...] = ("critical", "warning", "info", "ok")
_SHARES = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "auc", "hit_rate", "ndcg")
_SCHEMA = {
    "extra": "requests bring a new column",
    "missing": "requests lack the column",
    "retyped": "another type comes in",
    "renamed": "another name comes for",
    "null": "nulls come in",
    "new_category": "unknown categories come in",
    "out_of_range": "values outside the range come in",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One sentence, and how urgent it is."""

    level: Level
    text: str


def attention(detail: Json) -> list[Point]:
    """Say what needs attention.

    Parameters
    ----------
    detail
        As ``taxiway.control.views.endpoint_detail`` gives it.

    Returns
    -------
    list of Point
        The most urgent first; one that says so if nothing does.
    """
    found = [
        point for look in (_state, _alerts, _data, _schema, _measured, _shadow) for point in look(detail)
    ]
    if not any(one.level in ("critical", "warning") for one in found):
        nothing = (
            "Nothing needs attention." if live_windows(detail) else "Nothing can be said of the data yet."
        )
        found.append(Point("ok", nothing))
    return sorted(found, key=lambda one: _ORDER.index(one.level))


def live_windows(detail: Json) -> list[Json]:
    """The live role's windows, oldest first."""
    return [window for window in detail.get("windows") or () if window.get("role") == "live"]


def when(detail: Json, start: object) -> str:
    """Name a window for people by its start (ISO 8601)."""
    unit = detail.get("window")
    try:
        time = datetime.fromisoformat(str(start))
    except ValueError:
        return shorten(str(start), 40)
    known: Any = unit if unit in ("hour", "day", "week", "month") else "hour"
    return window_label(time, known)


def within(detail: Json, start: object) -> str:
    """Name a window in a sentence: ``in Dec 2013``, ``on 7 Jan 2013``, ``in the week of 7 Jan 2013``."""
    before = {"hour": "in the hour of", "day": "on", "week": "in the"}.get(str(detail.get("window")), "in")
    return f"{before} {when(detail, start)}"


def amount(value: object, metric: object = "") -> str:
    """Write a metric's value: a share in per cent, anything else to three digits."""
    if not isinstance(value, int | float) or value != value:
        return "unknown"
    return f"{value:.1%}" if str(metric) in _SHARES else f"{value:.3g}"


def interval(found: Json, metric: object = "") -> str:
    """Write a value with its 95% interval."""
    metric = metric or found.get("metric", "")
    value, low, high = (found.get(key) for key in ("value", "low", "high"))
    bounds = f" ({amount(low, metric)} to {amount(high, metric)})" if None not in (low, high) else ""
    return f"{amount(value, metric)}{bounds}"


def named(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Enumerate names, the first few of many."""
    shown = [f"`{shorten(str(name), 60)}`" for name in names[:most]]
    left = len(names) - most
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def _state(detail: Json) -> Iterator[Point]:
    status = str(detail.get("status") or "UNKNOWN")
    if status != "READY":
        reason = f": {detail['reason']}" if detail.get("reason") else ""
        failing = status in ("FAILED", "DEGRADED", "UNKNOWN")
        yield Point("critical" if failing else "warning", f"The endpoint is {status}{reason}.")
    if detail.get("ahead"):
        yield Point("warning", str(detail["ahead"]))
    if not live_windows(detail):
        yield Point("info", "No predictions have been monitored yet.")


def _alerts(detail: Json) -> Iterator[Point]:
    told_below = {one["column"] for one in _newest_moved(detail)}
    opened = [
        one
        for one in detail.get("alerts") or ()
        if one.get("state") in ("firing", "acknowledged")
        and not (one.get("rule") in ("data_drift", "prediction_drift") and one.get("column") in told_below)
    ]
    for one in opened[:MOST_NAMED]:
        level: Level = "critical" if one.get("severity") == "critical" else "warning"
        if one.get("severity") == "info":
            level = "info"
        yield Point(level, f"Alert: {one.get('title', '')}")
    if len(opened) > MOST_NAMED:
        yield Point("warning", f"{len(opened) - MOST_NAMED} more alerts are open.")


def _newest(detail: Json) -> Json | None:
    return next((one for one in reversed(live_windows(detail)) if one.get("drift")), None)


def _newest_moved(detail: Json) -> list[Json]:
    newest = _newest(detail) or {"drift": ()}
    return sorted(
        (one for one in newest["drift"] if one.get("drifted")), key=lambda one: -(one.get("psi") or 0)
    )


def _data(detail: Json) -> Iterator[Point]:
    newest = _newest(detail)
    if newest is None:
        return
    place, moved = within(detail, newest["start"]), _newest_moved(detail)
    place = place[:1].upper() + place[1:]
    if moved:
        names = named([one["column"] for one in moved])
        verb = "has" if len(moved) == 1 else "have"
        yield Point("warning", f"{place}, {names} {verb} moved away from the reference.")
    together = newest.get("multivariate") or {}
    if together.get("drifted") and not moved:
        said = f"AUC {together.get('auc', 0):.2f}"
        yield Point("warning", f"{place} the columns together tell the window from the reference ({said}).")


def _schema(detail: Json) -> Iterator[Point]:
    found = [*(detail.get("schema") or ()), *(one for one in detail.get("quality") or () if one.get("now"))]
    if not found:
        return
    pairs: dict[str, list[str]] = {}
    for one in found:
        what = _SCHEMA.get(str(one.get("kind")), str(one.get("kind", "")).replace("_", " "))
        if one.get("column") not in pairs.setdefault(what, []):
            pairs[what].append(one.get("column"))
    told = "; ".join(f"{what} {named(names, 3)}" for what, names in list(pairs.items())[:MOST_NAMED])
    yield Point("warning", f"The data's shape differs from the signature: {told}.")


def _measured(detail: Json) -> Iterator[Point]:
    windows = live_windows(detail)
    measured = [one for one in windows if one.get("performance")]
    if measured:
        newest = measured[-1]
        found, place = newest["performance"], within(detail, newest["start"])
        metric = str(found.get("metric", ""))
        name = SPOKEN.get(metric, metric)
        before = [one["performance"]["value"] for one in measured[:-1] if one["performance"].get("n")]
        beside = f"; its mean before was {amount(sum(before) / len(before), metric)}" if before else ""
        known = f"{found.get('n', 0):,} outcomes"
        yield Point("info", f"{name[:1].upper()}{name[1:]} {place}: {interval(found)} on {known}{beside}.")
        if (found.get("coverage") or 0.0) < LITTLE_COVERAGE:
            share = f"{found.get('coverage') or 0.0:.0%}"
            yield Point("warning", f"Only {share} of the predictions {place} have an outcome.")
    elif windows:
        yield Point("info", "No outcome is known yet, so the performance is not measured.")
    newest_window = windows[-1] if windows else {}
    estimated = newest_window.get("estimated") or {}
    if estimated.get("value") is not None and not newest_window.get("performance"):
        name, place = SPOKEN.get(estimated["metric"], ""), within(detail, newest_window["start"])
        yield Point("info", f"Estimated {name} {place}, without outcomes: {interval(estimated)}.")
    worse = [one["name"] for one in (detail.get("slices") or {}).get("slices") or () if one.get("worse")]
    if worse:
        yield Point("warning", f"The Model is worse than elsewhere where {named(worse, 3)}.")
    concept = detail.get("concept") or {}
    if concept.get("drifted"):
        text = str(concept.get("text") or "it is not what it was")
        yield Point("warning", f"The error has changed: {text.rstrip('.')}.")


def _shadow(detail: Json) -> Iterator[Point]:
    report = detail.get("shadow_report") or {}
    if report.get("verdict"):
        yield Point("info", f"Of the shadow {detail.get('shadow')}: {report['verdict']}.")
