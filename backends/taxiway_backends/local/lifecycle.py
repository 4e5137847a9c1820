"""Starting an endpoint's master, and ending every process of an endpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from taxiway.errors import BackendError
from taxiway_backends.local.orphans import find_orphans
from taxiway_backends.local.rundir import RunDir

START_SECONDS = 5.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.005

_servers: dict[Path, ForkServer] = {}  # of this process, by home


class ForkServer:
    """A process that forks masters, each in a few milliseconds; it is started again if it was killed.

    Parameters
    ----------
    home
        The folder under which all state lies.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line = -1

    def begin(self) -> None:
        """Start it, unless it runs."""
        with self._lock:
            self._begun()

    def ask(self, directory: RunDir) -> subprocess.Popen[bytes] | None:
        """Ask for the master of an endpoint; give the process that was asked, None if none takes requests."""
        with self._lock:
            try:
                process = self._begun()
                os.write(self._line, json.dumps(str(directory.path)).encode() + b"\n")
            except OSError:
                return None
        return process

    def end(self) -> None:
        """End it at once, as one that does not do what it is asked."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            os.close(self._line)
            self._process = None

    def _begun(self) -> subprocess.Popen[bytes]:
        """Give it, after starting it where it does not run."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            theirs, self._line = os.pipe()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "taxiway_backends.local.forkserver"],
                    stdin=theirs,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env=_environment(self._home),
                    cwd="/",
                )
            except OSError:
                os.close(self._line)
                raise
            finally:
                os.close(theirs)
        return self._process


def fork_server(home: Path) -> ForkServer:
    """Give this process's fork server of a home, which all endpoints there share."""
    return _servers.setdefault(home, ForkServer(home))  # one, though several threads ask at once


def start_master(directory: RunDir, home: Path, forks: ForkServer | None = None) -> None:
    """Start the master in a session of its own, and wait until it holds its lock.

    Parameters
    ----------
    forks
        Forks it; without one, or where that does not, it is a new process.

    Raises
    ------
    BackendError
        This machine starts no process.
    """
    if forks is not None and (server := forks.ask(directory)) is not None:
        if _holds_its_lock(directory, server):
            return
        if server.poll() is None:  # it hangs
            forks.end()
    _holds_its_lock(directory, _spawn_master(directory, home))


def _holds_its_lock(directory: RunDir, starter: subprocess.Popen[bytes]) -> bool:
    """Wait for a master, as long as what starts it lives; tell whether it came."""
    deadline = time.monotonic() + START_SECONDS
    while starter.poll() is None and time.monotonic() < deadline:
        if directory.master_pid() is not None:
            return True
        time.sleep(LOOK_SECONDS)
    return directory.master_pid() is not None


def _spawn_master(directory: RunDir, home: Path) -> subprocess.Popen[bytes]:
    log = directory.open_log()
    try:
        process = subprocess.Popen(
            # -P: a file of the notebook's folder must not stand in for a module of the same name.
            [sys.executable, "-P", "-m", "taxiway_backends.local.master", str(directory.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_environment(home),
        )
    except OSError as error:
        raise BackendError(
            f"The master of {directory.path.name} cannot be started: {error.strerror or error}.",
            hint="End processes that are not needed, or free memory.",
        ) from error
    finally:
        os.close(log)
    # Collected when it ends; nobody waits for it.
    threading.Thread(target=process.wait, name="taxiway-master", daemon=True).start()
    return process


def _environment(home: Path) -> dict[str, str]:
    paths = [
        str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path
    ]
    return {
        **os.environ,
        "TAXIWAY_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }


def stop_processes(directory: RunDir) -> None:
    """End the master, its serving processes and orphans: gracefully for a while, then at once."""
    deadline = time.monotonic() + STOP_SECONDS
    told = None
    while (pid := directory.master_pid()) is not None:
        late = time.monotonic() > deadline
        try:
            if late or pid != told:
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                told = pid
        except ProcessLookupError:
            break
        time.sleep(0.02)
    while orphans := find_orphans(directory.spool):
        for orphan in orphans:
            orphan.send(
                signal.SIGKILL if time.monotonic() > deadline or orphan.role == "shadow" else signal.SIGTERM
            )
        time.sleep(0.1)
