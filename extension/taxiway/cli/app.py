"""The command line's tree: one Typer application, and a group for each noun."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from taxiway.errors import InputError

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


def read_pair(pair: str) -> tuple[str, Any]:
    """Read ``KEY=VALUE``; the value as JSON where it is (numbers, true, null, lists), else as text."""
    key, equals, value = pair.partition("=")
    if not equals or not key.isidentifier():
        raise InputError(f"{pair!r} is not a parameter.", hint="Give a name and a value: seed=1.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
