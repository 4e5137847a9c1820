"""The command line's tree: one Typer application, and a group for each noun."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="taxiway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From a notebook cell to production, and right once there.",
)
models_app = typer.Typer(no_args_is_help=True, help="The Models that have been packaged.")
endpoints_app = typer.Typer(no_args_is_help=True, help="Where Models answer.")
shadow_app = typer.Typer(no_args_is_help=True, help="A candidate that sees live traffic and never answers.")
retrain_app = typer.Typer(no_args_is_help=True, help="Retraining notebooks.")
agent_app = typer.Typer(no_args_is_help=True, help="The process that does the work.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EndpointName = Annotated[str, typer.Argument(help="The endpoint's name.", metavar="ENDPOINT")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Tag = Annotated[str, typer.Argument(help="NAME (the newest), NAME:VERSION or NAME:TAG.", metavar="MODEL")]
