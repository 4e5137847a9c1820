"""The truth: sending outcomes, and how good the predictions were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxiway.cli import show
from taxiway.cli.app import EndpointName, Json, app
from taxiway.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def outcomes(
    endpoint: EndpointName,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A .csv, .json, .jsonl or .parquet file (a path or URL that fsspec reaches), '-' for a CSV "
            "from standard input, or a database's SQLAlchemy URL."
        ),
    ] = None,
    table: Annotated[str | None, typer.Option(help="The database's table.")] = None,
    query: Annotated[str | None, typer.Option(help="Or what to select from it.")] = None,
    id_: Annotated[str, typer.Option("--id", help="The column of prediction ids.")] = "id",
    outcome: Annotated[str, typer.Option(help="The column of outcomes.")] = "outcome",
    time: Annotated[str | None, typer.Option(help="The column of their times.")] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(help="Instead of ids: an input column that must be equal; repeatable."),
    ] = None,
    tolerance: Annotated[
        str | None, typer.Option(help="How much earlier the prediction may be, such as 1d.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="What times without a zone are in.")] = "UTC",
    status: Annotated[bool, typer.Option("--status", help="Only tell what has become of outcomes.")] = False,
    json_: Json = False,
) -> None:
    """Send the truth for predictions, by prediction id or by key columns and time."""
    from taxiway.control.api import endpoint as find

    found = find(endpoint)
    if status:
        told = found.outcome_status()
        return show.as_json(told.to_dict()) if json_ else print(told)
    if source is None:
        raise InputError("There is nothing to send.", hint="Give a file or a database, or --status.")
    columns = [*(on or [id_]), outcome, *([time] if time else [])]
    rows = _read(source, table, query, columns, texts=[*(on or []), id_])
    if time is not None and on is None and time not in rows.columns:
        raise InputError(f"The outcomes have no column {time!r}.", hint="Name the column of their times.")
    with _counting(json_) as progress:
        sent = found.outcomes(
            rows,
            id=id_,
            outcome=outcome,
            time=time,
            on=on or (),
            tolerance=tolerance,
            timezone=timezone,
            progress=progress,
        )
    if json_:
        return show.as_json(sent.to_dict())
    print(f"{sent} outcomes were accepted.")
    for finding in sent.findings:
        print(f"  {finding.text}")
    return None


def _read(
    source: str, table: str | None, query: str | None, columns: list[str], texts: list[str]
) -> pd.DataFrame:
    from taxiway.monitoring.sources import read_table

    if source != "-":
        return read_table(source, table=table, query=query, columns=columns, texts=texts)
    import sys

    import pandas as pd

    return pd.read_csv(sys.stdin, dtype=dict.fromkeys(texts, "string"))


@contextmanager
def _counting(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many outcomes have been sent, where somebody looks."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("outcomes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("outcomes", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command()
def performance(
    endpoint: EndpointName,
    slices: Annotated[
        bool, typer.Option("--slices", help="Within each slice, of the newest window.")
    ] = False,
    json_: Json = False,
) -> None:
    """Show how good predictions were in each window, what was expected, and where the error changed."""
    from taxiway.control import readings

    measured = readings.slices(endpoint) if slices else readings.performance(endpoint)
    if json_:
        changes = [] if slices else _records(readings.concept(endpoint))
        return show.as_json({"slices" if slices else "windows": _records(measured), "changes": changes})
    if slices:
        return _show_slices(measured)
    show.table(
        _records(measured),
        {
            "WINDOW": lambda row: row["window"][:16].replace("T", " "),
            "MODEL": "model",
            "ROLE": "role",
            "METRIC": "metric",
            "REAL": lambda row: _interval(row, "value", "low", "high"),
            "OUTCOMES": lambda row: None if row["n"] is None else f"{row['n']:.0f} ({row['coverage']:.0%})",
            "ESTIMATED": lambda row: _interval(row, "estimated", "estimated_low", "estimated_high"),
        },
        empty="No window has outcomes or an estimate yet.",
    )
    for change in _records(readings.concept(endpoint)):
        print(
            f"{change['metric']} of {change['model']} changed from {change['before']:.3g} to "
            f"{change['after']:.3g} on {change['time'][:16].replace('T', ' ')} UTC ({change['method']})."
        )
    return None


def _show_slices(measured: pd.DataFrame) -> None:
    newest = measured[measured["window"] == measured["window"].max()]
    show.table(
        _records(newest[newest["role"] == "live"]),
        {
            "SLICE": "name",
            "METRIC": "metric",
            "REAL": lambda row: _interval(row, "value", "low", "high"),
            "OUTCOMES": "n",
            "GAP": "gap",
            "P": "p_value",
            "WORSE": "worse",
            "PARITY": lambda row: row.get("demographic_parity_difference"),
            "OPPORTUNITY": lambda row: row.get("equal_opportunity_difference"),
        },
        empty="No slice has outcomes yet.",
        title=f"window from {newest['window'].iloc[0]:%Y-%m-%d %H:%M} UTC" if len(newest) else None,
    )


def _interval(row: Mapping[str, Any], value: str, low: str, high: str) -> str | None:
    if row[value] is None:
        return None
    form = ".1%" if row["metric"] == "accuracy" else ".3g"
    return f"{row[value]:{form}} ({row[low]:{form}}–{row[high]:{form}})"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give rows as plain values; what is missing is None."""
    import json

    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso"))
    return rows
