"""The command line: ``taxiway …``; every reading command takes ``--json``."""

from __future__ import annotations

import sys

from taxiway.errors import TaxiwayError


def main() -> None:
    """Run a command; a user's mistake ends in two lines, not in a traceback."""
    from taxiway.cli.commands import app

    try:
        app(join_pairs(sys.argv[1:]))
    except TaxiwayError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        raise SystemExit(1) from None


def join_pairs(arguments: list[str]) -> list[str]:
    """Write papermill's ``-p KEY VALUE`` as ``-p KEY=VALUE``, since Typer has no repeated pairs."""
    joined: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        joined.append(argument)
        if argument in ("-p", "--parameter"):
            key = next(rest, None)
            value = None if key is None or "=" in key else next(rest, None)
            joined += [part for part in [key if value is None else f"{key}={value}"] if part is not None]
    return joined
