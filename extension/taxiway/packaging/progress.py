"""Where long work says how far it is, unless it is told otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable


def default() -> Callable[[object], None]:
    """Print in a notebook or at a prompt; say nothing in a program."""
    ipython = sys.modules.get("IPython")
    interactive = hasattr(sys, "ps1") or (ipython is not None and ipython.get_ipython() is not None)
    return print if interactive else _silent


def _silent(_: object) -> None:
    return None
