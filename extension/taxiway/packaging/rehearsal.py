"""A Bento served by its own source in an environment of its own, on a Unix socket that only we know.

Nothing of this process reaches it: not its variables, not its folder, not its modules. It is driven as an
endpoint's master drives it, so it leaves by itself should this process be killed.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from taxiway.errors import PackagingError
from taxiway.packaging import processes

START_SECONDS = 180.0
ANSWER_SECONDS = 60.0
_PREFIX = "taxiway-replay-"
_LOCK = "lock"
_LONGEST_PATH = 90  # a Unix socket's path may have some hundred characters
_AGAIN = "Package the model again; if it stays so, report it to Taxiway."


class Rehearsal:
    """A serving process that is ready.

    Attributes
    ----------
    seconds
        How long it took to start.
    """

    def __init__(self, child: processes.Child, path: str, seconds: float) -> None:
        self.seconds = seconds
        self._child = child
        self._http = _Connection(path)

    def predict(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give the predictions for rows, as its HTTP answer has them.

        Raises
        ------
        PackagingError
            It refused them, or died.
        """
        body = json.dumps({"records": list(records)})
        try:
            self._http.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = self._http.getresponse()
            answer = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = _last_line(self._child.log()) or type(error).__name__
            raise PackagingError(f"The Bento did not answer: {reason}.", hint=_AGAIN) from error
        if response.status != 200:
            raise PackagingError(
                f"The Bento refused the sample: {str(answer.get('error')).rstrip('.')}.",
                hint=answer.get("hint") or _AGAIN,
            )
        predictions: list[dict[str, Any]] = answer["predictions"]
        return predictions

    def close(self) -> None:
        """Close the connection to it."""
        self._http.close()

    def memory(self) -> int:
        """Give its resident memory in bytes."""
        import psutil

        return int(psutil.Process(self._child.pid).memory_info().rss)


@contextmanager
def rehearse(python: Path | str, source: Path, files: Path) -> Iterator[Rehearsal]:
    """Start a serving process, give it when it is ready, and end it for sure.

    Parameters
    ----------
    python
        The interpreter.
    source
        The only folder, besides the interpreter's own, that modules come from.
    files
        The Model's folder.

    Raises
    ------
    PackagingError
        It did not get ready.
    """
    with _folder() as folder, _line() as (ours, theirs):
        path = str(folder / "s")
        command = [str(python), "-m", "taxiway.serving", "--controlled", "--model", str(files)]
        # a shadow leaves when its master dies, as this one should; what is live serves on
        command += ["--role", "shadow", "--spool", str(folder / "spool"), "--uds", path]
        begun = time.monotonic()
        with processes.started(
            command, env=_variables(folder, source), cwd=folder, stdin=theirs.fileno()
        ) as child:
            theirs.close()
            _await(ours, child, "ready", START_SECONDS)
            ours.sendall(b"accept\n")
            _await(ours, child, "accepting", ANSWER_SECONDS)
            with closing(Rehearsal(child, path, time.monotonic() - begun)) as rehearsal:
                yield rehearsal


def _variables(folder: Path, source: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(source),
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def _folder() -> Iterator[Path]:
    where = tempfile.gettempdir()
    if len(where) >= _LONGEST_PATH - 30:
        where = "/tmp"  # noqa: S108
    _sweep(Path(where))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where, ignore_cleanup_errors=True) as folder:
        mine = Path(folder) / "lock.new"
        with mine.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            mine.rename(Path(folder) / _LOCK)
            yield Path(folder)


def _sweep(root: Path) -> None:
    """Remove the folders of those that were killed: whoever lives holds the lock in its own."""
    for folder in root.glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _await(line: socket.socket, child: processes.Child, event: str, seconds: float) -> None:
    """Wait until the process says ``event``; when it ends, the line does."""
    line.settimeout(seconds)
    told = b""
    try:
        while event.encode() not in told:
            part = line.recv(4096)
            if not part:
                child.wait(ANSWER_SECONDS)
                reason = _last_line(child.log()) or "it gave no reason"
                raise PackagingError(f"The Bento did not start: {reason}.", hint=_AGAIN)
            told += part
    except (TimeoutError, ConnectionError) as error:
        reason = _last_line(child.log())
        raise PackagingError(
            f"The Bento did not start within {seconds:g} s{f': {reason}' if reason else ''}.",
            hint="Look at the machine's load, and try again.",
        ) from error


def _last_line(log: str) -> str:
    """Give the last line of a log, without the time and the process that stand before the message."""
    lines = log.splitlines()
    _, found, message = (lines[-1] if lines else "").partition("] ")
    return (message if found else "".join(lines[-1:])).strip().rstrip(".")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
