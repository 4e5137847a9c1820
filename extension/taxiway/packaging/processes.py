"""A child process that is ended for sure, with all that it started, however its user leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


class Child:
    """A running child; what it writes is kept in a log."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; give its exit status, or None if it has not ended in time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def log(self) -> str:
        """Give what it has written so far."""
        handle = self._log.fileno()
        # not by seeking: the child writes at the same position
        return os.pread(handle, os.fstat(handle).st_size, 0).decode("utf-8", "replace").strip()


@contextmanager
def started(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Child]:
    """Start a command in a process group of its own, and kill the group at the end."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=stdin, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield Child(process, log)
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
