from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from taxiway.serving import tuning
from taxiway.serving.batching import Batcher, Outputs, Tensors
from taxiway.serving.runtime import Runtime
from taxiway.serving.tuning import ROWS, Batching, tune
from tests.models import BuiltModel
from tests.serving.conftest import Serve
from tests.serving.networks import ITEMS, centred, embedding

CLIENTS = 12


@pytest.fixture(scope="session")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedding(tmp_path_factory.mktemp("models") / "recommender")


class Doubler:
    """A model that doubles numbers, counts its runs, and cannot bear a negative one."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def __call__(self, tensors: Tensors) -> Outputs:
        values = tensors["x"].reshape(-1)
        self.runs.append(len(values))
        if (values < 0).any():
            raise ValueError("negative")
        return {"y": (values * 2).tolist()}


@contextmanager
def batcher(model: Any, rows: int = 32, wait: float = 60.0) -> Iterator[tuple[Batcher, Counter[str]]]:
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(1) as pool:

        async def aside(function: Any, *arguments: Any) -> Any:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

        yield Batcher(model, aside, rows=rows, wait=wait, counts=counts), counts


def tensors(*values: float) -> Tensors:
    return {"x": np.array(values).reshape(-1, 1)}


async def ask(one: Batcher, *values: float) -> Any:
    return (await one.run(tensors(*values), len(values)))["y"]


def test_what_waits_while_the_model_runs_is_run_together_and_each_gets_its_own() -> None:
    model = Doubler()
    with batcher(model) as (one, counts):

        async def scene() -> list[Any]:
            return await asyncio.gather(*(ask(one, n, n + 0.5) if n % 2 else ask(one, n) for n in range(9)))

        answers = asyncio.run(scene())
    assert answers == [[2 * n, 2 * n + 1] if n % 2 else [2 * n] for n in range(9)]
    assert len(model.runs) < 9
    assert sum(model.runs) == 13
    assert counts == {"batches": len(model.runs), "batched_requests": 9}


def test_a_request_that_fails_the_model_fails_alone() -> None:
    model = Doubler()
    with batcher(model) as (one, counts):

        async def scene() -> list[Any]:
            asked = (ask(one, -n if n in (3, 10) else n) for n in range(16))
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(scene())
    assert [n for n, answer in enumerate(answers) if isinstance(answer, ValueError)] == [3, 10]
    assert [answer for answer in answers if isinstance(answer, list)] == [
        [2 * n] for n in range(16) if n not in (3, 10)
    ]
    assert counts["batches_failed"] > 0


def test_a_single_client_waits_for_nobody() -> None:
    with batcher(Doubler(), wait=60) as (one, counts):

        async def scene() -> None:
            for number in range(20):
                async with asyncio.timeout(30):
                    assert await ask(one, number) == [2 * number]

        asyncio.run(scene())
    assert counts["batches"] == 20


def test_a_run_waits_for_the_clients_of_the_last_one() -> None:
    model = Doubler()
    with batcher(model, wait=60) as (one, _):

        async def scene() -> None:
            await asyncio.gather(*(ask(one, n) for n in range(8)))  # all of them are expected again
            model.runs.clear()
            asked = [asyncio.create_task(ask(one, 0))]
            await asyncio.sleep(0.02)
            assert not model.runs
            asked += [asyncio.create_task(ask(one, n)) for n in range(1, 8)]
            await asyncio.gather(*asked)

        asyncio.run(scene())
    assert model.runs == [8]


def test_a_run_waits_no_longer_than_it_may() -> None:
    model = Doubler()
    with batcher(model, wait=0.02) as (one, _):

        async def scene() -> None:
            await asyncio.gather(*(ask(one, n) for n in range(8)))
            model.runs.clear()
            async with asyncio.timeout(30):
                await ask(one, 1)  # seven of eight stay away

        asyncio.run(scene())
    assert model.runs == [1]


def test_no_run_has_more_rows_than_it_may() -> None:
    model = Doubler()
    with batcher(model, rows=8, wait=0.01) as (one, _):

        async def scene() -> None:
            asked = (ask(one, *range(size)) for size in [3, 3, 3, 8, 1, 5, 8, 2] * 4)
            await asyncio.gather(*asked)

        asyncio.run(scene())
    assert max(model.runs) == 8
    assert sum(model.runs) == 4 * 33


def test_a_request_that_was_given_up_is_not_run() -> None:
    model = Doubler()
    with batcher(model) as (one, _):

        async def scene() -> None:
            asked = [asyncio.create_task(ask(one, n)) for n in range(6)]
            await asyncio.sleep(0)
            asked[4].cancel()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(answers.pop(4), asyncio.CancelledError)
            assert answers == [[0], [2], [4], [6], [10]]

        asyncio.run(scene())
    assert sum(model.runs) == 5


def test_nobody_waits_for_ever_when_the_process_ends() -> None:
    model = Doubler()

    async def ended(*_: Any) -> Any:
        raise RuntimeError("cannot schedule new futures after shutdown")

    one = Batcher(model, ended, rows=8, wait=0.0, counts=Counter())

    async def scene() -> list[Any]:
        return await asyncio.gather(*(ask(one, n) for n in range(3)), return_exceptions=True)

    assert all(isinstance(answer, RuntimeError) for answer in asyncio.run(scene()))


def test_an_output_that_is_not_one_value_a_row_is_not_cut_up() -> None:
    with batcher(lambda given: {"y": [len(given["x"])]}) as (one, _):

        async def scene() -> list[Any]:
            return await asyncio.gather(*(ask(one, n) for n in range(4)))

        assert asyncio.run(scene()) == [[1]] * 4


class Timed(Runtime):
    """Takes the milliseconds that it is told to take, divided by its threads as far as they help."""

    alone, each, helpful = 0.0, 0.0, 1

    def time(self, rows: int, repeats: int = 5) -> float:
        self.sizes = [*getattr(self, "sizes", []), rows]
        return (self.alone + (rows - 1) * self.each) / min(self.threads, self.helpful)


@pytest.mark.parametrize(
    ("alone", "each", "rows"), [(0.05, 0.0, 0), (4.0, 0.1, ROWS), (4.0, 3.9, 0), (900.0, 10.0, ROWS)]
)
def test_requests_are_joined_where_more_rows_cost_little(
    recommender: Path, alone: float, each: float, rows: int
) -> None:
    runtime = Timed(recommender)
    runtime.alone, runtime.each = alone, each
    runtime.self_check()
    tune(runtime, threads=1)
    assert runtime.batch_rows == rows


@pytest.mark.parametrize(
    ("alone", "helpful", "asked", "threads"),
    [(9.0, 4, None, 4), (9.0, 1, None, 1), (0.5, 4, None, 1), (9.0, 4, 2, 2)],
)
def test_a_large_model_gets_the_threads_that_it_is_faster_with(
    recommender: Path,
    alone: float,
    helpful: int,
    asked: int | None,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "processors", lambda: 4)
    runtime = Timed(recommender, threads=asked or 1)
    runtime.alone, runtime.each, runtime.helpful = alone, alone, helpful
    runtime.self_check()
    before = runtime.predict(runtime.sample_columns(2))["score"]
    tune(runtime, asked)
    assert runtime.threads == threads
    assert runtime.predict(runtime.sample_columns(2))["score"] == pytest.approx(before, rel=1e-4)


def test_on_a_gpu_requests_are_joined_and_every_size_is_warm_before_the_first(recommender: Path) -> None:
    runtime = Timed(recommender)
    runtime.device = "cuda:0"
    tune(runtime)
    assert runtime.batch_rows == ROWS
    assert runtime.sizes == [1, 2, 4, 8, 16, 32]


def test_requests_are_never_joined_where_a_row_changes_anothers_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = Runtime(centred(tmp_path / "centred"))
    with caplog.at_level(logging.WARNING):
        tune(runtime, batching=Batching(rows=16))
    assert runtime.batch_rows == 0
    assert "answers a row otherwise when others are beside it" in caplog.text


@pytest.mark.parametrize(("asked", "rows"), [(None, 0), (0, 0), (1, 0), (16, 16)])
def test_a_small_model_is_not_joined_unless_that_is_asked_for(
    iris: BuiltModel, asked: int | None, rows: int
) -> None:
    runtime = Runtime(iris.path)
    runtime.self_check()
    tune(runtime, batching=Batching(rows=asked))
    assert (runtime.batch_rows, runtime.threads) == (rows, 1)


def test_a_bad_row_harms_none_of_the_requests_that_come_with_it(serve: Serve, recommender: Path) -> None:
    model = BuiltModel(recommender, "recommender", "", None, pd.DataFrame())  # type: ignore[arg-type]
    served = serve("--batch-rows", "32", "--threads", "1", model=model)
    runtime = Runtime(recommender)

    def post(row: dict[str, Any]) -> httpx.Response:
        return served.post("/predict", [row])

    good = [{"item": n % ITEMS, "amount": n / 8} for n in range(10 * CLIENTS)]
    bad = [{"item": "seven", "amount": 1.0}, {"item": 10**6, "amount": 1.0}] * 5
    with ThreadPoolExecutor(CLIENTS) as pool:
        asked: list[tuple[dict[str, Any], Future[httpx.Response]]] = []
        for place, row in enumerate(good):
            asked.append((row, pool.submit(post, row)))
            if place % 12 == 5:
                asked.append((bad[-1], pool.submit(post, bad.pop())))
        answers = [(row, future.result()) for row, future in asked]
    scores = runtime.predict({name: [row[name] for row in good] for name in ("item", "amount")})["score"]
    given = [answer for row, answer in answers if row in good]
    assert {answer.status_code for answer in given} == {200}
    np.testing.assert_allclose(
        [one.json()["predictions"][0]["score"] for one in given], scores, rtol=1e-4, atol=1e-5
    )
    refused = Counter(answer.status_code for row, answer in answers if row not in good)
    assert refused == {422: 5, 500: 5}
    metrics = dict(line.rsplit(" ", 1) for line in served.get("/metrics").text.splitlines() if line[0] != "#")
    assert int(metrics["taxiway_batched_requests_total"]) == len(good) + 5
    assert int(metrics["taxiway_batches_total"]) < len(good)
    records = [record for record in served.records() if record["kind"] == "prediction"]
    assert len({record["request"] for record in records}) == len(good)
