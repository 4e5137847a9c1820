"""``python -m taxiway.lab.profile_worker``: reads whylogs profiles for Jupyter's server, which must not.

A process of its own: whylogs takes seconds to import, and a file from anywhere may make a native library
crash or ask for all memory. Takes one JSON line for a question and gives one for its answer.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from taxiway.errors import CorruptionError, InputError, NotFoundError, TaxiwayError
from taxiway.lab.wire import encode

MOST_MEMORY = 4 * 2**30
KINDS: dict[str, type[TaxiwayError]] = {kind.__name__: kind for kind in (NotFoundError, InputError)}
HINT = "Only profiles that whylogs or Taxiway wrote can be shown here."
TORN_HINT = "It may have been cut off on its way: copy it again, or profile the data again."


def ready() -> object:
    """Import what takes seconds, before it is needed."""
    import pandas as pd

    from taxiway.control import column_detail  # noqa: F401 - the ledger's imports take their time too
    from taxiway.monitoring import distributions, profiles

    return len(distributions.picture(profiles.profile(pd.DataFrame({"x": [0.0, 1.0]}))).columns) == 1


def column(endpoint: str, column: str, window: str | None, model: str | None) -> object:
    """Give one column of an endpoint in one window."""
    from taxiway.control.column_detail import column_detail

    return column_detail(endpoint, column, window, model)


def history(endpoint: str, column: str) -> object:
    """Give one column of an endpoint in every window."""
    from taxiway.control.column_detail import column_history

    return column_history(endpoint, column)


def profile(path: str, name: str) -> object:
    """Give all that is shown of a profile."""
    from taxiway.monitoring.distributions import picture

    found = asdict(picture(_read(path, name)))
    return found | {key: _iso(found[key]) for key in ("time", "created")}


def comparison(left: str, left_name: str, right: str, right_name: str) -> object:
    """Give two profiles side by side; ``left`` is a file, or a Model (``model:NAME:VERSION``)."""
    from taxiway.monitoring.distributions import compare
    from taxiway.packaging import registry

    if left.startswith("model:"):
        left = str(registry.load(left.removeprefix("model:")).path / "reference.bin")
    pairs = compare(_read(left, left_name), _read(right, right_name))
    return {"columns": [asdict(pair) for pair in pairs]}


def _read(path: str, name: str) -> Any:
    from taxiway.monitoring import profiles

    with Path(path).open("rb") as file:
        start = file.read(4)
    if start != b"WHY1":
        told = "is no whylogs profile" if start else "is empty"
        raise InputError(f"`{name}` {told}.", hint=HINT)
    try:
        return profiles.read(Path(path))
    except CorruptionError as error:
        raise InputError(f"`{name}` is not a whole whylogs profile.", hint=TORN_HINT) from error
    except MemoryError as error:
        told = f"`{name}` needs more than {MOST_MEMORY / 2**30:.0f} GiB of memory"
        raise InputError(f"{told}, and is not shown here.", hint=TORN_HINT) from error


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


ASKED: dict[str, Callable[..., object]] = {
    "ready": ready,
    "column": column,
    "history": history,
    "profile": profile,
    "comparison": comparison,
}


def answer(line: str) -> str:
    """Answer one question."""
    question = json.loads(line)
    try:
        return encode({"answer": ASKED[question["ask"]](**question["with"])})
    except TaxiwayError as error:
        kind = next((name for name, one in KINDS.items() if isinstance(error, one)), "TaxiwayError")
        return encode({"failure": {"kind": kind, "error": error.message, "hint": error.hint}})
    except Exception as error:  # noqa: BLE001  a broken profile makes whylogs raise almost anything
        told = f"It could not be read: {type(error).__name__}: {str(error)[:200]}"
        return encode({"failure": {"kind": "TaxiwayError", "error": told, "hint": ""}})


def main() -> None:
    """Answer until nobody asks any more."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        answers.write(answer(line) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
