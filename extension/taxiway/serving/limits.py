"""What one request may ask for, and the reading of its body within that."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from taxiway.serving.asgi import Receive
from taxiway.serving.problems import Problem


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for.

    Parameters
    ----------
    body_bytes, rows
        The largest body and the most rows; beyond either it is 413.
    concurrency
        Requests in progress at once; beyond it is 429.
    head_seconds, body_seconds
        The longest that a client may take to send a request's head, and its body; beyond either it is 408.
    predict_seconds
        The longest that a prediction may take, with its time in the queue; beyond it is 503.
    send_seconds
        The longest that a client may leave an answer unread; beyond it its connection is cut.
    """

    body_bytes: int = 16 * 2**20
    rows: int = 10_000
    concurrency: int = 256
    head_seconds: float = 30.0
    body_seconds: float = 30.0
    predict_seconds: float = 60.0
    send_seconds: float = 60.0


async def read_body(headers: dict[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """Read a request's body.

    Raises
    ------
    Problem
        408 where it does not come in time, 413 where it is too large, 415 where it is compressed.
    """
    try:
        if int(headers.get(b"content-length", b"0")) > limits.body_bytes:
            raise _too_large(limits)
    except ValueError:
        raise Problem(400, "The Content-Length is not a number.", hint="Send the body's length.") from None
    refuse_encoded(headers)
    reading = _read(receive, limits)
    try:
        awaited = reading.send(None)
    except StopIteration as done:
        # The body was there, as it nearly always is: to set a time-out costs as much as a small prediction.
        return bytes(done.value)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _Begun(reading, awaited)
    except TimeoutError:
        raise Problem(
            408,
            f"The body did not come within {limits.body_seconds:g} s.",
            hint="Send it again.",
            headers=((b"connection", b"close"),),
        ) from None


def refuse_encoded(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a compressed body: a small one could become a huge one."""
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() not in (b"", b"identity"):
        raise Problem(
            415,
            f"A body in the encoding {encoding[:50].decode('latin-1')!r} is not read.",
            hint="Send it as it is, without Content-Encoding.",
            headers=((b"accept-encoding", b"identity"),),
        )


async def _read(receive: Receive, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "The client went away before its body was there.")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limits.body_bytes:
            raise _too_large(limits)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


class _Begun:
    """A coroutine that has run up to its first wait, to be awaited from there on.

    Parameters
    ----------
    coroutine
        What was begun.
    awaited
        What it waits for, as it was yielded.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, bytes], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, bytes]:
        try:
            yield self._awaited
            return (yield from self._coroutine.__await__())
        finally:
            self._coroutine.close()


def _too_large(limits: Limits) -> Problem:
    return Problem(
        413,
        f"The body is larger than {limits.body_bytes:,} bytes.",
        hint="Send the rows in several requests.",
    )
