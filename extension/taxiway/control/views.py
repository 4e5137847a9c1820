"""What is shown: plain JSON of the ledger and the Models, for the user interface and the command line."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version as distribution_version
from typing import Any

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from taxiway.control import agent_process, desired, retraining
from taxiway.control.ledger import ledger
from taxiway.control.tables import (
    AlertRow,
    EndpointRow,
    EventRow,
    ObservationRow,
    ReportRow,
    RunRow,
    SchemaRow,
    WindowRow,
)
from taxiway.packaging import registry
from taxiway.settings import settings

MANY = 200
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
            "alerts": [_alert(row) for row in alerts],
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
            select(WindowRow).where(WindowRow.endpoint == name).order_by(WindowRow.start.desc()).limit(MANY)
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
        return {
            **_endpoint(session, row),
            "windows": [_window(window) for window in reversed(windows)],
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
        return [_alert(row) for row in session.scalars(query.limit(MANY))]


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
    windows = session.scalars(
        select(WindowRow)
        .where(WindowRow.endpoint == row.name, WindowRow.role == "live")
        .order_by(WindowRow.start)
    ).all()
    mine = [window for window in windows if window.model == row.live]
    judged = [
        window.performance for window in mine if window.performance and window.performance["n_labelled"]
    ]
    drifted = sorted({entry["column"] for entry in mine[-1].drift if entry["drifted"]}) if mine else []
    open_alerts = session.scalars(
        select(AlertRow).where(AlertRow.endpoint == row.name, AlertRow.state != "resolved")
    ).all()
    return {
        "name": row.name,
        "backend": row.backend,
        "status": seen.status if seen else "PENDING",
        "reason": seen.reason if seen else "the agent has not acted on it yet",
        "url": seen.url if seen else None,
        "live": row.live,
        "shadow": row.shadow,
        "window": row.window,
        "requests": sum(window.rows for window in windows),
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


def _window(row: WindowRow) -> Json:
    return {
        "start": _time(row.start),
        "end": _time(row.end),
        "model": row.model,
        "role": row.role,
        "rows": row.rows,
        "drift": row.drift,
        "performance": main_metric(row.performance),
    }


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


def _alert(row: AlertRow) -> Json:
    return {
        "id": row.id,
        "endpoint": row.endpoint,
        "rule": row.rule,
        "severity": row.severity,
        "title": row.title,
        "detail": row.detail,
        "column": row.column,
        "state": row.state,
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
