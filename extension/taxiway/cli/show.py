"""Printing: one table, one JSON form, one way to write a number or a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

PIPE_WIDTH = 200
COLOURS = {
    "READY": "green",
    "DEGRADED": "red",
    "FAILED": "red",
    "failed": "red",
    "critical": "red",
    "warning": "yellow",
    "passed": "green",
    "succeeded": "green",
    "promote": "green",
    "reject": "red",
}


def console() -> Console:
    """Make a console on standard output; a pipe gets wide lines and no colours."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def as_json(data: Any) -> None:
    """Print JSON on standard output."""
    print(json.dumps(data, indent=2, default=str, ensure_ascii=False))


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str | Callable[[Mapping[str, Any]], Any]],
    *,
    empty: str,
    title: str | None = None,
) -> None:
    """Print a table, or what to do when there is nothing in it.

    Parameters
    ----------
    rows
        What to print.
    columns
        Heading → key of a row, or a function of it.
    empty
        The sentence for no rows.
    """
    if not rows:
        console().print(escape(empty))
        return
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in columns:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        cells = [key(row) if callable(key) else row.get(key) for key in columns.values()]
        drawn.add_row(*[cell(value) for value in cells])
    console().print(drawn)


def checks(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the checks of a Model; what to do is said where there is something to do."""
    columns: dict[str, str | Callable[[Mapping[str, Any]], Any]] = {
        **{"CHECK": "name", "LEVEL": "level", "RESULT": "result", "REASON": "reason"},
        "WHAT TO DO": lambda row: "" if row["result"] == "passed" else row["remedy"],
    }
    table(rows, columns, empty="No checks were made.")


def cell(value: Any) -> str:
    """Write one value, escaped and coloured by what it says."""
    if value is None or value == "":
        return "[dim]–[/dim]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    text = escape(str(value))
    colour = COLOURS.get(str(value))
    return f"[{colour}]{text}[/{colour}]" if colour else text


def local_time(value: str | None) -> str:
    """Write a UTC time in the local zone, to the second."""
    if not value:
        return ""
    return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def interval(value: Mapping[str, Any] | None) -> str:
    """Write a metric with its 95 % interval and the number it rests on; an accuracy as a percentage."""
    if not value:
        return ""
    form = ".1%" if value.get("metric", "accuracy") == "accuracy" else ".3g"
    return f"{value['value']:{form}} ({value['low']:{form}}–{value['high']:{form}}, n={value['n']})"


@contextmanager
def transfer(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much of a file has been written or read, where somebody looks; give what is told of it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
