"""Live traffic for the shadow: off the response path, bounded, and never in the caller's way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque

import httptools

from taxiway.serving.destination import Destination
from taxiway.serving.tracing import CURRENT

MAX_REQUESTS = 1000
MAX_BYTES = 32 * 2**20
TIMEOUT = 10.0
#: For which a process that leaves waits for the last answers.
DRAIN_SECONDS = 2.0
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
_SAID_SECONDS = 60.0
_READ_BYTES = 2**16
#: With which the shadow's Model itself refuses a request; all others but 2xx come from what is before it.
_REFUSALS = frozenset((400, 413, 415, 422))

_log = logging.getLogger(__name__)

# A request's id, its trace's header lines, and its body.
_Entry = tuple[bytes, bytes, bytes]


class Mirror:
    """Posts answered requests again, under their ids, to the shadow.

    Parameters
    ----------
    counts
        ``sent``, ``dropped`` (the queue was full) and ``failed`` (no answer, or an error) are counted here.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._queue: deque[_Entry] = deque()
        self._bytes = 0
        self._on_the_way = 0
        self._destination: Destination | None = None
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._said = float("-inf")

    @property
    def active(self) -> bool:
        """Whether there is a shadow to post to."""
        return self._destination is not None

    def direct(self, destination: Destination | None) -> None:
        """Post there from now on; to none without one."""
        self._destination = destination
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        if destination is None:
            self._queue.clear()
            self._bytes = 0
            return
        loop = asyncio.get_running_loop()
        self._tasks += [loop.create_task(self._run(destination)) for _ in range(destination.connections)]

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
        """Wait until all is answered, but no longer than ``seconds``, and stop."""
        deadline = time.monotonic() + seconds
        while (self._queue or self._on_the_way) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self.direct(None)

    async def _run(self, destination: Destination) -> None:
        pause = SHORTEST_PAUSE
        while True:
            await self._wait()
            if await self._visit(destination):
                pause = SHORTEST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _visit(self, destination: Destination) -> bool:
        """Connect, and post until the connection ends; whether the shadow took anything."""
        try:
            reader, writer = await asyncio.wait_for(destination.open(), TIMEOUT)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may go well
            self._fail(len(self._take(destination.pipeline)), destination, error)
            return False
        answers = _Answers(reader)
        try:
            while not answers.ended and await self._post(destination, answers, writer):
                await self._wait()
        finally:
            # Not closed: what a shadow that hangs does not take would be kept until it does.
            writer.transport.abort()
        return answers.taken > 0

    async def _post(self, destination: Destination, answers: _Answers, writer: asyncio.StreamWriter) -> bool:
        """Post what waits and take the answers; whether all came."""
        batch = self._take(destination.pipeline)
        left = len(batch)
        self._on_the_way += left
        try:
            writer.writelines([destination.write(*entry) for entry in batch])
            while left:
                status = await asyncio.wait_for(answers.next(), TIMEOUT)
                self._on_the_way -= 1
                left -= 1
                if 200 <= status < 300 or status in _REFUSALS:
                    self._counts["sent"] += 1
                    answers.taken += 1
                else:
                    self._fail(1, destination, f"it answers {status}")
        except asyncio.CancelledError:
            self._counts["failed"] += left
            raise
        except Exception as error:  # noqa: BLE001 - as above
            # What was written may have been answered unseen: posting it again would log it twice.
            self._fail(left, destination, error)
        finally:
            self._on_the_way -= left
        return left == 0

    async def _wait(self) -> None:
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()

    def _take(self, most: int) -> list[_Entry]:
        batch: list[_Entry] = []
        with contextlib.suppress(IndexError):
            while len(batch) < most:
                batch.append(self._queue.popleft())
        self._bytes -= sum(len(body) for _, _, body in batch)
        return batch

    def _fail(self, count: int, destination: Destination, reason: Exception | str) -> None:
        self._counts["failed"] += count
        now = time.monotonic()
        if count and now - self._said > _SAID_SECONDS:
            self._said = now
            words = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}".strip(": ")
            _log.warning("requests are not mirrored to %s: %s", destination, words)


class _Answers:
    """The answers that come on one connection, however their bodies are sent."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._statuses: deque[int] = deque()
        self._last = False
        #: Those that say that the shadow took the request.
        self.taken = 0

    @property
    def ended(self) -> bool:
        """Whether no more will come: an answer said so, or the other side has closed."""
        return self._last or self._reader.at_eof() or self._reader.exception() is not None

    async def next(self) -> int:
        """Give the status of the next one, once it is there whole.

        Raises
        ------
        OSError, EOFError, HttpParserError
            It does not come.
        """
        while not self._statuses:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise EOFError("the connection was closed before the answer")
            self._parser.feed_data(data)
        return self._statuses.popleft()

    def on_message_complete(self) -> None:
        """Take note of an answer; the parser calls this."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._last = not self._parser.should_keep_alive()
            self._statuses.append(status)
