"""A place to write a Model before it is one, safe against a crash and against a second writer.

Each name has a folder under ``store/.staging`` with a lock that is held while one of its Models is
written. Whoever gets the lock of a name may sweep what its folder still holds: its writer is dead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taxiway.settings import settings


@contextmanager
def stage(store: Path, name: str) -> Iterator[Path]:
    """Hold the lock of ``name`` and give an empty folder, on the same file system as the store.

    The folder is removed at the end unless it was renamed away.
    """
    root = store / ".staging"
    _sweep_dead(root, but=name)
    with locked(root / name, wait=True):
        _sweep(root / name)
        folder = Path(tempfile.mkdtemp(prefix="stage-", dir=root / name))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold ``folder``'s lock; without ``wait``, give False if someone else holds it."""
    settings().home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)  # closing gives the lock back


def _sweep_dead(root: Path, *, but: str) -> None:
    if not root.is_dir():
        return
    for folder in root.iterdir():
        if folder.name != but and any(folder.glob("stage-*")):
            with locked(folder, wait=False) as mine:
                if mine:
                    _sweep(folder)


def _sweep(folder: Path) -> None:
    for leftover in folder.glob("stage-*"):
        shutil.rmtree(leftover, ignore_errors=True)
