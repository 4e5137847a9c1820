"""What is shown: plain JSON of the ledger and the Models, for the user interface and the command line."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from importlib.metadata import version as distribution_version
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from taxiway.control import agent_process, ahead, desired, retraining, silencing
from taxiway.control.ledger import ledger, now
from taxiway.control.tables import (
    AlertRow,
    ConceptRow,
    EndpointRow,
    EventRow,
    ObservationRow,
    ReportRow,
    RunRow,
    SchemaRow,
    WindowRow,
)
from taxiway.monitoring.silences import Silence
from taxiway.monitoring.windows import window_label
from taxiway.packaging import registry
from taxiway.settings import settings

MANY = 200
MOST_COLUMNS = 60  # of which every window's drift is given; ``columns`` has them all
URGENCY = (
    AlertRow.state == "resolved",
    case({"critical": 0, "warning": 1}, value=AlertRow.severity, else_=2),
    AlertRow.last_seen.desc(),
)
Json = dict[str, Any]


def change_token() -> str:
    """Give a token that changes when the overview may have changed; cheap."""
    kept = [settings().store / kind for kind in ("models", "preflights")]
    stamps = [path.stat().st_mtime_ns for root in kept if root.is_dir() for path in (root, *root.glob("*"))]
    state = agent_process.status()
    return f"{ledger().data_version()}/{max(stamps, default=0)}/{state.pid}/{state.doing}"


def overview() -> Json:
    """Everything at a glance."""
    with ledger().reading() as session:
        rows = session.scalars(
            select(EndpointRow).where(EndpointRow.desired != "absent").order_by(EndpointRow.name)
        ).all()
        alerts = session.scalars(select(AlertRow).order_by(*URGENCY).limit(MANY)).all()
        runs = session.scalars(select(RunRow).order_by(RunRow.created.desc()).limit(MANY)).all()
        return {
            "version": distribution_version("taxiway"),
            "home": str(settings().home),
            "agent": agent(),
            "models": [_model(model, rows) for model in registry.list_models()],
            "endpoints": [_endpoint(session, row) for row in rows],
            "alerts": _alerts(session, alerts),
            "runs": [_run(row) for row in runs],
        }


def agent() -> Json:
    """What the agent does."""
    state = agent_process.status()
    return {"running": state.running, "pid": state.pid, "since": _time(state.since), "doing": state.doing}


def models(name: str | None = None) -> list[Json]:
    """Every Model, newest first."""
    with ledger().reading() as session:
        rows = session.scalars(select(EndpointRow).where(EndpointRow.desired != "absent")).all()
        return [_model(model, rows) for model in registry.list_models(name)]


def model_detail(name: str, version: str) -> Json:
    """Everything about one Model."""
    model = registry.load(f"{name}:{version}")
    with ledger().reading() as session:
        rows = session.scalars(select(EndpointRow).where(EndpointRow.desired != "absent")).all()
        summary = _model(model, rows)
    detail: Json = {**model.to_detail(), **summary}
    detail["preflight"] = {**model.to_detail()["preflight"], **summary["preflight"]}
    return detail


def endpoints() -> list[Json]:
    """Every endpoint, by name."""
    with ledger().reading() as session:
        rows = session.scalars(
            select(EndpointRow).where(EndpointRow.desired != "absent").order_by(EndpointRow.name)
        )
        return [_endpoint(session, row) for row in rows]


def endpoint_detail(name: str) -> Json:
    """Everything about one endpoint."""
    with ledger().reading() as session:
        row = desired.get(session, name)
        windows = session.scalars(
            select(WindowRow)
            .where(WindowRow.endpoint == name, ahead.begun(now()))
            .order_by(WindowRow.start.desc())
            .limit(MANY)
        ).all()
        schema = session.scalars(
            select(SchemaRow)
            .where(SchemaRow.endpoint == name)
            .order_by(SchemaRow.last_seen.desc())
            .limit(MANY)
        ).all()
        report = session.get(ReportRow, (name, row.shadow)) if row.shadow else None
        runs = session.scalars(
            select(RunRow).where(RunRow.endpoint == name).order_by(RunRow.created.desc()).limit(MANY)
        ).all()
        concept = session.get(ConceptRow, (name, row.live))
        live = [window for window in reversed(windows) if window.role == "live"]
        columns = drifted_columns(live, row.live)
        kept = {entry["column"] for entry in columns[:MOST_COLUMNS]}
        return {
            **_endpoint(session, row),
            "windows": [_window(window, kept) for window in reversed(windows)],
            "columns": columns,
            "slices": _slices(live),
            "concept": concept.state if concept else None,
            "quality": _quality(live),
            "schema": [_schema(finding) for finding in schema],
            "alerts": alerts(name),
            "timeline": timeline(name),
            "shadow_report": report.report if report and report.live == row.live else None,
            "runs": [_run(run) for run in runs],
        }


def alerts(endpoint: str | None = None, *, include_resolved: bool = True) -> list[Json]:
    """Alerts: open ones first, critical ones before others, then newest first."""
    query = select(AlertRow).order_by(*URGENCY)
    if endpoint is not None:
        query = query.where(AlertRow.endpoint == endpoint)
    if not include_resolved:
        query = query.where(AlertRow.state != "resolved")
    with ledger().reading() as session:
        return _alerts(session, session.scalars(query.limit(MANY)).all())


def timeline(endpoint: str) -> list[Json]:
    """What happened to an endpoint: the newest events, oldest first."""
    query = select(EventRow).where(EventRow.endpoint == endpoint).order_by(EventRow.id.desc()).limit(MANY)
    with ledger().reading() as session:
        rows = session.scalars(query).all()
    return [
        {"time": _time(row.time), "event": row.kind, "actor": row.actor, "text": row.text}
        for row in reversed(rows)
    ]


def runs(endpoint: str | None = None) -> list[Json]:
    """Retraining runs, newest first."""
    query = select(RunRow).order_by(RunRow.created.desc()).limit(MANY)
    if endpoint is not None:
        query = query.where(RunRow.endpoint == endpoint)
    with ledger().reading() as session:
        return [_run(row) for row in session.scalars(query)]


def _model(model: Any, rows: Any) -> Json:
    return {
        **model.to_summary(),
        "live_on": [row.name for row in rows if row.live == model.tag],
        "shadow_on": [row.name for row in rows if row.shadow == model.tag],
    }


def _endpoint(session: Session, row: EndpointRow) -> Json:
    seen = session.get(ObservationRow, row.name)
    live = (WindowRow.endpoint == row.name, WindowRow.role == "live")
    requests = session.scalar(select(func.sum(WindowRow.rows)).where(*live))
    mine = (*live, WindowRow.model == row.live)
    newest = session.scalar(
        select(WindowRow.drift).where(*mine, ahead.begun(now())).order_by(WindowRow.start.desc()).limit(1)
    )
    performances = session.scalars(select(WindowRow.performance).where(*mine).order_by(WindowRow.start))
    judged = [performance for performance in performances if performance and performance["n_labelled"]]
    drifted = sorted({entry["column"] for entry in newest or [] if entry["drifted"]})
    open_alerts = session.scalars(
        select(AlertRow).where(AlertRow.endpoint == row.name, AlertRow.state.in_(("firing", "acknowledged")))
    ).all()
    return {
        "name": row.name,
        "backend": row.backend,
        "status": seen.status if seen else "PENDING",
        "reason": seen.reason if seen else "the agent has not acted on it yet",
        "notes": list(seen.notes) if seen else [],
        "ahead": ahead.told(session, row.name, now()),
        "url": seen.url if seen else None,
        "live": row.live,
        "shadow": row.shadow,
        "window": row.window,
        "requests": int(requests or 0),
        "outcomes": sum(performance["n_labelled"] for performance in judged),
        "drifted_columns": drifted,
        "accuracy": _pooled(judged),
        "open_alerts": len(open_alerts),
        "updated": _time(row.updated),
    }


def _pooled(judged: list[Json]) -> Json | None:
    """Accuracy over all windows of the live Model, with its Wilson 95 % interval."""
    counted = [entry for entry in judged if "accuracy" in entry["metrics"]]
    n = sum(entry["n_labelled"] for entry in counted)
    if not n:
        return None
    from scipy.stats import binomtest

    hits = round(sum(entry["metrics"]["accuracy"]["value"] * entry["n_labelled"] for entry in counted))
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return {"value": hits / n, "low": float(interval.low), "high": float(interval.high), "n": n}


def drifted_columns(windows: Sequence[WindowRow], model: str) -> list[Json]:
    """Give every column's drift in the newest window that knows it, those that ever drifted most first.

    Parameters
    ----------
    windows
        Of the live role, oldest first.
    model
        The live Model: a column is ``gone`` if that Model's newest window does not know it.

    Returns
    -------
    list of dict
        The entry of the ledger, with ``window`` (its start), ``peak`` (the largest PSI of all windows),
        ``ever`` (whether it drifted in any of them) and ``gone``.
    """
    found: dict[str, Json] = {}
    newest = next((window for window in reversed(windows) if window.model == model and window.drift), None)
    present = {entry["column"] for entry in newest.drift} if newest else None
    for window in windows:
        for entry in window.drift:
            name, psi = entry["column"], entry["psi"] or 0.0
            before = found.get(name, {"peak": 0.0, "ever": False})
            found[name] = {
                **entry,
                "window": _time(window.start),
                "peak": max(before["peak"], psi),
                "ever": before["ever"] or entry["drifted"],
                "gone": present is not None and name not in present,
            }
    return sorted(found.values(), key=lambda one: (not one["ever"], -one["peak"], one["column"]))


def _window(row: WindowRow, columns: Container[str]) -> Json:
    return {
        "start": _time(row.start),
        "end": _time(row.end),
        "model": row.model,
        "role": row.role,
        "rows": row.rows,
        "drift": [entry for entry in row.drift if entry["column"] in columns],
        "multivariate": row.multivariate,
        "performance": main_metric(row.performance),
        "estimated": row.estimated,
    }


def _slices(windows: Sequence[WindowRow]) -> Json | None:
    """The slices of the newest window that has any with outcomes."""
    for row in reversed(windows):
        slices = (row.performance or {}).get("slices")
        if slices:
            metric = row.performance["metric"] if row.performance else ""
            return {
                "window": _time(row.start),
                "model": row.model,
                "metric": metric,
                "slices": slices[:MANY],
            }
    return None


def _quality(windows: Sequence[WindowRow]) -> list[Json]:
    """What the windows' profiles tell of the shape of the data, one entry a kind and column, newest first."""
    found: dict[tuple[str, str], Json] = {}
    for row in windows:
        for entry in row.quality:
            key = entry["kind"], entry["column"]
            before = found.pop(key, {"windows": 0, "first": _time(row.start)})
            found[key] = {
                **entry,
                "first": before["first"],
                "last": _time(row.start),
                "windows": before["windows"] + 1,
                "now": row is windows[-1],
            }
    return list(reversed(found.values()))[:MANY]


def main_metric(performance: Json | None) -> Json | None:
    """Give a window's main metric with its interval, or None while it has no outcomes."""
    if not performance or not performance["metrics"]:
        return None
    return {
        "metric": performance["metric"],
        **performance["metrics"][performance["metric"]],
        "n": performance["n_labelled"],
        "coverage": performance["coverage"],
    }


def _schema(row: SchemaRow) -> Json:
    return {
        "kind": row.kind,
        "column": row.column,
        "model": row.model,
        "count": row.count,
        "first_seen": _time(row.first_seen),
        "last_seen": _time(row.last_seen),
        "example": row.example,
        "expected": row.expected,
        "found": row.found,
        "rejected": row.rejected,
    }


def _alerts(session: Session, rows: Sequence[AlertRow]) -> list[Json]:
    starts: dict[str, dict[str, str | None]] = {}
    for row in rows:
        if row.window and row.column and row.endpoint not in starts:
            starts[row.endpoint] = _window_starts(session, row.endpoint)
    moment = now()
    silences = silencing.active(session, moment)
    return [
        {
            **_alert(row),
            "silenced_until": _silenced_until(silences, row, moment),
            "window_start": starts.get(row.endpoint, {}).get(row.window) if row.window else None,
        }
        for row in rows
    ]


def _silenced_until(silences: list[Silence], row: AlertRow, moment: datetime) -> str | None:
    """Until when nobody is told of an alert; of a maintenance window only that it is on."""
    holding = [one for one in silences if row.state != "resolved" and silencing.covers([one], row, moment)]
    return _time(max((one.ends or moment for one in holding), default=None))


def _window_starts(session: Session, endpoint: str) -> dict[str, str | None]:
    """Give the start of each window by its name for people, as alerts have it."""
    row = session.get(EndpointRow, endpoint)
    if row is None:
        return {}
    unit: Any = row.window
    query = select(WindowRow.start).where(WindowRow.endpoint == endpoint, WindowRow.role == "live")
    return {window_label(start, unit): _time(start) for start in session.scalars(query.distinct())}


def _alert(row: AlertRow) -> Json:
    return {
        "id": row.id,
        "endpoint": row.endpoint,
        "rule": row.rule,
        "severity": row.severity,
        "title": row.title,
        "detail": row.detail,
        "column": row.column,
        "window": row.window,
        "value": row.value,
        "threshold": row.threshold,
        "state": row.state,
        "since": _time(row.since),
        "first_seen": _time(row.first_seen),
        "last_seen": _time(row.last_seen),
        "count": row.count,
    }


def _run(row: RunRow) -> Json:
    executed = retraining.run_dir(row.id) / "notebook.ipynb"
    return {
        "id": row.id,
        "notebook": row.notebook,
        "endpoint": row.endpoint,
        "state": row.state,
        "trigger": row.trigger,
        "started": _time(row.started or row.created),
        "ended": _time(row.ended),
        "progress": retraining.progress(row.id) if row.state == "running" else None,
        "model": row.model,
        "error": row.error,
        "output": str(executed) if executed.exists() else None,
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
