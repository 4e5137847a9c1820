"""Large batches as one JSON object a line, answered while they come, in memory that does not grow."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from taxiway.serving.asgi import Receive
from taxiway.serving.limits import Limits
from taxiway.serving.outbox import Outbox
from taxiway.serving.predictor import Predictor, refusal
from taxiway.serving.problems import Problem
from taxiway.serving.protocols import ndjson
from taxiway.serving.requests import Batch, from_records

CHUNK_ROWS = 1000
LINE_BYTES = 2**20

Rows = dict[int, dict[str, Any]]


class Lines:
    """Answers the lines of one request.

    Parameters
    ----------
    predictor
        What answers.
    names
        The signature's columns.
    request
        The request's id.
    """

    def __init__(self, predictor: Predictor, names: tuple[str, ...], request: str) -> None:
        self._predictor = predictor
        self._names = names
        self._request = request
        self._number = 0

    async def answer(
        self, receive: Receive, limits: Limits, outbox: Outbox, begin: Callable[[], Awaitable[None]]
    ) -> None:
        """Answer all; what goes wrong once the response has begun is its last line.

        Parameters
        ----------
        begin
            Begins the response, once there is a first line.

        Raises
        ------
        Problem
            400, 408 or 413 where there is no first line.
        """
        chunks = line_chunks(receive, limits)
        lines = await anext(chunks, None)
        if lines is None:
            raise Problem(400, "The request has no rows.")
        await begin()
        sender = asyncio.create_task(outbox.run())
        try:
            while lines is not None:
                await outbox.put(await self._chunk(lines))
                lines = await anext(chunks, None)
        except Problem as problem:
            await outbox.put(ndjson.write_problem(self._number, problem))
        finally:
            outbox.close()
            with contextlib.suppress(OSError):
                await sender

    async def _chunk(self, lines: list[bytes]) -> bytes:
        """Answer some lines, each where it stands."""
        started = time.perf_counter()
        answers: dict[int, bytes] = {}
        rows: Rows = {}
        for number, line in enumerate(lines, start=self._number):
            try:
                rows[number] = ndjson.read_row(line, self._names, number)
            except Problem as problem:
                answers[number] = ndjson.write_problem(number, problem)
        self._number += len(lines)
        if rows:
            answers |= await self._rows(rows, started)
        return b"".join(answers[number] for number in sorted(answers))

    async def _rows(self, rows: Rows, started: float) -> dict[int, bytes]:
        answers: dict[int, bytes] = {}
        batch = self._batch(rows)
        verdict = self._predictor.check(batch)
        if verdict.rejected:
            answers = self._refuse_bad(rows)
            if not rows:
                return answers
            batch = self._batch(rows)
            verdict = self._predictor.check(batch)
        numbers = list(rows)
        batch.ids = [f"{self._request}-{number}" for number in numbers]
        try:
            prediction = await self._predictor.predict(self._request, batch, started, verdict=verdict)
        except Problem as problem:
            return answers | {number: ndjson.write_problem(number, problem) for number in numbers}
        return answers | dict(zip(numbers, ndjson.lines(prediction, numbers), strict=True))

    def _refuse_bad(self, rows: Rows) -> dict[int, bytes]:
        """Take the rows that are refused out, write them down together, and give their answers."""
        answers: dict[int, bytes] = {}
        bad: Rows = {}
        for number, row in list(rows.items()):
            verdict = self._predictor.check(self._batch({number: row}))
            if verdict.rejected:
                problem = refusal(verdict.sentence(), verdict.findings)
                answers[number] = ndjson.write_problem(number, problem)
                bad[number] = rows.pop(number)
        batch = self._batch(bad)
        self._predictor.reject(self._request, batch, self._predictor.check(batch))
        return answers

    def _batch(self, rows: Rows) -> Batch:
        return from_records(list(rows.values()), self._names, len(rows))


async def line_chunks(receive: Receive, limits: Limits) -> AsyncIterator[list[bytes]]:
    """Give a body's lines as they come, some at a time; blank ones are left out.

    Raises
    ------
    Problem
        408 where no whole line comes in time, 413 where one is too long, 400 where the client leaves.
    """
    rest, more = b"", True
    while more:
        try:
            async with asyncio.timeout(limits.body_seconds):
                text, more = await _next_lines(receive, rest)
        except TimeoutError:
            raise Problem(
                408, f"No line came within {limits.body_seconds:g} s.", hint="Send the rest again."
            ) from None
        *lines, rest = text.split(b"\n")
        if not more:
            lines.append(rest)
        lines = [line for line in lines if line and not line.isspace()]
        for start in range(0, len(lines), CHUNK_ROWS):
            yield lines[start : start + CHUNK_ROWS]


async def _next_lines(receive: Receive, rest: bytes) -> tuple[bytes, bool]:
    """Read on until a line is whole, or all is read; give what is there and whether more follows."""
    parts, size = [rest], len(rest)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "The client went away before its body was there.")
        part: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        parts.append(part)
        if not more or b"\n" in part:
            return b"".join(parts), more
        size += len(part)
        if size > LINE_BYTES:
            raise Problem(413, f"A line is longer than {LINE_BYTES:,} bytes.", hint="Send one row a line.")
