"""The reading of a body: a time-out is set only where something is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from taxiway.serving.limits import Limits, read_body
from taxiway.serving.problems import Problem


class Client:
    """Sends its parts, each after so many seconds."""

    def __init__(self, *parts: tuple[float, bytes]) -> None:
        self.parts = list(parts)
        self.left = False

    async def receive(self) -> dict[str, Any]:
        seconds, part = self.parts.pop(0)
        try:
            if seconds:
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.left = True
            raise
        finally:
            self.left = self.left or not self.parts
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}


@pytest.fixture(params=[asyncio.run, uvloop.run])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[Any]], Any]:
    return request.param


def read(client: Client, seconds: float = 30.0) -> Awaitable[bytes]:
    return read_body({}, client.receive, Limits(body_bytes=10, body_seconds=seconds))


def test_a_body_that_is_there_needs_no_time_out(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(asyncio, "timeout")
    assert run(read(Client((0, b"ab"), (0, b"cd")))) == b"abcd"


@pytest.mark.parametrize("first", [0, 0.01])
def test_a_body_that_comes_later_is_waited_for_and_not_for_ever(run, first: float) -> None:
    assert run(read(Client((first, b"ab"), (0.01, b""), (0.02, b"cd")))) == b"abcd"
    late = Client((first, b"ab"), (20, b"cd"))
    with pytest.raises(Problem) as caught:
        run(read(late, 0.05))
    assert caught.value.status == 408
    assert late.left


@pytest.mark.parametrize("first", [0, 0.01])
def test_what_is_wrong_with_a_body_is_told_whenever_it_comes(run, first: float) -> None:
    with pytest.raises(Problem) as caught:
        run(read(Client((first, b"a" * 6), (first, b"a" * 6))))
    assert caught.value.status == 413


def test_who_is_told_to_stop_stops_waiting(run) -> None:
    client = Client((0, b"a"), (20, b"b"))

    async def stop() -> None:
        task = asyncio.ensure_future(read(client))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(stop())
    assert client.left
