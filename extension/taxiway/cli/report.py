"""A report of an endpoint: what needs attention, as a page, as JSON, or in a few lines."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from taxiway.cli import show
from taxiway.cli.app import EndpointName, Json, app
from taxiway.errors import InputError


@app.command()
def report(
    endpoint: EndpointName,
    file: Annotated[
        Path | None,
        typer.Argument(help="Where the page goes; ENDPOINT-report.html if not given, '-' prints it."),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write one HTML page that needs nothing else.")
    ] = False,
    json_: Json = False,
    since: Annotated[
        str | None, typer.Option(help="Leave out what is earlier: a date or time, UTC unless it has a zone.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is no report.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Tell what needs attention: alerts, drift, performance, schema changes, the shadow's verdict."""
    from taxiway.lab.report import gather

    made = gather(endpoint, since=_time(since))
    if json_:
        return show.as_json(made.to_dict())
    if not (html or file or open_):
        return show.console().print(repr(made), markup=False)
    if str(file) == "-":
        sys.stdout.write(made.to_html())
        return None
    written = made.save(file or Path(f"{endpoint}-report.html"), force=force)
    print(f"The report of {endpoint} is at {written}")
    if open_:
        typer.launch(written.as_uri())
    return None


def _time(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        return datetime.fromisoformat(since)
    except ValueError as error:
        raise InputError(
            f"{since!r} is no time.", hint="Write --since 2026-11-01 or 2026-11-01T12:00."
        ) from error
