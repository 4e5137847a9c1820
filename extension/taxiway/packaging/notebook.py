"""The notebook that this process runs, if it does: where it lies, and a digest of the cells executed so far.

The cells' text itself is never kept.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.packaging import digest


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells that were executed in this session, in order, the one that is running among them.

    Parameters
    ----------
    count
        How many; a cell that was executed twice counts twice.
    digest
        SHA-256 of the JSON list of their texts, as they were typed.
    """

    count: int
    digest: str


def path() -> Path | None:
    """Give the notebook's file, if Jupyter, VS Code or a retraining run names it."""
    for named in (
        getattr(sys.modules["__main__"], "__vsc_ipynb_file__", None),
        os.environ.get("JPY_SESSION_NAME"),
        _retrained(),
    ):
        if isinstance(named, str) and named.endswith(".ipynb") and Path(named).is_file():
            return Path(named)
    return None


def cells() -> Cells | None:
    """Give the executed cells; None outside of IPython."""
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return None
    history = getattr(shell, "history_manager", None)
    # as typed, before IPython rewrites magics; the first entry stands for no cell
    texts = list(shell.user_ns.get("In", ()) if history is None else history.input_hist_raw)[1:]
    content = json.dumps(texts, separators=(",", ":"), ensure_ascii=False)
    return Cells(len(texts), digest.of_bytes(content.encode(errors="surrogatepass")))


def _retrained() -> str | None:
    """Give the notebook of the retraining run in progress; papermill tells its kernel nothing of it."""
    run = os.environ.get("TAXIWAY_RUN_DIR")
    if not run:
        return None
    try:
        named = json.loads((Path(run) / "run.json").read_text(encoding="utf-8"))["notebook"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return named if isinstance(named, str) else None
