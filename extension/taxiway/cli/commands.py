"""The commands, each a few lines over the same functions that a notebook calls."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from taxiway.cli import show
from taxiway.errors import InputError, RetrainingError

app = typer.Typer(
    name="taxiway",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="From a notebook cell to production, and right once there.",
)
models_app = typer.Typer(no_args_is_help=True, help="The Models that have been packaged.")
endpoints_app = typer.Typer(no_args_is_help=True, help="Where Models answer.")
shadow_app = typer.Typer(no_args_is_help=True, help="A candidate that sees live traffic and never answers.")
retrain_app = typer.Typer(no_args_is_help=True, help="Retraining notebooks.")
agent_app = typer.Typer(no_args_is_help=True, help="The process that does the work.")
for name, group in {
    "models": models_app,
    "endpoints": endpoints_app,
    "shadow": shadow_app,
    "retrain": retrain_app,
    "agent": agent_app,
}.items():
    app.add_typer(group, name=name)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EndpointName = Annotated[str, typer.Argument(help="The endpoint's name.", metavar="ENDPOINT")]
Tag = Annotated[str, typer.Argument(help="NAME or NAME:VERSION.", metavar="MODEL")]


@app.command()
def demo(
    keep: Annotated[bool, typer.Option(help="Leave everything running at the end.")] = True,
    days: Annotated[int, typer.Option(help="Replay only this many days of each year.", min=60)] = 366,
) -> None:
    """Take a model of Seattle's weather through every stage, on this machine."""
    from taxiway.demo import run

    run(keep=keep, days=days)


@app.command()
def version() -> None:
    """Print Taxiway's version."""
    import taxiway

    print(taxiway.__version__)


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
        empty="No Models yet. In a notebook: taxiway.package(model, name='…', reference=X_train, target=y_train).",
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


@app.command()
def deploy(
    model: Tag,
    to: Annotated[str, typer.Option(help="The back end.")] = "local",
    endpoint: Annotated[str | None, typer.Option(help="The endpoint; the Model's name if not given.")] = None,
    window: Annotated[str | None, typer.Option(help="hour, day, week or month.")] = None,
    workers: Annotated[int, typer.Option(help="Serving processes.")] = 1,
    override: Annotated[
        list[str] | None, typer.Option(help="A blocking check that may have failed; repeatable.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for it.")] = 60.0,
) -> None:
    """Make a Model live on an endpoint."""
    from taxiway.control import api

    deployed = api.deploy(
        model,
        to=to,
        endpoint=endpoint,
        window=window,  # type: ignore[arg-type]
        workers=workers,
        override=override or (),
        timeout=timeout,
        channel="cli",
    )
    print(f"{deployed.live} is live on {deployed.name}: {deployed.url}")


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


@app.command()
def outcomes(
    endpoint: EndpointName,
    file: Annotated[Path, typer.Argument(help="CSV, JSON (records) or Parquet with columns id and outcome.")],
    json_: Json = False,
) -> None:
    """Send the truth for prediction ids."""
    from taxiway.control.api import endpoint as find

    rows = _read(file)
    for column in ("id", "outcome"):
        if column not in rows.columns:
            raise InputError(f"{file} has no column {column!r}.", hint="It needs the columns id and outcome.")
    accepted = find(endpoint).outcomes(rows.set_index("id")["outcome"])
    show.as_json({"accepted": accepted}) if json_ else print(f"{accepted} outcomes were accepted.")


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
    newest = windows[-1] if windows else {"start": "", "rows": 0, "drift": []}
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
def alerts(
    endpoint: Annotated[str | None, typer.Argument(help="Only this endpoint's.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    acknowledge: Annotated[int | None, typer.Option(help="Mark this alert as seen.", metavar="ID")] = None,
    json_: Json = False,
) -> None:
    """List open alerts."""
    from taxiway.control import api, views

    if acknowledge is not None:
        api.acknowledge(acknowledge, channel="cli")
    rows = views.alerts(endpoint, include_resolved=all_)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "ID": "id",
            "ENDPOINT": "endpoint",
            "SEVERITY": "severity",
            "STATE": "state",
            "ALERT": "title",
            "LAST SEEN": lambda row: show.local_time(row["last_seen"]),
            "COUNT": "count",
        },
        empty="No open alerts.",
    )
    return None


@shadow_app.command("start")
def shadow_start(endpoint: EndpointName, model: Tag) -> None:
    """Let a Model see an endpoint's live traffic."""
    started = _endpoint(endpoint).start_shadow(model)
    print(f"{started.shadow} shadows {started.live} on {endpoint}.")


@shadow_app.command("report")
def shadow_report(endpoint: EndpointName, json_: Json = False) -> None:
    """Compare the shadow with the live Model on joined outcomes."""
    report = _endpoint(endpoint).shadow_report().to_dict()
    if json_:
        return show.as_json(report)
    print(f"verdict: {report['verdict']} ({report['n_pairs']} pairs, agreement {report['agreement']:.1%})")
    for reason in report["reasons"]:
        print(f"  {reason}")
    return None


@shadow_app.command("stop")
def shadow_stop(endpoint: EndpointName) -> None:
    """Take the shadow away."""
    _endpoint(endpoint).stop_shadow()
    print(f"{endpoint} has no shadow now.")


@app.command()
def promote(
    endpoint: EndpointName,
    force: Annotated[bool, typer.Option(help="Against the verdict; it is recorded.")] = False,
) -> None:
    """Make the shadow live, without a failed request."""
    promoted = _endpoint(endpoint).promote(force=force)
    print(f"{promoted.live} is live on {endpoint}; `taxiway rollback {endpoint}` undoes it.")


@app.command()
def rollback(endpoint: EndpointName) -> None:
    """Make the Model that was live before live again."""
    rolled = _endpoint(endpoint).rollback()
    print(f"{rolled.live} is live on {endpoint} again; `taxiway rollback {endpoint}` undoes it.")


@retrain_app.command("run")
def retrain_run(
    notebook: Annotated[Path, typer.Argument(help="The notebook to execute.")],
    parameter: Annotated[
        list[tuple[str, str]] | None,
        typer.Option("-p", "--parameter", help="A parameter: key and value.", metavar="K V"),
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Its Model goes into shadow on this endpoint.")] = None,
    logical_time: Annotated[
        str | None, typer.Option(help="Runs once for each of these; now if not given.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds after which it is killed.")] = 3600.0,
    wait: Annotated[bool, typer.Option(help="Wait for its end.")] = True,
    json_: Json = False,
) -> None:
    """Run a notebook by papermill; what it packages is registered."""
    from taxiway.control import agent_process, desired, retraining, views
    from taxiway.control.ledger import actor, ledger, now

    values = {key: _parsed(value) for key, value in parameter or []}
    with ledger().transaction() as session:
        if endpoint:
            desired.get(session, endpoint)
            values.setdefault("endpoint", endpoint)
        row = retraining.request(
            session,
            notebook=notebook.expanduser().absolute(),
            parameters=values,
            endpoint=endpoint,
            trigger="asked for on the command line",
            logical_key=logical_time or now().isoformat(),
            timeout=timeout,
            by=actor("cli"),
        )
    agent_process.start()
    found = next(run for run in views.runs() if run["id"] == row.id)
    shown = None
    while wait and found["state"] in retraining.OPEN:
        time.sleep(0.3)
        found = next(run for run in views.runs() if run["id"] == row.id)
        if found["progress"] and found["progress"] != shown and not json_:
            shown = found["progress"]
            print(f"cell {shown['cell']} of {shown['cells']}", flush=True)
    if json_:
        show.as_json(found)
    if found["state"] == "failed":
        raise RetrainingError(
            f"Run {row.id} failed: {found['error']}.",
            hint=f"Open {found['output'] or 'its log'} to see where.",
        )
    if not json_:
        print(f"run {row.id} {found['state']}, Model {found['model'] or 'none'}, notebook {found['output']}")


@retrain_app.command("list")
def retrain_list(
    endpoint: Annotated[str | None, typer.Argument(help="Only this endpoint's.")] = None, json_: Json = False
) -> None:
    """List runs, newest first."""
    from taxiway.control import views

    rows = views.runs(endpoint)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "RUN": "id",
            "STATE": "state",
            "ENDPOINT": "endpoint",
            "NOTEBOOK": lambda row: Path(row["notebook"]).name,
            "WHY": "trigger",
            "MODEL": "model",
            "ERROR": "error",
        },
        empty="No runs yet. `taxiway retrain run NOTEBOOK` starts one.",
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


@agent_app.command("start")
def agent_start() -> None:
    """Start the agent, and all that should be running."""
    from taxiway.control import agent_process

    state = agent_process.start()
    print(f"The agent runs as process {state.pid}.")


@agent_app.command("stop")
def agent_stop(
    keep_serving: Annotated[bool, typer.Option(help="Leave this machine's endpoints serving.")] = False,
) -> None:
    """Stop the agent and every serving process of this machine; `start` brings them back."""
    from taxiway.control import agent_process

    agent_process.stop(keep_serving=keep_serving)
    print("The agent has stopped." if keep_serving else "The agent and all serving processes have stopped.")


@agent_app.command("status")
def agent_status(json_: Json = False) -> None:
    """Tell what the agent does now."""
    from taxiway.control import views

    state = views.agent()
    if json_:
        return show.as_json(state)
    if state["running"]:
        print(
            f"The agent runs as process {state['pid']} since {show.local_time(state['since'])}: {state['doing']}."
        )
    else:
        print("No agent is running. `taxiway agent start` starts it.")
    return None


@app.command()
def doctor(json_: Json = False) -> None:
    """Check this machine; name each missing thing and the command that mends it."""
    from taxiway.cli.doctor import examine

    findings = examine()
    if json_:
        show.as_json(findings)
    else:
        show.table(
            findings,
            {
                "CHECK": "name",
                "RESULT": lambda row: "passed" if row["ok"] else "failed",
                "FOUND": "found",
                "WHAT TO DO": "remedy",
            },
            empty="Nothing was checked.",
        )
    if not all(finding["ok"] for finding in findings):
        raise typer.Exit(1)


def _endpoint(name: str) -> Any:
    from taxiway.control import desired
    from taxiway.control.endpoint import Endpoint
    from taxiway.control.ledger import ledger

    with ledger().reading() as session:
        desired.get(session, name)
    return Endpoint(name, channel="cli")


def _preflight(summary: dict[str, Any]) -> str:
    if summary["ok"]:
        return "passed" if not summary["waived"] else f"{summary['waived']} waived"
    return f"{summary['failed']} failed"


def _read(path: Path) -> Any:
    import sys

    import pandas as pd

    if str(path) == "-":
        return pd.read_csv(sys.stdin)
    if not path.is_file():
        raise InputError(f"There is no file at {path}.", hint="Give the path of a CSV, JSON or Parquet file.")
    readers = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}
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


def _parsed(value: str) -> Any:
    """Read a parameter as JSON where it is (numbers, true, null, lists), else as text."""
    try:
        return json.loads(value)
    except ValueError:
        return value
