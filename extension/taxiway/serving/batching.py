"""Micro-batching: requests that wait for the model together are run together.

It pays where a run costs much and a row more in it little: on a GPU, or with a large network. Each request
was validated before it is joined. A run that fails is repeated in halves, down to single requests, so that
none fails for another's sake. Nothing waits for company that is not expected: a single client is answered
as if there were no batching.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from taxiway.serving.block import Tensor

_log = logging.getLogger(__name__)

Tensors = Mapping[str, Tensor]
Outputs = dict[str, list[Any]]
Aside = Callable[..., Awaitable[Any]]


class _Waiting(NamedTuple):
    """A request's tensors, its number of rows, and where its outputs go."""

    tensors: Tensors
    rows: int
    answer: asyncio.Future[Outputs]


class Batcher:
    """Runs a model on the rows of several requests at once, one run at a time.

    Parameters
    ----------
    run
        Gives output name → one value a row for tensors of any number of rows.
    aside
        Runs a function in a thread.
    rows
        The most rows of one run.
    wait
        Seconds for which a run that could start waits for requests that are expected: as many as were
        answered by the last one, or waited for it.
    counts
        What ``/metrics`` shows: ``batches``, the ``batched_requests`` in them, and as ``batches_failed`` the
        runs of several that failed and were repeated.
    """

    def __init__(
        self, run: Callable[[Tensors], Outputs], aside: Aside, *, rows: int, wait: float, counts: Counter[str]
    ) -> None:
        self.rows = rows
        self._run_model = run
        self._aside = aside
        self._wait = wait
        self._counts = counts
        self._waiting: list[_Waiting] = []
        self._expected = 1
        self._enough = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def run(self, tensors: Tensors, rows: int) -> Outputs:
        """Give the outputs for a request of at most ``self.rows`` rows; raise what the model raises on it."""
        answer: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(tensors, rows, answer))
        if self._is_enough():
            self._enough.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        """Run batches until nothing waits."""
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                if not self._is_enough():
                    self._enough.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._wait):
                            await self._enough.wait()
                batch = self._take()
                if not batch:
                    continue
                results = await self._aside(self._together, batch)
                self._expected = len(batch) + len(self._waiting)
                for one, result in zip(batch, results, strict=True):
                    _settle(one.answer, result)
        except BaseException as error:
            # the threads have ended, or the loop does: nobody may wait for ever
            for one in (*batch, *self._waiting):
                _settle(one.answer, RuntimeError(f"this process is ending: {error!r}"))
            self._waiting.clear()
            if not isinstance(error, RuntimeError):
                raise
        finally:
            self._worker = None

    def _is_enough(self) -> bool:
        there = len(self._waiting)
        return there >= self._expected or sum(one.rows for one in self._waiting) >= self.rows

    def _take(self) -> list[_Waiting]:
        """Take as many requests off the queue as one run may have, without those that were given up."""
        batch: list[_Waiting] = []
        room, taken = self.rows, 0
        for one in self._waiting:
            if not one.answer.done():
                if one.rows > room:
                    break
                room -= one.rows
                batch.append(one)
            taken += 1
        del self._waiting[:taken]
        return batch

    def _together(self, batch: Sequence[_Waiting]) -> list[Outputs | Exception]:
        """Run several requests as one."""
        self._counts["batches"] += 1
        self._counts["batched_requests"] += len(batch)
        return self._attempt(batch)

    def _attempt(self, batch: Sequence[_Waiting]) -> list[Outputs | Exception]:
        """Run what waits as one; where that fails, halve it until those that fail alone are found."""
        try:
            return [*_split(self._run_model(_join(batch)), [one.rows for one in batch])]
        except Exception as error:  # noqa: BLE001 - engines raise many unrelated classes
            if len(batch) == 1:
                return [error]
            self._counts["batches_failed"] += 1
            _log.warning("a run of %d requests failed and is repeated in halves", len(batch))
        middle = len(batch) // 2
        return self._attempt(batch[:middle]) + self._attempt(batch[middle:])


def _settle(answer: asyncio.Future[Outputs], result: Outputs | Exception) -> None:
    """Give a result to whoever waits for it, if somebody still does."""
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _join(batch: Sequence[_Waiting]) -> Tensors:
    if len(batch) == 1:
        return batch[0].tensors
    return {name: np.concatenate([one.tensors[name] for one in batch]) for name in batch[0].tensors}


def _split(outputs: Outputs, rows: Sequence[int]) -> Iterator[Outputs]:
    total = sum(rows)
    for name, values in outputs.items():
        if len(values) != total:
            raise ValueError(f"the output {name!r} has {len(values)} values for {total} rows")
    start = 0
    for count in rows:
        yield {name: values[start : start + count] for name, values in outputs.items()}
        start += count
