"""A table of numbers as an Arrow stream: the quick way gives and logs what JSON does, and judges alike."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pytest

from taxiway.serving.app import App, create_app
from taxiway.serving.protocols import arrow
from taxiway.serving.spool import list_segments, read_segment
from tests.models import NUMBERS, BuiltModel, iris_frame

STREAM = b"application/vnd.apache.arrow.stream"
JSON = b"application/json"


@pytest.fixture
def app(numbers: BuiltModel, tmp_path: Path) -> Iterator[App]:
    made = create_app(numbers.path, tmp_path)
    yield made
    made.close()


def stream(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def post(app: App, body: bytes, kind: bytes, accept: bytes = JSON) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", kind), (b"accept", accept), (b"x-request-id", b"table")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    asyncio.run(app(scope, receive, send))
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], named, sent[1]["body"]


def last_record(app: App) -> dict[str, Any]:
    return [record for one in list_segments(app.spool.directory) for record in read_segment(one)[0]][-1]


def told_apart(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("time", "latency_ms")}


@pytest.mark.parametrize("rows", [1, 150, 3000])
def test_numbers_are_answered_and_logged_as_in_json(app: App, rows: int) -> None:
    frame = iris_frame()[0][NUMBERS]
    frame = pd.concat([frame] * 20, ignore_index=True).head(rows)
    body = stream(frame)
    batch = arrow.decode_numbers(app._served, body)
    assert batch is not None
    assert batch.arrays is not None, "no list is made"
    status, _, by_json = post(app, orjson.dumps(frame.to_dict("records")), JSON)
    assert status == 200
    wanted = told_apart(last_record(app))
    status, _, text = post(app, body, STREAM)
    assert (status, text) == (200, by_json)
    assert told_apart(last_record(app)) == wanted
    status, headers, answer = post(app, body, STREAM, STREAM)
    assert (status, headers["content-type"]) == (200, STREAM.decode())
    assert pa.ipc.open_stream(answer).read_all().to_pylist() == orjson.loads(by_json)["predictions"]
    assert told_apart(last_record(app)) == wanted


FRAME = iris_frame()[0][NUMBERS].head(5)
FOUND = {
    "a value is missing": FRAME.assign(sepal_width=[1.0, None, 2.0, 3.0, 3.0]),
    "a value is not a number": FRAME.assign(sepal_width=[1.0, float("nan"), 2.0, 3.0, 3.0]),
    "a value is infinite": FRAME.assign(sepal_width=[1.0, float("inf"), 2.0, 3.0, 3.0]),
    "a column more": FRAME.assign(account_type=1.0),
    "a column less": FRAME.drop(columns="sepal_width"),
    "whole numbers": FRAME.assign(sepal_width=[1, 2, 3, 4, 5]),
    "texts": FRAME.assign(sepal_width=["a", "b", "c", "d", "e"]),
    "no rows": FRAME.head(0),
}


@pytest.mark.parametrize("frame", FOUND.values(), ids=FOUND.keys())
def test_what_is_to_be_found_is_found_as_in_json(app: App, frame: pd.DataFrame) -> None:
    by_json = post(app, frame.to_json(orient="records").encode(), JSON)
    given = post(app, stream(frame), STREAM)
    if frame is FOUND["a value is infinite"]:
        assert given[0] == 422, "JSON has no infinity to compare with"
        return
    assert (given[0], given[2]) == (by_json[0], by_json[2])


def test_a_row_more_than_the_limit_is_refused(app: App) -> None:
    frame = pd.concat([FRAME] * 2001, ignore_index=True)
    assert post(app, stream(frame), STREAM)[0] == 413
