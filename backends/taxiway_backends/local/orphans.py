"""Serving processes whose master is gone."""

from __future__ import annotations

import json
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from taxiway.serving.handover import door_of, take_listener

HANDOVER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Orphan:
    """A serving process that no master commands."""

    process: psutil.Process
    role: str
    model: str

    @property
    def alive(self) -> bool:
        """Whether it is running still."""
        try:
            return bool(self.process.is_running()) and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it is gone."""
        try:
            self.process.send_signal(number)
        except psutil.Error:
            return


def find_orphans(spool: Path) -> list[Orphan]:
    """Find every serving process that writes to this spool, whoever started it."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if "taxiway.serving" in command and str(spool) in command:
            found.append(Orphan(process, _argument(command, "--role"), _tag(_argument(command, "--model"))))
    return found


def inherit_listener(orphans: list[Orphan]) -> socket.socket | None:
    """Take over the listening socket that the orphans serve on, with the connections waiting in it.

    The working folder must be the endpoint's, because a socket's path has to be short.
    """
    deadline = time.monotonic() + HANDOVER_SECONDS
    while serving := [orphan for orphan in orphans if orphan.role == "live" and orphan.alive]:
        for orphan in serving:
            try:
                return take_listener(door_of(orphan.process.pid))
            except OSError:
                continue
        if time.monotonic() > deadline:
            break
        # An orphan may be about to notice that it is one; while it starts, it cannot.
        time.sleep(0.02)
    return None


def remove_sockets(folder: Path, orphans: list[Orphan]) -> None:
    """Remove the sockets on which nobody is asked any more: killed processes leave them behind."""
    doors = {door_of(orphan.process.pid).name for orphan in orphans if orphan.alive}
    for path in folder.glob("orphan-*.sock"):
        if path.name not in doors:
            path.unlink(missing_ok=True)


def _argument(command: list[str], name: str) -> str:
    try:
        return command[command.index(name) + 1]
    except (ValueError, IndexError):
        return ""


def _tag(model: str) -> str:
    try:
        manifest = json.loads((Path(model) / "model.json").read_bytes())
        return f"{manifest['name']}:{manifest['version']}"
    except (OSError, ValueError, KeyError):
        return ""
