"""What a master waits for."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
from types import FrameType

POLL_SECONDS = 0.5


class Wake:
    """Sleeps until a signal, an event of a serving process, or the time to look again."""

    def __init__(self) -> None:
        self.terminated = False
        self._reader, writer = socket.socketpair()
        for end in (self._reader, writer):
            end.setblocking(False)
        self._writer = writer
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._notice)

    def _notice(self, number: int, _frame: FrameType | None) -> None:
        self.terminated |= number in (signal.SIGTERM, signal.SIGINT)

    def sleep(self, lines: list[socket.socket]) -> None:
        """Sleep."""
        with selectors.DefaultSelector() as selector:
            for one in {self._reader, *lines}:
                selector.register(one, selectors.EVENT_READ)
            selector.select(POLL_SECONDS)
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
