"""Watching: drift, and what happened."""

from __future__ import annotations

from typing import Any

from taxiway.cli import show
from taxiway.cli.app import EndpointName, Json, app


@app.command()
def drift(endpoint: EndpointName, json_: Json = False) -> None:
    """Show the drift of the live Model's newest window, column by column."""
    from taxiway.control import views

    detail = views.endpoint_detail(endpoint)
    windows = [
        entry for entry in detail["windows"] if entry["role"] == "live" and entry["model"] == detail["live"]
    ]
    if json_:
        return show.as_json(windows)
    newest: dict[str, Any] = windows[-1] if windows else {"start": "", "rows": 0, "drift": []}
    show.table(
        newest["drift"],
        {
            "COLUMN": "column",
            "DRIFTED": "drifted",
            "PSI": "psi",
            "TEST": "test",
            "STATISTIC": "statistic",
            "P": "p_value",
            "NEW": lambda row: ", ".join(row.get("new_categories") or []),
            "VANISHED": lambda row: ", ".join(row.get("vanished_categories") or []),
        },
        empty=f"No window of {detail['live']} has been monitored yet.",
        title=f"{endpoint}, window from {newest['start'][:16].replace('T', ' ')}, {newest['rows']} rows",
    )
    return None


@app.command()
def timeline(endpoint: EndpointName, json_: Json = False) -> None:
    """Tell what was live when, and why."""
    from taxiway.control import views

    rows = views.timeline(endpoint)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "TIME": lambda row: show.local_time(row["time"]),
            "EVENT": "event",
            "WHAT": "text",
            "BY": "actor",
        },
        empty=f"Nothing has happened to an endpoint named {endpoint!r}.",
    )
    return None
