"""Bringing the shipped prediction log from a store into the endpoint's spool folder: each segment once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from taxiway.serving.losses import FOLDER as LOSSES
from taxiway.serving.spool import SUFFIX

JOURNAL = ".collected"
_STAGED = ".staged"
_JOURNAL_BYTES = 4 * 2**20


class Shelf(Protocol):
    """Where the objects of one endpoint's prediction log are."""

    def names(self) -> Iterable[str]:
        """Name all objects, as paths below the shelf."""
        ...

    def read(self, name: str) -> bytes | None:
        """Give an object's content; None where it is gone."""
        ...

    def delete(self, names: list[str]) -> None:
        """Remove objects; those that are gone do not matter."""
        ...


def collect(shelf: Shelf, folder: Path) -> int:
    """Bring every object of a prediction log, and remove it there; give the number of segments.

    A segment is staged, its name is written into a journal, and only then it gets the name that the monitor
    reads: killed at any moment, it is neither lost nor read twice, even when it is shipped again.
    """
    names = sorted(shelf.names())
    if not names:
        return 0
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    journal = Journal(folder / JOURNAL)
    count, done = 0, []
    for given in names:
        name = PurePosixPath(given)
        target = folder / name
        if ".." in name.parts or name.is_absolute():
            continue
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        staged = target.with_name(f".{target.name}{_STAGED}")
        if target.parent.name == LOSSES:  # it grows: the newest holds
            if _download(shelf, given, staged):
                staged.replace(target)
            continue
        if str(name) in journal:
            if staged.exists():
                staged.replace(target)
                count += target.suffix == SUFFIX
        elif _download(shelf, given, staged):
            journal.add(str(name))
            staged.replace(target)
            count += target.suffix == SUFFIX
        done.append(given)
    shelf.delete(done)
    return count


class Journal:
    """The names of what was brought, in two files of which the older one is let go of.

    Parameters
    ----------
    path
        The newer file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._names = {
            line for one in (self._older, path) if one.exists() for line in one.read_text().split("\n")
        }
        if path.exists() and path.stat().st_size > _JOURNAL_BYTES:
            path.replace(self._older)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Write a name down, for good."""
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(file, "w") as stream:
            stream.write(f"{name}\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._names.add(name)


def _download(shelf: Shelf, name: str, staged: Path) -> bool:
    content = shelf.read(name)
    if content is None:
        return False
    file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return True
