"""``taxiway profile``: data to whylogs profiles, and what is stored of an endpoint."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from taxiway.cli import show
from taxiway.cli.app import EndpointName, Json
from taxiway.errors import InputError


class _DataFirst(TyperGroup):
    """A group whose word for ``data`` may be left out: ``taxiway profile FILE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front where another word is."""
        first = next((word for word in args if not word.startswith("-")), None)
        if first is not None and first not in self.commands:
            args = ["data", *args]
        return super().parse_args(ctx, args)


profile_app = typer.Typer(
    cls=_DataFirst,
    no_args_is_help=True,
    help="Profile data (`taxiway profile FILE`), or show an endpoint's profiles.",
)

UNITS = ("hour", "day", "week", "month")


def _unit(text: str | None) -> Any:
    if text is not None and text not in UNITS:
        raise InputError(f"There is no window of a {text!r}.", hint=f"Use {', '.join(UNITS)}.")
    return text


@profile_app.command(name="data")
def data(
    data: Annotated[str, typer.Argument(help="File, folder, glob or URL; Parquet or CSV.", metavar="DATA")],
    time: Annotated[str, typer.Option(help="Column to tell the time by: a profile a window.")] = "",
    by: Annotated[str, typer.Option(help="hour, day, week or month.")] = "day",
    slice_: Annotated[list[str] | None, typer.Option("--slice", help="Column to part the rows by.")] = None,
    model: Annotated[str, typer.Option(help="Compare with this Model.", metavar="MODEL")] = "",
    endpoint: Annotated[str, typer.Option(help="Keep them as windows of this endpoint.")] = "",
    into: Annotated[Path, typer.Option(help="Folder of the whylogs files.")] = Path("profiles"),
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    processes: Annotated[int | None, typer.Option(help="Of the local engine.", min=1)] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster.")] = None,
    json_: Json = False,
) -> None:
    """Profile Parquet or CSV of any size into whylogs files."""
    from taxiway.control.profiling import drift_of, profile

    def progress(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done} of {of} chunks", end="\n" if done == of else "", file=sys.stderr, flush=True)

    try:
        made = profile(
            data,
            time=time,
            by=_unit(by),
            slices=slice_ or (),
            model=model,
            endpoint=endpoint,
            into=into,
            engine=engine,  # type: ignore[arg-type]
            processes=processes,
            address=address,
            progress=progress,
            channel="cli",
        )
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        raise SystemExit(130) from None
    rows = [
        {
            "start": one.start,
            "end": one.end,
            "slice": one.slice,
            "rows": one.rows,
            "path": str(one.path),
            "drifted": _drifted(drift_of(made.model, one.view())) if made.model else None,
        }
        for one in made.profiles
    ]
    if json_:
        return show.as_json({"rows": made.rows, "findings": made.findings, "profiles": rows})
    _table(rows, f"{made.rows:,} rows", compared=bool(made.model), last={"FILE": "path"})
    for finding in made.findings:
        show.console().print(finding, markup=False)
    return None


@profile_app.command(name="show")
def show_(
    endpoint: EndpointName,
    by: Annotated[str | None, typer.Option(help="Merge to hour, day, week or month.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time (UTC).")] = None,
    slice_: Annotated[str | None, typer.Option("--slice", help="COLUMN=VALUE.")] = None,
    model: Annotated[str | None, typer.Option(help="The live one by default.", metavar="MODEL")] = None,
    into: Annotated[Path | None, typer.Option(help="Write the merged whylogs files here.")] = None,
    json_: Json = False,
) -> None:
    """Show an endpoint's profiles, merged to windows of any length, with their drift; or a .bin file."""
    from taxiway.monitoring import profiles

    if endpoint.endswith(".bin") and Path(endpoint).exists():
        return _show_file(Path(endpoint), json_)
    from taxiway.control import stored
    from taxiway.control.profiling import drift_of

    rows = []
    views = stored.merged(endpoint, since=since, until=until, unit=_unit(by), slice=slice_, model=model)
    for view in views:
        about = profiles.about(view)
        start = datetime.fromisoformat(about["start"])
        row: dict[str, Any] = {**about, "start": start, "rows": int(about["rows"])}
        row["drifted"] = _drifted(drift_of(about["model"], view))
        if into is not None:
            row["path"] = str(profiles.write(view, into / f"{endpoint}-{start:%Y%m%dT%H}.bin"))
        rows.append(row)
    if json_:
        return show.as_json({"profiles": rows, "slices": stored.slices(endpoint)})
    last = {"FILE": "path"} if into is not None else {}
    _table(rows, f"{endpoint}{f', {slice_}' if slice_ else ''}", compared=True, last=last)
    return None


def _show_file(path: Path, json_: bool) -> None:
    from dataclasses import asdict

    from taxiway.monitoring import profiles

    view = profiles.read(path)
    columns = [asdict(one) for one in profiles.summary(view).values()]
    if json_:
        return show.as_json({"about": profiles.about(view), "columns": columns})
    about = ", ".join(f"{name} {value}" for name, value in profiles.about(view).items())
    show.table(
        columns,
        {
            "COLUMN": "column",
            "KIND": "kind",
            "ROWS": "rows",
            "NULLS": "nulls",
            "MEAN": "mean",
            "MINIMUM": "minimum",
            "MAXIMUM": "maximum",
            "DISTINCT": lambda row: None if row["distinct"] is None else round(row["distinct"]),
        },
        empty="It has no columns.",
        title=about or path.name,
    )
    return None


def _drifted(found: list[dict[str, Any]]) -> list[str]:
    return [entry["column"] for entry in found if entry["drifted"]]


def _table(rows: list[dict[str, Any]], title: str, *, compared: bool, last: dict[str, str]) -> None:
    rest = "without a time" if any(row["start"] for row in rows) else "all"
    columns: dict[str, Any] = {
        "WINDOW": lambda row: row["start"].strftime("%Y-%m-%d %H:%M") if row["start"] else rest,
        "SLICE": lambda row: row.get("slice", ""),
        "ROWS": "rows",
    }
    if compared:
        columns["DRIFTED"] = lambda row: ", ".join(row["drifted"]) or "none"
    show.table(rows, {**columns, **last}, empty="There are no rows.", title=title)
