"""Models: list and show."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from taxiway.cli import show
from taxiway.cli.app import Json, Tag, models_app


@models_app.command("list")
def models_list(
    name: Annotated[str | None, typer.Argument(help="Only versions of this one.")] = None, json_: Json = False
) -> None:
    """List Models, newest first."""
    from taxiway.control import views

    rows = views.models(name)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "MODEL": "tag",
            "FRAMEWORK": "framework",
            "TASK": "task",
            "SIZE": lambda row: show.size(row["size_bytes"]),
            "PREFLIGHT": lambda row: _preflight(row["preflight"]),
            "LIVE ON": lambda row: ", ".join(row["live_on"]),
            "SHADOW ON": lambda row: ", ".join(row["shadow_on"]),
            "PACKAGED": lambda row: show.local_time(row["created"]),
        },
        empty="No Models yet. In a notebook: taxiway.package(model, name='…', reference=X, target=y).",
    )
    return None


@models_app.command("show")
def models_show(model: Tag, json_: Json = False) -> None:
    """Show one Model: preflight, signature, lineage."""
    from taxiway.control import views
    from taxiway.packaging import registry

    found = registry.load(model)
    detail = views.model_detail(found.name, found.version)
    if json_:
        return show.as_json(detail)
    lineage = detail["lineage"]
    show.console().print(f"[bold]{detail['tag']}[/bold] {detail['framework']}, {detail['task']}", markup=True)
    show.console().print(
        f"packaged {show.local_time(detail['created'])}, Bento {detail['bento']}", markup=False
    )
    show.console().print(
        f"git commit {lineage.get('git_commit') or 'none'}, data {lineage.get('data_digest')}", markup=False
    )
    show.table(
        detail["preflight"]["checks"],
        {"CHECK": "name", "LEVEL": "level", "RESULT": "result", "REASON": "reason", "WHAT TO DO": "remedy"},
        empty="No checks were made.",
    )
    show.table(
        detail["signature"]["inputs"],
        {
            "INPUT": "name",
            "TYPE": "dtype",
            "NULLS": "nullable",
            "SEEN": lambda row: (
                ", ".join(row["categories"])
                if row["categories"]
                else ""
                if row["minimum"] is None
                else f"{row['minimum']:g} to {row['maximum']:g}"
            ),
        },
        empty="No inputs.",
    )
    return None


def _preflight(summary: dict[str, Any]) -> str:
    if summary["ok"]:
        return "passed" if not summary["waived"] else f"{summary['waived']} waived"
    return f"{summary['failed']} failed"
