"""uvicorn, told when to accept and taught to leave without failing a request.

A draining server accepts no more connections and keeps those that it has: each gets its next answer
with ``Connection: close``. An idle connection is closed only when the drain time is over, because a
request may be on its way on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import time
from collections.abc import Generator
from typing import cast

import uvicorn

from taxiway.serving import mirror
from taxiway.serving.app import App
from taxiway.serving.connection import Connection

KEEP_ALIVE_SECONDS = 65
BACKLOG = 2048
_SETTLE_SECONDS = 0.05
_POLL_SECONDS = 0.02

_CLOSE = (b"connection", b"close")

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Serves one App on one listening socket.

    Parameters
    ----------
    app
        The application.
    listener
        A bound socket; it is listened on when ``accept`` is called.
    drain_seconds
        The longest that open connections are waited for on the way out.
    accept_at_once
        Whether to accept without being told.
    tls
        With what to serve HTTPS; None for HTTP.
    """

    def __init__(
        self,
        app: App,
        listener: socket.socket,
        *,
        drain_seconds: float = 30.0,
        accept_at_once: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            backlog=BACKLOG,
        )
        super().__init__(config)
        self.app = app
        self.listener = listener
        self.drain_seconds = drain_seconds
        self.stopping = asyncio.Event()
        self.on_draining = asyncio.Event()
        self._accept_at_once = accept_at_once
        self._tls = tls
        self.servers: list[asyncio.base_events.Server] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Get ready; accept if that does not wait for a word."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        await self.lifespan.startup()
        if self._accept_at_once:
            await self.accept()
        self.started = True

    async def accept(self) -> None:
        """Begin to accept connections, or again after ``pause``."""
        if self.servers or self.stopping.is_set():
            return
        self.app.draining = False
        state = self.server_state
        state.default_headers = [header for header in state.default_headers if header != _CLOSE]

        def protocol() -> Connection:
            return Connection(self.app, self.config, self.server_state)

        loop = asyncio.get_running_loop()
        # A duplicate, because the original may have to be handed to the next master.
        own = self.listener.dup()
        if own.family == socket.AF_UNIX:
            server = await loop.create_unix_server(protocol, sock=own, backlog=BACKLOG, ssl=self._tls)
        else:
            server = await loop.create_server(protocol, sock=own, backlog=BACKLOG, ssl=self._tls)
        self.servers.append(server)

    def pause(self) -> None:
        """Accept no more connections, and close each that there is after its next answer."""
        self.app.draining = True
        state = self.server_state
        state.default_headers = [header for header in state.default_headers if header != _CLOSE] + [_CLOSE]
        for server in self.servers:
            server.close()
        self.servers.clear()

    def stop(self, drain_seconds: float | None = None) -> None:
        """Begin to drain; a second call does not wait for open connections any more."""
        if drain_seconds is not None:
            self.drain_seconds = drain_seconds
        elif self.stopping.is_set():
            self.drain_seconds = 0.0
        self.stopping.set()

    async def main_loop(self) -> None:
        """Keep the Date header right, and close connections that keep it waiting, until told to stop."""
        while not self.stopping.is_set():
            await self.on_tick(0)
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                cast(Connection, connection).expire(now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Stop accepting, let every connection have its answer, and go."""
        self.pause()
        # Where a master holds it too, connections go on waiting in it; else they are refused, not stranded.
        self.listener.close()
        self.on_draining.set()
        await self._drain()
        await self.app.mirror.drain(mirror.DRAIN_SECONDS if self.drain_seconds else 0.0)
        self.app.close()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        state = self.server_state
        # A connection taken a moment ago is not in the set yet.
        await asyncio.sleep(_SETTLE_SECONDS)
        while state.connections and loop.time() - begun < self.drain_seconds:
            await asyncio.sleep(_POLL_SECONDS)
        if state.connections:
            _log.info("closing %d idle connections after %.1f s", len(state.connections), loop.time() - begun)
        for connection in list(state.connections):
            connection.shutdown()
        deadline = loop.time() + 5.0
        while state.tasks and loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        # The last answers are still being written when their tasks have ended.
        await asyncio.sleep(_SETTLE_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the event loop, which ``startup`` has told about them."""
        yield


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Read the PEM files of a certificate (with its chain) and of its key.

    Raises
    ------
    ValueError
        They cannot be read, do not belong together, or ask for a passphrase.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without the function, OpenSSL would ask for a passphrase at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise ValueError(f"{certificate} and {key} cannot be used for TLS: {reason}") from error
    return context
