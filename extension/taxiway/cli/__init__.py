"""The command line: ``taxiway …``; every reading command takes ``--json``."""

from __future__ import annotations

import sys

from taxiway.errors import TaxiwayError


def main() -> None:
    """Run a command; a user's mistake ends in two lines, not in a traceback."""
    from taxiway.cli.commands import app

    try:
        app()
    except TaxiwayError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        raise SystemExit(1) from None
