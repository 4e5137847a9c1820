"""Every command, put in its place in the tree, in the order that ``--help`` shows."""

from __future__ import annotations

from taxiway.cli import (
    alerts,
    changing,
    endpoints,
    ledger,
    machine,
    models,
    outcomes,
    preflight,
    report,
    rules,
    watching,
)
from taxiway.cli.app import agent_app, app, endpoints_app, models_app, retrain_app, shadow_app
from taxiway.cli.profile import profile_app

__all__ = [
    "alerts",
    "app",
    "changing",
    "endpoints",
    "ledger",
    "machine",
    "models",
    "outcomes",
    "preflight",
    "report",
    "rules",
    "watching",
]

for name, group in {
    "models": models_app,
    "endpoints": endpoints_app,
    "shadow": shadow_app,
    "retrain": retrain_app,
    "alerts": alerts.alerts_app,
    "rules": rules.rules_app,
    "sinks": alerts.sinks_app,
    "agent": agent_app,
    "profile": profile_app,
}.items():
    app.add_typer(group, name=name)
