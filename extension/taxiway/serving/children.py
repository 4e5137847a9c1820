"""A serving process of this container, and the line to it; see ``taxiway.serving.control``."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

_LAST_WORDS = 3


class Child:
    """Starts a serving process.

    Parameters
    ----------
    role
        ``live`` or ``shadow``.
    options
        Of ``python -m taxiway.serving``.
    folder
        Its working folder.
    listener
        The bound socket that it inherits; None where it listens on ``uds``.
    uds
        The path of the Unix socket that it makes.

    Attributes
    ----------
    ready
        Whether it has ever been ready to accept.
    accepting
        Whether it was told to.
    """

    def __init__(
        self, role: str, options: list[str], folder: Path, listener: socket.socket | None, uds: str
    ) -> None:
        self.role = role
        self.uds = uds
        self.ready = False
        self.accepting = False
        self._mirror = ""
        self._received = b""
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        where = ["--uds", uds] if listener is None else ["--fd", str(listener.fileno())]
        self.line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "taxiway.serving", "--controlled", *options, *where],
                cwd=folder,
                stdin=theirs.fileno(),
                stderr=subprocess.PIPE,
                pass_fds=() if listener is None else (listener.fileno(),),
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            )
        self.line.setblocking(False)
        self._reader = threading.Thread(target=self._read, name=f"log-{role}", daemon=True)
        self._reader.start()

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def accept(self) -> None:
        """Tell it to accept connections."""
        self.accepting = True
        self._send("accept")

    def mirror(self, path: str) -> None:
        """Tell it where the shadow is."""
        if path != self._mirror:
            self._mirror = path
            self._send(f"mirror {path}")

    def drain(self, seconds: float) -> None:
        """Tell it to leave as soon as its connections allow, and after ``seconds`` at the latest."""
        if self.ready:
            self._send(f"drain {seconds}")
        elif not self.gone:
            self._process.kill()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; end it when the time is over."""
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def look(self) -> None:
        """Take in what it has said."""
        with contextlib.suppress(OSError):
            while data := self.line.recv(4096):
                self._received += data
        *lines, self._received = self._received.split(b"\n")
        self.ready |= any(b'"ready"' in line for line in lines)
        if self.gone:
            self.line.close()

    def reason(self) -> str:
        """Say why it ended: its last words, or the signal."""
        self._reader.join(1.0)
        status = self._process.returncode or 0
        words = " ".join(self._words)
        if status < 0:
            name = signal.Signals(-status).name
            hint = " (the container may have run out of memory)" if -status == signal.SIGKILL else ""
            return f"the {self.role} process was ended by {name}{hint}"
        return f"the {self.role} process ended with exit status {status}: {words}"

    def _send(self, command: str) -> None:
        with contextlib.suppress(OSError):
            self.line.send(command.encode() + b"\n")

    def _read(self) -> None:
        """Pass its log on, and keep the last lines."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()
            if text := line.decode(errors="replace").strip():
                self._words.append(text)
