"""Live traffic for the shadow: off the response path, bounded, and never in the caller's way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque

from taxiway.serving.tracing import CURRENT

MAX_REQUESTS = 1000
MAX_BYTES = 32 * 2**20
PIPELINE = 16
TIMEOUT = 10.0
LONGEST_PAUSE = 5.0

_HEAD = (
    b"POST /predict HTTP/1.1\r\nhost: shadow\r\ncontent-type: application/json\r\n"
    b"x-request-id: %b\r\n%bcontent-length: %d\r\n\r\n"
)

# A request's id, its trace's header lines, and its body.
_Entry = tuple[bytes, bytes, bytes]


class Mirror:
    """Posts answered requests again, under their ids, to the shadow's Unix socket.

    Parameters
    ----------
    counts
        ``sent``, ``dropped`` (the queue was full) and ``failed`` (no answer, or an error) are counted here.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._queue: deque[_Entry] = deque()
        self._bytes = 0
        self._path = ""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """Whether there is a shadow to post to."""
        return bool(self._path)

    def direct(self, path: str) -> None:
        """Post to the socket at ``path`` from now on; to none if it is empty."""
        if path == self._path:
            return
        self._path = path
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if path:
            self._task = asyncio.get_running_loop().create_task(self._run(path))
        else:
            self._queue.clear()
            self._bytes = 0

    def offer(self, request: str, body: bytes) -> None:
        """Take a request over, or drop it where the shadow does not keep up."""
        if len(self._queue) >= MAX_REQUESTS or self._bytes + len(body) > MAX_BYTES:
            self._counts["dropped"] += 1
            return
        trace = CURRENT.get()[1]
        self._queue.append((request.encode("ascii"), b"" if trace is None else trace.lines(), body))
        self._bytes += len(body)
        self._wake.set()

    async def drain(self, seconds: float) -> None:
        """Wait until the queue is empty, but no longer than ``seconds``, and stop."""
        if self._task is not None:
            deadline = asyncio.get_running_loop().time() + seconds
            while self._queue and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.02)
        self.direct("")

    async def _run(self, path: str) -> None:
        pause = 0.1
        while True:
            await self._wait()
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(path), TIMEOUT)
            except (OSError, TimeoutError):
                self._fail(self._take())
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = 0.1
            try:
                await self._converse(reader, writer)
            finally:
                writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._wait()
            batch = self._take()
            answered = 0
            try:
                writer.writelines(
                    [_HEAD % (request, trace, len(body)) + body for request, trace, body in batch]
                )
                for _ in batch:
                    status = await asyncio.wait_for(_status(reader), TIMEOUT)
                    self._counts["failed" if status >= 500 else "sent"] += 1
                    answered += 1
            except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError):
                # What was written may have been answered unseen: posting it again would log it twice.
                self._fail(batch[answered:])
                return

    async def _wait(self) -> None:
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()

    def _take(self) -> list[_Entry]:
        batch: list[_Entry] = []
        with contextlib.suppress(IndexError):
            while len(batch) < PIPELINE:
                batch.append(self._queue.popleft())
        self._bytes -= sum(len(body) for _, _, body in batch)
        return batch

    def _fail(self, batch: list[_Entry]) -> None:
        self._counts["failed"] += len(batch)


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    await reader.readexactly(length)
    return int(lines[0].split(b" ", 2)[1])
