"""Endpoints: deploy, look, ask, tell the outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxiway.cli import show
from taxiway.cli.app import EndpointName, Json, Tag, app, endpoints_app, read_pair
from taxiway.errors import InputError

if TYPE_CHECKING:
    from taxiway.backends import Plan


@app.command()
def deploy(
    model: Tag,
    to: Annotated[str, typer.Option(help="The back end.")] = "local",
    endpoint: Annotated[str | None, typer.Option(help="The endpoint; the Model's name if not given.")] = None,
    window: Annotated[str | None, typer.Option(help="hour, day, week or month.")] = None,
    workers: Annotated[int | None, typer.Option(help="Serving processes.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Where to listen; with a token wherever others can reach it.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 is one that is free.")] = None,
    uds: Annotated[str | None, typer.Option(help="A Unix socket to listen on instead; '' is none.")] = None,
    cpus: Annotated[float | None, typer.Option(help="Cores of each serving process; 0 is no limit.")] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory of each serving process, such as 2GiB; 0 is no limit.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or gpu.")] = None,
    bake: Annotated[
        float | None,
        typer.Option(help="Seconds in which a new Model that is worse is sent back; 0 is none."),
    ] = None,
    tls_certificate: Annotated[str | None, typer.Option(help="The PEM file to serve HTTPS with.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its key's PEM file.")] = None,
    group: Annotated[
        str | None, typer.Option(help="The Model ranks the rows alike in this input, or of one 'request'.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Of changes of the error: adwin, page_hinkley.")
    ] = None,
    new_token: Annotated[bool, typer.Option("--new-token", help="Make a token, and show it once.")] = False,
    override: Annotated[
        list[str] | None, typer.Option(help="A blocking check that may have failed; repeatable.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="What only the back end knows, such as instance_type=ml.m5.xlarge; repeatable."
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would change, and what it would cost.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for it; as long as the back end usually takes.")
    ] = None,
) -> None:
    """Make a Model live on an endpoint."""
    from taxiway.control import api

    settings = dict(read_pair(pair) for pair in set_ or []) or None
    if plan:
        return _plan(
            api.plan(model, to=to, endpoint=endpoint, workers=workers, device=device, settings=settings)
        )
    deployed = api.deploy(
        model,
        to=to,
        endpoint=endpoint,
        window=window,  # type: ignore[arg-type]
        workers=workers,
        host=host,
        port=port,
        uds=uds,
        cpus=cpus,
        memory=memory,
        device=device,  # type: ignore[arg-type]
        bake=bake,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        group=group,
        detector=detector,  # type: ignore[arg-type]
        new_token=new_token,
        settings=settings,
        override=override or (),
        timeout=timeout,
        channel="cli",
    )
    print(f"{deployed.live} is live on {deployed.name}: {deployed.url}")
    if deployed.token:
        print(f"Its token, which is shown this once and kept nowhere: {deployed.token}")
        print('Clients send it as "Authorization: Bearer TOKEN"; taxiway reads it from TAXIWAY_TOKEN.')
    return None


def _plan(found: Plan) -> None:
    for lack in found.unsupported:
        print(f"cannot be: {lack}")
    for change in found.changes:
        print(f"would {change}" if not change[0].isupper() else change)
    if not found.changes and not found.unsupported:
        print("Nothing would change.")
    for note in found.notes:
        print(note)


@endpoints_app.command("list")
def endpoints_list(json_: Json = False) -> None:
    """List endpoints."""
    from taxiway.control import views

    rows = views.endpoints()
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "ENDPOINT": "name",
            "BACK END": "backend",
            "STATUS": "status",
            "LIVE": "live",
            "SHADOW": "shadow",
            "URL": "url",
            "ACCURACY": lambda row: show.interval(row["accuracy"]),
            "OPEN ALERTS": "open_alerts",
        },
        empty="No endpoints yet. `taxiway deploy MODEL --endpoint NAME` makes one.",
    )
    return None


@endpoints_app.command("show")
def endpoints_show(endpoint: EndpointName, json_: Json = False) -> None:
    """Show one endpoint: state, windows, alerts."""
    from taxiway.control import views

    detail = views.endpoint_detail(endpoint)
    if json_:
        return show.as_json(detail)
    reason = f" ({detail['reason']})" if detail["reason"] else ""
    show.console().print(f"{detail['name']} on {detail['backend']}: {detail['status']}{reason}", markup=False)
    show.console().print(
        f"live {detail['live']}, shadow {detail['shadow'] or 'none'}, {detail['url']}", markup=False
    )
    for note in [*detail["notes"], *filter(None, [detail["ahead"]])]:
        show.console().print(note, markup=False)
    show.console().print(
        f"{detail['requests']} predictions, {detail['outcomes']} outcomes, "
        f"accuracy {show.interval(detail['accuracy']) or 'unknown'}",
        markup=False,
    )
    show.table(
        [window for window in detail["windows"] if window["role"] == "live"],
        {
            "WINDOW": lambda row: row["start"][:16].replace("T", " "),
            "MODEL": "model",
            "ROWS": "rows",
            "DRIFTED": lambda row: ", ".join(entry["column"] for entry in row["drift"] if entry["drifted"]),
            "METRIC": lambda row: show.interval(row["performance"]),
        },
        empty="No predictions have been monitored yet.",
    )
    return None


@endpoints_app.command("logs")
def endpoints_logs(
    endpoint: EndpointName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is gone.")] = False,
) -> None:
    """Print what the endpoint's serving processes said, oldest first."""
    from taxiway.control import api

    for line in api.logs(endpoint, follow=follow):
        when = f"{line.time:%Y-%m-%d %H:%M:%S} " if line.time else ""
        print(f"{when}{line.source} {line.text}", flush=follow)


@endpoints_app.command("metrics")
def endpoints_metrics(
    endpoint: EndpointName,
    minutes: Annotated[int, typer.Option(help="How far back.", min=1)] = 60,
    json_: Json = False,
) -> None:
    """Print the figures that the back end itself keeps of an endpoint, as a cloud does."""
    from taxiway.control import api

    found = api.metrics(endpoint, minutes=minutes)
    if json_:
        return show.as_json(found)
    show.table(
        [{"name": name, "value": value} for name, value in found.items()],
        {"METRIC": "name", f"LAST {minutes} MINUTES": "value"},
        empty=f"The back end has no figures of {endpoint} in the last {minutes} minutes; "
        f"`taxiway endpoints show {endpoint}` has Taxiway's own.",
    )
    return None


@endpoints_app.command("delete")
def endpoints_delete(
    endpoint: EndpointName, yes: Annotated[bool, typer.Option("--yes", "-y")] = False
) -> None:
    """Stop serving; the prediction log, the Models and the history stay."""
    from taxiway.control.api import endpoint as find

    found = find(endpoint)
    if not yes:
        typer.confirm(f"Stop serving {endpoint}?", abort=True)
    found.delete()
    print(f"{endpoint} is gone; `taxiway timeline {endpoint}` still tells its history.")


@app.command()
def predict(
    endpoint: EndpointName,
    data: Annotated[
        Path, typer.Option(help="CSV, JSON (records) or Parquet; '-' reads CSV from standard input.")
    ],
    id_column: Annotated[str | None, typer.Option(help="The column that holds prediction ids.")] = None,
    time_column: Annotated[
        str | None, typer.Option(help="The column that holds the data's own time.")
    ] = None,
    json_: Json = False,
) -> None:
    """Send rows to an endpoint and print its predictions."""
    from taxiway.control.api import endpoint as find

    rows = _read(data)
    ids = _take(rows, id_column)
    times = _take(rows, time_column)
    answer = find(endpoint).predict(
        rows.drop(columns=[column for column in (id_column, time_column) if column]), ids=ids, times=times
    )
    if json_:
        return show.as_json(answer.to_dict(orient="records"))
    print(answer.to_csv(index=False), end="")
    return None


def _read(path: Path) -> Any:
    import sys

    import pandas as pd

    if str(path) == "-":
        return pd.read_csv(sys.stdin)
    if not path.is_file():
        raise InputError(f"There is no file at {path}.", hint="Give the path of a CSV, JSON or Parquet file.")
    readers: dict[str, Any] = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path.name} is not a table that can be read.", hint="Use .csv, .json or .parquet.")
    try:
        return reader(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}.", hint="Check the file's form.") from error


def _take(rows: Any, column: str | None) -> list[Any] | None:
    if column is None:
        return None
    if column not in rows.columns:
        raise InputError(
            f"The data have no column {column!r}.", hint=f"They have: {', '.join(rows.columns)}."
        )
    return list(rows[column])
