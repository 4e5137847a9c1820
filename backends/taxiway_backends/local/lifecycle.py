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

    def ask(self, directory: RunDir) -> bool:
        """Ask for the master of an endpoint; tell whether the request was taken."""
        with self._lock:
            try:
                os.write(self._begun(), json.dumps(str(directory.path)).encode() + b"\n")
            except OSError:
                return False
        return True

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

    def _begun(self) -> int:
        """Give the line to it, after starting it where it does not run."""
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
        return self._line


def fork_server(home: Path) -> ForkServer:
    """Give this process's fork server of a home, which all endpoints there share."""
    return _servers.setdefault(home, ForkServer(home))  # one, though several threads ask at once


def start_master(directory: RunDir, home: Path, forks: ForkServer | None = None) -> None:
    """Start the master in a session of its own, and wait until it holds its lock.

    Parameters
    ----------
    forks
        Forks it; without one, or where that takes no requests, it is a new process.
    """
    process = None if forks is not None and forks.ask(directory) else _spawn_master(directory, home)
    deadline = time.monotonic() + START_SECONDS
    while directory.master_pid() is None and time.monotonic() < deadline:
        if process is not None and process.returncode is not None:
            return
        time.sleep(LOOK_SECONDS)
    if forks is not None and directory.master_pid() is None:
        forks.end()  # it hangs; the next try begins another


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
