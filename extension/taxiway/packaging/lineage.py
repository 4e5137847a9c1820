"""Where a Model comes from: notebook, git commit, data and retraining run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from taxiway.packaging.manifest import Lineage


def trace(data_digest: str) -> Lineage:
    """Record the notebook (if Jupyter or VS Code names it), the git commit, and the run in progress."""
    notebook = _notebook()
    commit, dirty = _git(notebook.parent if notebook is not None else Path.cwd())
    run = os.environ.get("TAXIWAY_RUN_DIR")
    return Lineage(
        notebook=None if notebook is None else str(notebook),
        git_commit=commit,
        git_dirty=dirty,
        data_digest=data_digest,
        run=Path(run).name if run else None,
    )


def report(tag: str) -> None:
    """Tell the retraining run in progress, if there is one, which Model it has packaged."""
    run = os.environ.get("TAXIWAY_RUN_DIR")
    if run:
        with (Path(run) / "packaged.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"model": tag}) + "\n")


def _notebook() -> Path | None:
    import __main__

    named = getattr(__main__, "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME")
    if not named:
        return None
    path = Path(named)
    return path if path.suffix == ".ipynb" and path.is_file() else None


def _git(folder: Path) -> tuple[str | None, bool | None]:
    """Give the commit of a folder, and whether its work tree is dirty."""
    tool = shutil.which("git")
    if tool is None:
        return None, None
    try:
        answers = [
            subprocess.run(
                [tool, "--no-optional-locks", *words],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None, None
    return answers[0], bool(answers[1])
