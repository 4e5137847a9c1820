"""What could not be written to the prediction log, counted where a monitor finds it: beside the log.

Each writer reserves a page when it starts, while there may still be room, and counts in it through a map:
on a disk that is full by then the count goes on, and it outlives the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = "losses"
_FORM = struct.Struct("<Qdd")
_PAGE = mmap.PAGESIZE
_MARK = 0o400


@dataclass(frozen=True, slots=True)
class Losses:
    """How many records of a spool were lost, and when the first and the last: epoch seconds."""

    count: int
    first: float
    last: float


class LossCounter:
    """Counts the records that one writer could not write.

    Parameters
    ----------
    spool
        The spool's folder.
    name
        Of the writer: no other has it.
    """

    def __init__(self, spool: Path, name: str) -> None:
        self._path = spool / FOLDER / name
        self._page: mmap.mmap | None = None
        self._file = -1
        self._count, self._first = 0, 0.0
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True, mode=0o700)
            hidden = self._path.with_name(f".{self._path.name}.new")
            file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                # Locked before it has its name, so that no reader takes its writer for gone.
                fcntl.flock(file, fcntl.LOCK_EX)
                hidden.rename(self._path)
            except OSError:
                os.close(file)
                hidden.unlink(missing_ok=True)
                raise
            self._file = file
            os.posix_fallocate(self._file, 0, _PAGE)
            self._page = mmap.mmap(self._file, _PAGE)

    def restore(self) -> None:
        """Make the file anew if it was removed; what it counted is in it again with the next loss."""
        if self._file >= 0 and not os.fstat(self._file).st_nlink:
            self._release()
            self._open()

    def add(self) -> None:
        """Count one."""
        now = time.time()
        self._count += 1
        self._first = self._first or now
        if self._page is not None:
            _FORM.pack_into(self._page, 0, self._count, self._first, now)
        elif self._file >= 0:
            # There was no room for a page even: the file's mode and time tell at least that there are some.
            with contextlib.suppress(OSError):
                os.fchmod(self._file, _MARK)
                os.utime(self._file)

    def close(self) -> None:
        """Let go of the page; where nothing was lost, remove it."""
        if self._file >= 0 and not self._count:
            self._path.unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        if self._page is not None:
            self._page.close()
            self._page = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_losses(spool: Path) -> Losses | None:
    """Add up what all writers of a spool have lost; None if nothing."""
    found = [one for path in _files(spool) if (one := _read(path)) is not None]
    if not found:
        return None
    return Losses(
        sum(one.count for one in found), min(one.first for one in found), max(one.last for one in found)
    )


def forget_losses(spool: Path, *, before: float) -> None:
    """Remove the counts of writers that have left and lost nothing since ``before``, in epoch seconds."""
    for path in map(Path, _files(spool)):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            losses = _read(str(path))
            if losses is None or losses.last < before:
                path.unlink()


def _files(spool: Path) -> list[str]:
    """Name the counts of a spool; no ``Path`` of each, for every spool is looked at again and again."""
    try:
        with os.scandir(spool / FOLDER) as entries:
            return [entry.path for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return []


def _read(path: str) -> Losses | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content, state = os.read(file, _FORM.size), os.fstat(file)
    except OSError:
        return None
    finally:
        os.close(file)
    if len(content) == _FORM.size:
        losses = Losses(*_FORM.unpack(content))
        return losses if losses.count else None
    marked = stat.S_IMODE(state.st_mode) == _MARK
    return Losses(1, state.st_mtime, state.st_mtime) if marked else None
