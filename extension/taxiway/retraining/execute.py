"""Execute one retraining notebook; the agent starts this module as a process of its own.

``python -m taxiway.retraining.execute RUN_DIR`` reads ``run.json`` and writes ``process.json``, once: a
second process of the same run ends there. Then come ``progress.json``, the executed ``notebook.ipynb`` and,
last of all, ``result.json``. A run directory without a result whose process is gone is a run that was killed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

KERNEL_START_SECONDS = 120


def execute(run_dir: Path) -> bool:
    """Run the notebook that ``run.json`` names.

    Parameters
    ----------
    run_dir
        Holds ``run.json``: ``{"notebook": path, "parameters": {...}}``.

    Returns
    -------
    bool
        Whether every cell ran; also where another process has taken the run, which is that one's.
    """
    if not _take(run_dir / "process.json"):
        return True
    request = json.loads((run_dir / "run.json").read_text())
    notebook = Path(request["notebook"])
    os.environ["TAXIWAY_RUN_DIR"] = str(run_dir)
    part = run_dir / "notebook.part.ipynb"
    try:
        _papermill(notebook, part, request["parameters"], run_dir)
        error = None
    except Exception as problem:  # noqa: BLE001 - whatever ends a notebook ends as a recorded failure
        error = _describe(problem)
    if part.exists():
        part.replace(run_dir / "notebook.ipynb")
    _write(run_dir / "result.json", {"state": "failed" if error else "succeeded", "error": error})
    return error is None


def _papermill(notebook: Path, output: Path, parameters: dict[str, Any], run_dir: Path) -> None:
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.execute import execute_notebook

    class ReportingEngine(NBClientEngine):  # type: ignore[misc]
        """papermill's own engine, which also says which cell it is at."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
            started, total = nb_man.cell_start, len(nb_man.nb.cells)

            def cell_start(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                if cell_index is not None:
                    _write(run_dir / "progress.json", {"cell": cell_index + 1, "cells": total})
                started(cell, cell_index, **more)

            nb_man.cell_start = cell_start
            super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("taxiway", ReportingEngine)
    execute_notebook(
        str(notebook),
        str(output),
        parameters=parameters,
        engine_name="taxiway",
        progress_bar=False,
        start_timeout=KERNEL_START_SECONDS,
        language=_language(notebook),
        cwd=str(notebook.parent),
    )


def _language(notebook: Path) -> str:
    """Which language parameters are written in; a notebook that was never saved by an editor may not say."""
    metadata = json.loads(notebook.read_text(encoding="utf-8")).get("metadata", {})
    named = metadata.get("kernelspec", {}).get("language") or metadata.get("language_info", {}).get("name")
    return str(named or "python")


def _describe(problem: Exception) -> str:
    """Say in one line what ended the run."""
    name = getattr(problem, "ename", type(problem).__name__)
    value = getattr(problem, "evalue", str(problem))
    cell = getattr(problem, "exec_count", None)
    where = f"cell [{cell}]: " if cell else ""
    return f"{where}{name}: {' '.join(str(value).split())}"[:1000]


def _take(path: Path) -> bool:
    """Make the run this process's, unless it is another's, or was: a file is linked to a name only once."""
    mine = path.with_name(f".{path.name}.{os.getpid()}")
    mine.write_text(json.dumps({"pid": os.getpid()}))
    try:
        os.link(mine, path)
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace a file in one step, so that no reader sees half of it."""
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(content))
    aside.replace(path)


if __name__ == "__main__":
    raise SystemExit(0 if execute(Path(sys.argv[1])) else 1)
