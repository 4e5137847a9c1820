"""Of this machine: the demo, the agent, the doctor."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from taxiway.cli import show
from taxiway.cli.app import Json, agent_app, app, read_pair


@app.command()
def demo(
    keep: Annotated[bool, typer.Option(help="Leave everything running at the end.")] = True,
    days: Annotated[int, typer.Option(help="Replay only this many days of each year.", min=60)] = 366,
    to: Annotated[str, typer.Option(help="The back end: local; sagemaker and bentocloud bill.")] = "local",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="What only the back end knows, such as role=arn:…")
    ] = None,
) -> None:
    """Take a model of Seattle's weather through every stage, on this machine or in your account."""
    from taxiway.demo import run

    run(keep=keep, days=days, to=to, settings=dict(read_pair(pair) for pair in set_ or []) or None)


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


@agent_app.command("run")
def agent_run(
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait while another agent works, then take over.")
    ] = False,
) -> None:
    """Be the agent, in the foreground, until told to stop."""
    from taxiway.control.agent_process import STANDBY

    flags = [STANDBY] if standby else []
    os.execv(sys.executable, [sys.executable, "-P", "-m", "taxiway.control.agent", *flags])  # noqa: S606


@agent_app.command("status")
def agent_status(json_: Json = False) -> None:
    """Tell what the agent does now, to every endpoint."""
    from dataclasses import asdict

    from taxiway.control import agent_process, service, views

    state = agent_process.status()
    endpoints = [asdict(one) for one in state.endpoints]
    standing_by, unit = agent_process.standing_by(), service.installed()
    if json_:
        more = {
            "host": state.host,
            "standing_by": standing_by,
            "endpoints": endpoints,
            "service": str(unit) if unit else None,
        }
        return show.as_json({**views.agent(), **more})
    if state.running and state.since is not None:
        since, where = show.local_time(state.since.isoformat()), "" if state.here else f" on {state.host}"
        print(f"The agent runs as process {state.pid}{where} since {since}: {state.doing}.")
    else:
        print("No agent is running. `taxiway agent start` starts it.")
    for pid in standing_by:
        print(f"Process {pid} stands by.")
    print(f"It starts with this machine: {unit}." if unit else "It does not start with this machine.")
    if state.running and state.here:
        show.table(
            endpoints,
            {
                "ENDPOINT": "name",
                "DOES": "doing",
                "SINCE": lambda row: show.local_time(row["since"]),
                "NEXT": lambda row: show.local_time(row["due"]) if row["due"] else "now",
                "FAILURES": lambda row: str(row["failures"] or ""),
                "REASON": "reason",
            },
            empty="There is no endpoint to look after.",
        )
    return None


@agent_app.command("install")
def agent_install(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; print what would be.")] = False,
) -> None:
    """Let the agent start with this machine: write its systemd user unit, or launchd agent."""
    from taxiway.control import service

    files = service.files()
    for path, text in files.items():
        if dry_run:
            print(f"# {path}\n{text}")
    if not dry_run:
        service.install(files)
        print("Wrote " + " and ".join(str(path) for path in files) + ".")
    print("To start it now, and with this machine, run:")
    for line in service.start_commands():
        print(f"  {line}")


@agent_app.command("uninstall")
def agent_uninstall() -> None:
    """Take away what `install` wrote."""
    from taxiway.control import service

    removed = service.uninstall()
    print("Removed " + " and ".join(map(str, removed)) + "." if removed else "Nothing was installed.")
    if removed:
        print("If it still runs, end it with:")
        for line in service.stop_commands():
            print(f"  {line}")


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
