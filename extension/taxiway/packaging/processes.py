"""A child process that is ended for sure, with all that it started, however its user leaves.

Only a user that is killed cannot end it; one that is noted in a file is then ended by whoever finds that.
"""

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
    note: Path | None = None,
) -> Iterator[Child]:
    """Start a command in a process group of its own, and kill the group at the end.

    Parameters
    ----------
    note
        The file that ``end_noted`` finds the process by, if this process is killed.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=stdin, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if note is not None:
                note.write_text(f"{process.pid} {_born(process.pid)}", encoding="utf-8")
            yield Child(process, log)
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def end_noted(note: Path) -> None:
    """Kill the group of a process that its user, which was killed, could not end; without one do nothing."""
    try:
        pid, born = note.read_text(encoding="utf-8").split()
        # a number is given again: the time tells that it is still the same process
        if str(_born(int(pid))) == born:
            os.killpg(int(pid), signal.SIGKILL)
    except (OSError, ValueError):
        return


def _born(pid: int) -> float | None:
    """Give when a process was started; None if it is gone."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
