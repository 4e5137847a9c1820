"""HTTP servers on ports of loopback, inside one event loop of a thread of their own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

T = TypeVar("T")


class Listener:
    """Listens between :meth:`start` and :meth:`stop`; its port is its own until :meth:`close`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept = _bound(0)  # never listens: who connects is refused
        self.port = int(self._kept.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._transports: dict[Any, asyncio.Transport] = {}

    async def start(self) -> None:
        """Answer."""
        if self._task is not None:
            return
        config = uvicorn.Config(
            self._with_hang_up, http=self._protocol(), ws="wsproto", loop="asyncio", lifespan="off",
            log_config=None, log_level="error", access_log=False, server_header=False, interface="asgi3",
            proxy_headers=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[_bound(self.port)]))
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._server = self._task = None

    def close(self) -> None:
        """Give the port back."""
        self._kept.close()

    async def _with_hang_up(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = self._transports.get(tuple(scope["client"]))
        scope["hang_up"] = transport.abort if transport else None
        await self._app(scope, receive, send)

    def _protocol(self) -> type[H11Protocol]:
        transports = self._transports

        class Protocol(H11Protocol):
            """Knows its transport by the client, so that it can be cut."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                transports.pop(self.client, None)

        return Protocol


class Loop:
    """An event loop in a thread, for tests that have none."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it there, and wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120.0)

    def close(self) -> None:
        """End it, with all that still runs in it."""
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
