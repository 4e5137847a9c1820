"""Starting an endpoint's master, and ending every process of an endpoint."""

from __future__ import annotations

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


def start_master(directory: RunDir, home: Path) -> None:
    """Start the master in a session of its own, and wait until it holds its lock."""
    paths = [
        str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path
    ]
    environment = {
        **os.environ,
        "TAXIWAY_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    log = os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            # -P: a file of the notebook's folder must not stand in for a module of the same name.
            [sys.executable, "-P", "-m", "taxiway_backends.local.master", str(directory.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
        )
    finally:
        os.close(log)
    # Collected when it ends; nobody waits for it.
    threading.Thread(target=process.wait, name="taxiway-master", daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while directory.master_pid() is None and process.returncode is None and time.monotonic() < deadline:
        time.sleep(0.01)


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
