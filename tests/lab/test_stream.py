"""The event stream: the state at once, every change, failures, pings, and an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx

from taxiway.lab.feed import OverviewFeed
from tests.lab import seeds

T = TypeVar("T")


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_the_stream_gives_the_overview_and_then_its_changes(client: httpx.Client, seed: Path) -> None:
    with client.stream("GET", "stream") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache"
        stream = events(answer.iter_lines())
        assert next(stream) == ("overview", seeds.full()["overview"])
        changed = seeds.full()
        changed["overview"]["agent"]["doing"] = "something else"
        seeds.write(seed, changed)
        assert next(stream) == ("overview", changed["overview"])


def test_a_failure_is_an_event_and_the_line_outlives_it(client: httpx.Client, seed: Path) -> None:
    with client.stream("GET", "stream") as answer:
        stream = events(answer.iter_lines())
        assert next(stream)[0] == "overview"
        failure = {"type": "CorruptionError", "error": "The ledger cannot be read.", "hint": "Restore it."}
        seeds.write(seed, seeds.full() | {"failure": failure})
        # change_token does not fail here, so the overview does; what an earlier watcher saw may come first
        assert next(event for event in stream if event[0] == "failure") == (
            "failure",
            {"error": "The ledger cannot be read.", "hint": "Restore it."},
        )
        seeds.write(seed, seeds.full())
        assert next(stream)[0] == "overview"


def test_two_watchers_see_the_same(client: httpx.Client, seed: Path) -> None:
    with client.stream("GET", "stream") as one, client.stream("GET", "stream") as two:
        assert next(events(one.iter_lines())) == next(events(two.iter_lines()))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it in a thread of its own: Playwright keeps a loop running in this one once a browser was used."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


class Counter:
    """A source that changes at every look."""

    def __init__(self) -> None:
        self.looks = 0

    async def change_token(self) -> str:
        self.looks += 1
        return str(self.looks)

    async def overview(self) -> object:
        return {"looks": self.looks}


class Still(Counter):
    """A source that never changes."""

    async def change_token(self) -> str:
        self.looks += 1
        return "still"


def test_nobody_watching_means_no_looks() -> None:
    async def main() -> tuple[int, int, int]:
        source = Counter()
        feed = OverviewFeed(source, 0.01)
        stream = feed.events()
        await anext(stream)
        await anext(stream)
        await stream.aclose()
        looked = source.looks
        await asyncio.sleep(0.1)
        return feed.watchers, looked, source.looks

    watchers, before, after = run(main())
    assert watchers == 0
    assert after == before


def test_silence_is_broken_by_pings() -> None:
    async def main() -> list[str]:
        feed = OverviewFeed(Still(), 0.01, ping_seconds=0.05)
        stream = feed.events()
        got = [(await anext(stream)).encode() for _ in range(3)]
        await stream.aclose()
        return got

    first, *pings = run(main())
    assert first.startswith("event: overview\n")
    assert pings == [": ping\n\n", ": ping\n\n"]


def test_closing_the_feed_ends_every_stream() -> None:
    async def main() -> list[int]:
        feed = OverviewFeed(Still(), 0.01)
        ended = []

        async def watch(number: int) -> None:
            async for _ in feed.events():
                pass
            ended.append(number)

        watching = [asyncio.create_task(watch(number)) for number in range(2)]
        await asyncio.sleep(0.05)
        await feed.close()
        await asyncio.wait_for(asyncio.gather(*watching), 2)
        return ended

    assert sorted(run(main())) == [0, 1]
