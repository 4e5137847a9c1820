"""The folder of one endpoint: what should run (``spec.json``) and what does (``status.json``).

The back end writes the spec and reads the status; the master does the opposite. Both files are
replaced at once, so that neither is ever seen half-written, and belong to their owner alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from taxiway.errors import BackendError, CorruptionError
from taxiway_backends.local.spec import Spec

CHANGE_SECONDS = 30.0
LOOK_SECONDS = 0.02
YOUNG_SECONDS = 1.0


class _Replaced:
    """A JSON file that is always replaced as a whole, and read only where it was: who watches looks often.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state: tuple[int, ...] = ()
        self._content: dict[str, Any] | None = None

    def read(self) -> dict[str, Any] | None:
        """Give what ``read_json`` does; it is not to be changed."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        state = found.st_ino, found.st_size, found.st_mtime_ns
        # Of two that came within one tick of the file system's clock, the second may look like the first.
        young = abs(time.time() - found.st_mtime) < YOUNG_SECONDS
        if young or state != self._state:
            self._state, self._content = state, read_json(self.path)
        return self._content


class RunDir:
    """One endpoint's folder.

    Parameters
    ----------
    path
        ``home/run/local/<endpoint>``.

    Attributes
    ----------
    spool
        Where the serving processes write the prediction log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spool = path / "spool"
        self._lock = path / "master.lock"
        self._spec, self._status = _Replaced(path / "spec.json"), _Replaced(path / "status.json")

    @property
    def token_hash(self) -> Path:
        """Where the serving processes find the hash of the token to ask for."""
        return self.path / "token.sha256"

    @property
    def bake(self) -> Path:
        """What is being watched, or was taken back."""
        return self.path / "bake.json"

    @property
    def log(self) -> Path:
        """What the master and the serving processes say."""
        return self.path / "master.log"

    def open_log(self) -> int:
        """Open the log to write at its end, for its owner only."""
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def make(self) -> None:
        """Make the folder for its owner only."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        self.spool.mkdir(exist_ok=True, mode=0o700)

    def read_spec(self) -> Spec | None:
        """Give the spec, or None where there is none.

        Raises
        ------
        CorruptionError
            There is one that says nothing, as a machine that lost its power leaves it.
        """
        path = self._spec.path
        data = self._spec.read()
        if data is None and path.exists() and (data := read_json(path)) is None:  # it may have come meanwhile
            raise CorruptionError(
                f"{path} cannot be read.", hint="Apply the endpoint again: it is rewritten."
            )
        return None if data is None else Spec.from_dict(data)

    def usable_spec(self) -> Spec | None:
        """Give the spec, or None where there is none that can be read."""
        try:
            return self.read_spec()
        except CorruptionError:
            return None

    def write_spec(self, spec: Spec) -> None:
        """Replace the spec, and the hash of the token beside it."""
        _replace(self.token_hash, spec.token_hash)
        write_json(self._spec.path, asdict(spec))

    def read_status(self) -> dict[str, Any]:
        """Give the master's last status; empty where there is none."""
        return self._status.read() or {}

    def write_status(self, status: dict[str, Any]) -> None:
        """Replace the status."""
        write_json(self._status.path, status)

    def try_lock(self) -> int | None:
        """Take the master's lock, write this process's id into it, and give the file; None if it is taken."""
        file = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        return file

    def master_pid(self) -> int | None:
        """Give the id of the living master: the one that holds the lock."""
        try:
            file = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            # Shared, so that two who look do not see each other.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(file, 32)
            return int(text) if text.isdigit() else None
        finally:
            os.close(file)
        return None

    @contextmanager
    def changing(self, seconds: float = CHANGE_SECONDS) -> Iterator[None]:
        """Hold off everyone else who would change the spec.

        Parameters
        ----------
        seconds
            The longest to wait for another who does; ending an endpoint takes the most, about ten.

        Raises
        ------
        BackendError
            Another has not come to an end: it is frozen, perhaps.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Beside the folder, so that it outlives the folder's removal.
        place = self.path.with_name(f".{self.path.name}.lock")
        file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + seconds
            while not _locked(file):
                if time.monotonic() > deadline:
                    pid = os.pread(file, 32, 0).decode()
                    raise BackendError(
                        f"The endpoint {self.path.name} is being changed by {_named(pid)}, and has been for"
                        f" {seconds:.0f} s.",
                        hint=f"If it is frozen, let it go on (kill -CONT {pid}), or end it (kill -9 {pid}).",
                    )
                time.sleep(LOOK_SECONDS)
            os.ftruncate(file, 0)
            with contextlib.suppress(OSError):  # a full disk keeps nobody from changing
                os.write(file, str(os.getpid()).encode())
            yield
        finally:
            os.close(file)

    def remove(self) -> None:
        """Remove everything but what the spool still holds."""
        if not self.path.is_dir():
            return
        for entry in self.path.iterdir():
            if entry.name == "spool":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        for folder in (self.spool, self.path):
            try:
                folder.rmdir()
            except OSError:
                return


def _named(pid: str) -> str:
    """Name a process and what it does."""
    try:
        process = psutil.Process(int(pid))
        words = " ".join(" ".join(process.cmdline()).split())
        return f"process {pid} ({words[:80]}; {process.status()})"
    except (ValueError, psutil.Error):
        return f"process {pid or 'unknown'}"


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_json(path: Path) -> dict[str, Any] | None:
    """Give a file's content, or None where there is no file, or one that was torn."""
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return data


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a file at once, for its owner only."""
    _replace(path, json.dumps(content, indent=1))


def _replace(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "w") as stream:
            stream.write(text)
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)  # a full disk has no room for halves
        raise
