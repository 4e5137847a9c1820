"""One look at the ledger a second for all who watch, and none when nobody does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from taxiway.errors import TaxiwayError
from taxiway.lab.wire import encode

_log = logging.getLogger("taxiway.lab")

PING_SECONDS = 15.0
SEE_LOG = "The log of the Jupyter server has the details; `taxiway doctor` checks this machine."


class Source(Protocol):
    """Where the feed looks; ``taxiway.lab.service.Service`` is one."""

    async def change_token(self) -> str:
        """Return a text that differs whenever the overview may differ."""
        ...

    async def overview(self) -> object:
        """Return a JSON-able overview."""
        ...


@dataclass(frozen=True)
class Event:
    """One server-sent event; ``name`` is ``overview``, ``failure`` or, for a comment, empty."""

    name: str
    data: str = ""

    def encode(self) -> str:
        """Return the event as it goes over the wire."""
        return f"event: {self.name}\ndata: {self.data}\n\n" if self.name else ": ping\n\n"


class OverviewFeed:
    """Polls a source while there are subscribers and gives each of them every change.

    Parameters
    ----------
    source
        What is polled.
    poll_seconds
        Time between two looks.
    ping_seconds
        A subscriber that has had nothing for so long is given a ping, so that proxies keep the line.
    """

    def __init__(self, source: Source, poll_seconds: float, ping_seconds: float = PING_SECONDS) -> None:
        self._source = source
        self._poll_seconds = poll_seconds
        self._ping_seconds = ping_seconds
        self._queues: set[asyncio.Queue[Event | None]] = set()
        self._poller: asyncio.Task[None] | None = None
        self._latest: Event | None = None
        self._closed = False

    @property
    def watchers(self) -> int:
        """How many subscribers there are."""
        return len(self._queues)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the present overview, then every change, until the feed closes."""
        # Only the newest state matters to a slow reader, so one place in the queue is enough.
        queue: asyncio.Queue[Event | None] = asyncio.Queue(maxsize=1)
        if self._closed:
            return
        self._queues.add(queue)
        try:
            if self._poller is None:
                self._latest = None
                self._poller = asyncio.create_task(self._poll())
            elif self._latest is not None:
                queue.put_nowait(self._latest)
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), self._ping_seconds)
                except TimeoutError:
                    event = Event("")
                if event is None:
                    return
                yield event
        finally:
            self._queues.discard(queue)
            if not self._queues:
                await self._stop()

    async def close(self) -> None:
        """End every subscription."""
        self._closed = True
        for queue in self._queues:
            _replace(queue, None)
        await self._stop()

    async def _stop(self) -> None:
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            await asyncio.wait([poller])

    async def _poll(self) -> None:
        token: str | None = None
        while True:
            event: Event | None = None
            try:
                new = await self._source.change_token()
                if new != token:
                    event = Event("overview", encode(await self._source.overview()))
                    token = new
            except TaxiwayError as error:
                event, token = _failure(error.message, error.hint), None
            except Exception as error:  # noqa: BLE001  the line must outlive any one failed look
                _log.exception("The overview could not be read")
                event, token = _failure(f"Taxiway's state could not be read: {error}", SEE_LOG), None
            if event is not None and event != self._latest:
                self._latest = event
                for queue in self._queues:
                    _replace(queue, event)
            await asyncio.sleep(self._poll_seconds)


def _failure(error: str, hint: str) -> Event:
    return Event("failure", encode({"error": error, "hint": hint}))


def _replace(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)
