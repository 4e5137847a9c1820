"""The state of a git work tree: which commit, and whether anything in it was changed since."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tree:
    """A work tree.

    Parameters
    ----------
    commit
        What is checked out; None before the first commit.
    dirty
        Whether a file was changed, added or removed since.
    """

    commit: str | None
    dirty: bool


def tree_of(folder: Path) -> Tree | None:
    """Give the state of the work tree that a folder lies in; None if it is in none, or git does not say."""
    tool = shutil.which("git")
    if tool is None:
        return None
    # no lock is taken, and no file monitor is started
    command = [
        tool,
        "--no-optional-locks",
        "-c",
        "core.fsmonitor=false",
        "status",
        "--porcelain=v2",
        "--branch",
    ]
    try:
        answer = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=True
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    lines = answer.splitlines()
    heads = [line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")]
    commit = heads[0] if heads and heads[0] != "(initial)" else None
    return Tree(commit, any(not line.startswith("#") for line in lines))
