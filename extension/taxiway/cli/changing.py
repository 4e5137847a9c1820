"""Changing what is live: shadow, promote, rollback, retraining."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from taxiway.cli import show
from taxiway.cli.app import EndpointName, Json, Tag, app, read_pair, retrain_app, shadow_app
from taxiway.errors import InputError, RetrainingError


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


def _endpoint(name: str) -> Any:
    from taxiway.control import desired
    from taxiway.control.endpoint import Endpoint
    from taxiway.control.ledger import ledger

    with ledger().reading() as session:
        desired.get(session, name)
    return Endpoint(name, channel="cli")


@retrain_app.command("run")
def retrain_run(
    notebook: Annotated[Path, typer.Argument(help="The notebook to execute.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="A parameter; repeatable.", metavar="K V")
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

    if not notebook.expanduser().is_file():
        raise InputError(f"There is no notebook at {notebook}.", hint="Give the path of an .ipynb file.")
    values = dict(read_pair(pair) for pair in parameter or [])
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
        agent_process.start()  # does nothing while one runs
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
