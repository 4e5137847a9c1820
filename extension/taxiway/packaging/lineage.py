"""Where a Model comes from: notebook, executed cells, git commit, data and retraining run."""

from __future__ import annotations

import json
import os
from pathlib import Path

from taxiway.packaging import notebook
from taxiway.packaging.git import tree_of
from taxiway.packaging.manifest import Lineage


def trace(data_digest: str) -> Lineage:
    """Record the notebook and its cells as far as they are known, the git commit, and the run in progress.

    Parameters
    ----------
    data_digest
        Of the reference and its target.
    """
    path, cells = notebook.path(), notebook.cells()
    tree = tree_of(path.parent if path is not None else Path.cwd())
    run = os.environ.get("TAXIWAY_RUN_DIR")
    return Lineage(
        notebook=None if path is None else str(path),
        cells=None if cells is None else cells.count,
        cells_digest=None if cells is None else cells.digest,
        git_commit=None if tree is None else tree.commit,
        git_dirty=None if tree is None else tree.dirty,
        data_digest=data_digest,
        run=Path(run).name if run else None,
    )


def report(tag: str) -> None:
    """Tell the retraining run in progress, if there is one, which Model it has packaged."""
    run = os.environ.get("TAXIWAY_RUN_DIR")
    if run:
        with (Path(run) / "packaged.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"model": tag}) + "\n")
