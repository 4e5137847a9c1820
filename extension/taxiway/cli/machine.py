"""Of this machine: the demo, the agent, the doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from taxiway.cli import show
from taxiway.cli.app import Json, agent_app, app


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
        since = show.local_time(state["since"])
        print(f"The agent runs as process {state['pid']} since {since}: {state['doing']}.")
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
