"""One client's connection: uvicorn's, with a short way for the request that is by far the commonest.

A small ``POST /predict`` to a connection with nothing else to do is answered where its last byte was
parsed: no task, no messages. Where its head is the one that was parsed before, it is not parsed again. All
else, and whatever that way cannot answer, goes uvicorn's way to the ASGI callable, which gives the same
answers.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from taxiway.serving.app import App
from taxiway.serving.heads import KnownHead
from taxiway.serving.predictor import INLINE_BYTES

HEAD_BYTES = 2**16
#: Descriptors that are never given to connections: the log, the model and the master need some.
RESERVED = 64

_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b"
)
_LATE_TEXT = b"The request's head did not come within %g s."
_LARGE_TEXT = b"The request's head is larger than %d bytes." % HEAD_BYTES
_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b"
) % (len(_LARGE_TEXT), _LARGE_TEXT)
#: Heads that are remembered, one after another, of a connection whose requests may all have different ones.
_MOST_HEADS = 4
_INVALID = "Invalid HTTP request received."
_NO_PROXY = "This server is no proxy and takes no CONNECT. Send the request itself, without a proxy."

_log = logging.getLogger(__name__)


class Connection(HttpToolsProtocol):
    """Parses a connection's requests and answers them in their order.

    Parameters
    ----------
    app
        What answers.
    config, state
        uvicorn's.
    """

    def __init__(self, app: App, config: Config, state: ServerState) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._app = app
        self._limits = app.limits
        self._unsent = 0
        self._unread_since = 0.0
        self._running: RequestResponseCycle | None = None
        self._short = False
        self._parts: list[bytes] = []
        self._size = 0  # of the parts
        self._held = False  # whether the application counts it as in progress: its body is still to come
        self._known: KnownHead | None = None
        self._learned = 0
        self._refused = False  # whether the short way could not answer what was just received
        #: The body that the short way answered last, of what is being parsed.
        self._answered: bytes | None = None
        self._heard = time.monotonic()  # when anything came, be it empty lines
        self._active = self._heard  # when the last request, or its answer, was complete
        self._begun = 0.0  # when the request that is being read began, by time.monotonic
        self._in_head = False
        self._has_body = False
        self._bare = 0  # bytes since the last that belonged to a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there are descriptors for it."""
        super().connection_made(transport)
        if len(self.connections) > resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED:
            transport.abort()

    def expire(self, now: float) -> None:
        """Close the connection if it is idle, unread, or in the midst of a request, for too long.

        A body that is waited for has a time of its own; one whose request is refused already has the head's.

        Parameters
        ----------
        now
            The time, by ``time.monotonic``.
        """
        if self._short and not self.transport.is_closing():
            # What is not here by now may never come: uvicorn's way has a time for bodies.
            self._go_the_long_way()
        if self._is_stuck(now):
            _log.warning("a client left its answer unread: its connection is cut")
            self._forsake()
            self.transport.abort()
        if self.transport.is_closing() or not (self.cycle is None or self.cycle.response_complete):
            return
        if self._begun:
            if now - self._begun > self._limits.head_seconds:
                if self._in_head:
                    text = _LATE_TEXT % self._limits.head_seconds
                    self.transport.write(_LATE % (len(text), text))
                self.transport.close()
        elif now - self._active > self.timeout_keep_alive:
            self.transport.close()

    def _is_stuck(self, now: float) -> bool:
        """Whether what waits to be sent has not become less for too long, at any look."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent or not self._unread_since:
            self._unread_since = now
        self._unsent = unsent
        return now - self._unread_since > self._limits.send_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection that is gone."""
        self._end_short()
        self._forsake()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _forsake(self) -> None:
        """Tell the request that is being answered; uvicorn tells the one that was parsed last."""
        if self._running is not None:
            self._running.disconnected = True

    def shutdown(self) -> None:
        """Close the connection, or let the request that has begun end it."""
        if self._short:
            self._go_the_long_way()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._heard = time.monotonic()
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        begins = not self._begun
        self._refused = False
        if self._known is not None and begins and self._is_free():
            body = self._known.body(data)
            if body is not None:
                if self._answer(None, body):
                    self._active = self._heard
                    return
                self._refused = True
        self._has_body = False
        self._answered = None
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._end_short()
            _log.warning(_INVALID)
            self.send_400_response(_INVALID)
            return
        if begins and self._answered is not None and self._learned < _MOST_HEADS:
            self._known = KnownHead.of(data, self.headers, self._answered) or self._known
            self._learned += 1
        self._answered = None  # an idle connection keeps no body
        if self._short:
            self._held = self._held or self._app.hold()
            if not self._held or self._size > INLINE_BYTES:
                self._go_the_long_way()
        if self._begun and not self._has_body:
            # The parser gathers heads, and the trailers behind a body, without a limit.
            self._bare += len(data)
            if self._bare > HEAD_BYTES and not self.transport.is_closing():
                if self._in_head:
                    self.transport.write(_LARGE)
                self.transport.close()

    def _feed(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as stop:
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response(_NO_PROXY)
                    return
                rest = memoryview(rest)[stop.args[0] :]
                self._stay()
            else:
                return

    def _stay(self) -> None:
        """Parse a head again without its offer to upgrade, which a server may ignore (RFC 9110, 7.8).

        The parser takes whatever follows such an offer for the other protocol's, also the request's body.
        """
        stopped, self.parser = self.parser, httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        lines = [b"%b %b HTTP/%b" % (stopped.get_method(), self.url, stopped.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser.feed_data(b"\r\n".join((*lines, b"", b"")))

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made when it is needed."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._begun = self._heard
        self._in_head = True
        self._bare = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer, which comes behind the body, is ignored (RFC 9110, 6.5.1)."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the request's way."""
        self._in_head = False
        parser = self.parser
        if (
            self.url == b"/predict"
            and not self._refused
            and self._is_free()
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not self.expect_100_continue
            and not parser.should_upgrade()
            and self._app.is_plain(self.headers, self.client)
        ):
            self._short = True
            self._parts = []
            self._size = 0
        elif not parser.should_upgrade():
            self._make_scope()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._has_body = True
        self._bare = 0
        if self._short:
            self._parts.append(body)
            self._size += len(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer, if the request is on its short way."""
        self._begun = 0.0
        self._active = self._heard
        if self._short:
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._end_short()
            if self._answer(dict(self.headers).get(b"x-request-id"), body):
                self._answered = body
                self._parts = []
                return
            self._go_the_long_way()
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _is_free(self) -> bool:
        """Whether no request is before the one that comes now, and no answer waits to be read."""
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def _answer(self, given: bytes | None, body: bytes) -> bool:
        """Answer a request on its short way, if that can be; ``given`` is its ``X-Request-Id``."""
        state = self.server_state
        try:
            response = self._app.answer_at_once(given, body, state.default_headers)
        except Exception:  # noqa: BLE001
            # Raised through the parser, it would be told to the client as a fault of the request.
            _log.exception("the short way failed on a request")
            return False
        if response is None:
            return False
        self.transport.write(response)
        state.total_requests += 1
        return True

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        self._active = time.monotonic()
        super().on_response_complete()

    def _make_scope(self) -> None:
        url, headers, expected = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expected
        self.headers.extend(headers)

    def _end_short(self) -> None:
        self._short = False
        if self._held:
            self._held = False
            self._app.release()

    def _go_the_long_way(self) -> None:
        self._end_short()
        self._make_scope()
        super().on_headers_complete()
        parts, self._parts = self._parts, []
        for part in parts:
            super().on_body(part)
