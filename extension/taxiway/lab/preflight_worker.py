"""``python -m taxiway.lab.preflight_worker NAME:VERSION``: a preflight, told as JSON lines.

A process of its own, so that a long replay neither blocks the server's event loop nor outlives its Cancel:
an interrupt ends it, and all that it started.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict

from taxiway.errors import TaxiwayError


def main(tag: str) -> None:
    """Run the preflight of a stored Model."""
    from taxiway.packaging import registry

    try:
        found = registry.load(tag).preflight(_tell_progress)
    except TaxiwayError as error:
        _tell("failure", {"error": error.message, "hint": error.hint})
    else:
        _tell("done", found.to_dict())


def _tell_progress(what: object) -> None:
    _tell("stage", what) if isinstance(what, str) else _tell("check", asdict(what))  # type: ignore[call-overload]


def _tell(kind: str, what: object) -> None:
    print(json.dumps({kind: what}), flush=True)


if __name__ == "__main__":
    # a Jupyter that was started in the background of a script has its children ignore interrupts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(sys.argv[1])
