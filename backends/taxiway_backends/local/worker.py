"""One serving process, as its master sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psutil

from taxiway.backends import Resources
from taxiway_backends.local.bake import Totals
from taxiway_backends.local.confinement import Confiner
from taxiway_backends.local.log import parse_line
from taxiway_backends.local.placement import Place
from taxiway_backends.local.pulse import Pulse
from taxiway_backends.local.rundir import RunDir
from taxiway_backends.local.spec import UNLIMITED, ModelEntry

START_SECONDS = 90.0
LEAVE_SECONDS = 10.0
_LOG_TAIL_BYTES = 4096
_LOG_TAIL_LINES = 3
_OWN_FAULT = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


class State(StrEnum):
    """Where a serving process is on its way."""

    STARTING = "starting"
    READY = "ready"
    TOLD = "told"
    ACCEPTING = "accepting"
    DRAINING = "draining"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Definition:
    """All that makes one serving process differ from another.

    Attributes
    ----------
    token_hash
        Of the token that it asks for; empty for none.
    tls
        The certificate's file and the key's, and when they were changed last; empty for HTTP.
    """

    role: str
    model: ModelEntry
    policies: tuple[tuple[str, str], ...] = ()
    drain_seconds: float = 30.0
    limits: Resources = UNLIMITED
    device: str = "auto"
    token_hash: str = ""
    tls: tuple[str, str, float] | None = None


class Worker:
    """Starts a serving process and holds the line to it.

    Parameters
    ----------
    definition
        What it serves.
    directory
        The endpoint's folder, which is also the master's working folder.
    listener
        The socket that a live one inherits.
    number
        Distinguishes the sockets of shadows.
    place
        Where it computes.
    confiner
        Holds it to its limits.
    """

    def __init__(
        self,
        definition: Definition,
        directory: RunDir,
        listener: socket.socket,
        number: int,
        place: Place,
        confiner: Confiner,
    ) -> None:
        self.definition = definition
        self.state = State.STARTING
        self._ready_by = time.monotonic() + START_SECONDS
        self._leave_by = float("inf")
        self.accepted: float | None = None
        #: Whether it may take a connection still, for all that is known.
        self.open = False
        self.mirror = ""
        self.place = place
        self.totals = Totals()
        self.uds = f"shadow-{os.getpid()}-{number}.sock" if definition.role == "shadow" else ""
        self._directory = directory
        self._log_offset = directory.log.stat().st_size if directory.log.exists() else 0
        self._received = b""
        self.line, theirs = socket.socketpair()
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                self._command(listener),
                stdin=theirs.fileno(),
                stdout=None,
                pass_fds=() if self.uds else (listener.fileno(),),
                env={**os.environ, "PYTHONFAULTHANDLER": "1", **place.environment},
            )
        self.confinement = confiner.confine(self._process.pid, definition.limits)
        self.line.setblocking(False)
        self.create_time = _create_time(self._process.pid)
        self._killed_for_memory = False
        self._pulse = Pulse(self.pid)
        self._hung = False

    def _command(self, listener: socket.socket) -> list[str]:
        definition = self.definition
        command = [sys.executable, "-P", "-m", "taxiway.serving", "--model", definition.model.path]
        command += ["--spool", str(self._directory.spool), "--role", definition.role, "--controlled"]
        command += ["--drain-seconds", str(definition.drain_seconds), "--device", self.place.device]
        if definition.token_hash and not self.uds:
            command += ["--token-hash-file", str(self._directory.token_hash)]
        if definition.tls and not self.uds:
            command += ["--tls-certificate", definition.tls[0], "--tls-key", definition.tls[1]]
        command += ["--uds", self.uds] if self.uds else ["--fd", str(listener.fileno())]
        for kind, action in definition.policies:
            command += ["--policy", f"{kind}={action}"]
        return command

    @property
    def pid(self) -> int:
        """The process's id."""
        return int(self._process.pid)

    @property
    def running(self) -> bool:
        """Whether the process is there and was not told to leave."""
        return self.state not in (State.DRAINING, State.GONE)

    @property
    def silent(self) -> bool:
        """Whether it should answer, and has not for a while."""
        return self._watched and self._pulse.is_silent

    @property
    def _watched(self) -> bool:
        return self.state in (State.READY, State.TOLD, State.ACCEPTING)

    @property
    def exit_status(self) -> int | None:
        """How it ended: negative for a signal."""
        status: int | None = self._process.returncode
        return status

    def send(self, command: str) -> None:
        """Send a line; a process that cannot take it is about to be found dead."""
        try:
            self.line.send(command.encode() + b"\n")
        except OSError:
            return

    def accept(self) -> None:
        """Tell it to accept connections."""
        self.send("accept")
        self.open = True
        self.state = State.TOLD

    def pause(self) -> None:
        """Tell it to accept no more, and to be ready to do so again."""
        if self.state in (State.TOLD, State.ACCEPTING):
            self.send("pause")
            self.state = State.READY
            self._leave_by = time.monotonic() + LEAVE_SECONDS

    def measure(self) -> None:
        """Ask it for its ``totals``."""
        if self.state is State.ACCEPTING:
            self.send("measure")

    def direct_mirror(self, path: str) -> None:
        """Tell it where the shadow is."""
        if path != self.mirror:
            self.mirror = path
            self.send(f"mirror {path}")

    def drain(self, seconds: float) -> None:
        """Tell it to leave as soon as its connections allow, and after ``seconds`` at the latest."""
        if self.state is State.STARTING:
            self.kill()
        elif self.state is not State.GONE:
            self.send(f"drain {seconds}")
            self.state = State.DRAINING
            self._leave_by = time.monotonic() + seconds + LEAVE_SECONDS

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def poll(self) -> None:
        """Take in its events, and whether it is gone."""
        self._receive()
        if self._process.poll() is not None and self.state is not State.GONE:
            self.state = State.GONE
            self.open = False
            self.line.close()
            self._killed_for_memory = self.confinement.killed_for_memory()
            self.confinement.release()
            if self.uds:
                (self._directory.path / self.uds).unlink(missing_ok=True)
        elif self._late():
            self.kill()
        elif self._watched:
            self._feel()

    def _feel(self) -> None:
        if self._pulse.look():
            self.send("measure")
        if self._pulse.is_hung:
            self._hung = True
            self.kill()

    def _late(self) -> bool:
        now = time.monotonic()
        if self.state is State.STARTING:
            return now > self._ready_by
        leaving = self.state is State.DRAINING or (self.state is State.READY and self.open)
        return leaving and now > self._leave_by

    def _receive(self) -> None:
        if self.state is State.GONE:
            return
        try:
            while data := self.line.recv(4096):
                self._received += data
        except OSError:
            pass
        *lines, self._received = self._received.split(b"\n")
        if lines:
            self._pulse.answer()
        for line in lines:
            told = json.loads(line)
            event = told["event"]
            if event == "ready" and self.state is State.STARTING:
                self.state = State.READY
            elif event == "accepting" and self.state is State.TOLD:
                self.state = State.ACCEPTING
                self.accepted = time.monotonic()
                self.open = True
            elif event in ("draining", "paused"):
                self.open = False
            elif event == "measured":
                self.totals = Totals(told["answers"], told["failures"], tuple(told["buckets"]))

    def reason(self) -> str:
        """Say why it ended: its last words, or the signal."""
        if self._killed_for_memory:
            return "ended by the kernel, because it wanted more memory than its limit allows"
        if self._hung:
            return f"did not answer for {self._pulse.silence:.0f} s, and was ended"
        words, status = self._last_words(), self.exit_status
        if status is None or status >= 0:
            said = " ".join(words) or f"ended with exit status {status}"
            return " ".join([said, *self.confinement.words]) if self.accepted is None else said
        name = signal.Signals(-status).name
        if -status in _OWN_FAULT and words:
            return f"ended by {name}: {' '.join(words)}"
        return f"ended by {name}"

    def _last_words(self) -> list[str]:
        try:
            with self._directory.log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                start = self._log_offset if self._log_offset <= end else 0  # it was cut meanwhile
                log.seek(max(start, end - _LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return []
        lines = [parse_line(line) for line in text.splitlines()]
        own = [
            line.text.strip() for line in lines if line.time is None or line.source.endswith(f"[{self.pid}]")
        ]
        said = [text for text in own if text]
        fatal = [number for number, text in enumerate(said) if text.startswith("Fatal Python error")]
        # Python's own last words go on for pages.
        return said[fatal[-1] : fatal[-1] + 1] if fatal else said[-_LOG_TAIL_LINES:]

    def describe(self) -> dict[str, Any]:
        """Give the status file's entry."""
        role = self.definition.role if self.state in (State.TOLD, State.ACCEPTING) else str(self.state)
        return {
            "pid": self.pid,
            "create_time": self.create_time,
            "role": role,
            "model": self.definition.model.tag,
        }


def _create_time(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0
