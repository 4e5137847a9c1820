"""Every command, put in its place in the tree, in the order that ``--help`` shows."""

from __future__ import annotations

from taxiway.cli import changing, endpoints, ledger, machine, models, preflight, watching
from taxiway.cli.app import agent_app, app, endpoints_app, models_app, retrain_app, shadow_app

__all__ = ["app", "changing", "endpoints", "ledger", "machine", "models", "preflight", "watching"]

for name, group in {
    "models": models_app,
    "endpoints": endpoints_app,
    "shadow": shadow_app,
    "retrain": retrain_app,
    "agent": agent_app,
}.items():
    app.add_typer(group, name=name)
