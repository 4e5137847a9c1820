"""A bell beside the ledger: who has changed it rings, and the agent looks at once.

It is a hint and no more. Nobody hears it on another machine, or beside a ledger in PostgreSQL, and what
is rung while nobody listens is lost; so the agent looks now and then in any case.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time
from pathlib import Path


class Bell:
    """A named pipe.

    Parameters
    ----------
    path
        Where it lies; None for a bell that nobody hears.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._line: int | None = None

    def ring(self) -> None:
        """Wake who listens; nothing happens if nobody does."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            line = _open(self._path, os.O_WRONLY)
            try:
                os.write(line, b"\0")
            finally:
                os.close(line)

    def listen(self) -> None:
        """Begin to listen; where no pipe can be made, ``wait`` only lets the time pass."""
        if self._path is None or self._line is not None:
            return
        with contextlib.suppress(OSError):  # it may be there
            os.mkfifo(self._path, 0o600)
        with contextlib.suppress(OSError):
            # for reading and writing, so that it never comes to an end when those who ring have left
            self._line = _open(self._path, os.O_RDWR)

    def end(self) -> None:
        """Listen no more and take the pipe away: not everything that copies folders can copy one."""
        if self._path is None or self._line is None:
            return
        os.close(self._line)
        self._line = None
        with contextlib.suppress(OSError):
            self._path.unlink()

    @property
    def is_heard(self) -> bool:
        """Whether ``wait`` ends when it rings."""
        return self._line is not None

    def wait(self, seconds: float) -> None:
        """Wait until it rings, and not longer than that."""
        if self._line is None:
            time.sleep(seconds)
        elif select.select([self._line], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._line, 65536)


def _open(path: Path, flags: int) -> int:
    """Open a pipe; any other file would always be ready to be read, and is not ours to write to."""
    line = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(line).st_mode):
        os.close(line)
        raise OSError(f"{path} is no pipe")
    return line
