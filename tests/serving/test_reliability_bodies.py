"""Bodies too large, too deep, too wide or not what they say: the right status, and no trace left."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import psutil

from tests.models import BuiltModel
from tests.serving.conftest import Served
from tests.serving.refusals import still_sound

MEGABYTE = 2**20
DEEP = (200, 260, 500, 1000, 5000, 100_000)


def test_texts_in_other_encodings_are_refused_by_name(process: Served, iris: BuiltModel) -> None:
    row = iris.rows(1)[0]
    text = json.dumps([row])
    bodies: dict[bytes, int] = {
        text.encode("utf-8-sig"): 200,
        text.encode("utf-16"): 400,
        text.encode("utf-16-le"): 400,
        text.encode("utf-32"): 400,
        text.replace("coast", "\xe9").encode("latin-1"): 400,
        json.dumps([row | {"site": "SITE"}]).encode().replace(b"SITE", b"\xed\xa0\x80"): 400,
        json.dumps([row | {"site": "\ud800"}]).encode(): 400,
        json.dumps([row | {"extra\udfff": 1}]).encode(): 400,
        json.dumps({"records": [row], "ids": ["\ud800"]}).encode(): 400,
        json.dumps([row | {"site": "\U0001f6eb"}]).encode(): 200,
        gzip.compress(text.encode()): 400,
    }
    for body, status in bodies.items():
        answer = process.send(body)
        assert (answer.status_code, bool(answer.json().get("hint"))) == (status, status != 200), body[:80]
    for path, body in (("/predict", text), ("/outcomes", '{"outcomes": [{"id": "a", "outcome": 1}]}')):
        headers = {"Content-Encoding": "gzip"}
        answer = process.client.post(path, content=gzip.compress(body.encode()), headers=headers)
        assert answer.status_code == 415
        assert answer.headers["accept-encoding"] == "identity"
    for kind in (
        "application/json; charset=utf-16",
        "application/x-ndjson; charset=utf-16",
        "text/csv; charset=x",
    ):
        answer = process.client.post("/predict", content=text, headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    assert process.client.post("/predict", content=b"x", headers=headers).status_code == 415
    outcome = {"outcomes": [{"id": "a", "outcome": "\ud800"}]}
    assert process.client.post("/outcomes", content=json.dumps(outcome)).status_code == 400
    still_sound(process, iris)


def test_what_is_nested_deep_is_refused_or_let_pass_wherever_it_stands(
    process: Served, iris: BuiltModel
) -> None:
    row = json.dumps(iris.rows(1)[0])[1:-1].encode()
    for depth in DEEP:
        lists, objects = b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
        for deep in (lists, objects, lists.replace(b"[]", b"[NaN]")):
            refused = process.send(b"[{" + row.replace(b"5.1", deep) + b"}]")
            assert refused.status_code in (400, 422), (depth, refused.text[:200])
            assert refused.json()["hint"]
            extra = process.send(b"[{" + row + b',"more":' + deep + b"}]")
            assert extra.status_code in (200, 400), (depth, extra.text[:200])
            body = b'{"instances":[{' + row + b',"more":' + deep + b"}]}"
            assert process.client.post("/invocations", content=body).status_code in (200, 400)
            outcome = b'{"outcomes":[{"id":"a","outcome":1,"more":' + deep + b"}]}"
            assert process.client.post("/outcomes", content=outcome).status_code in (202, 400)
    still_sound(process, iris)


def test_numbers_that_are_none_are_named(process: Served, iris: BuiltModel) -> None:
    text = json.dumps(iris.rows(1))
    for number, found in (
        ("NaN", "null"),
        ("Infinity", "infinity"),
        ("-Infinity", "infinity"),
        ("1e999", "infinity"),
        ("9" * 5000, "infinity"),
    ):
        answer = process.send(text.replace("5.1", number))
        assert answer.status_code == 422, number[:20]
        (finding,) = answer.json()["findings"]
        assert (finding["column"], finding["found"]) == ("sepal_length", found), number[:20]
    for time, status in (("1e9", 202), ("1e400", 400), ("-1e99", 400)):
        body = f'{{"outcomes":[{{"id":"a","outcome":NaN,"time":{time}}}]}}'
        assert process.client.post("/outcomes", content=body).status_code == status
    still_sound(process, iris)


class Memory:
    """The most that a process holds while it is watched, beyond what it held before, in bytes."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._before = self._process.memory_info().rss
        self.growth = 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.growth = max(self.growth, self._process.memory_info().rss - self._before)


def test_a_hundred_megabytes_are_refused_without_being_held(process: Served, iris: BuiltModel) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * MEGABYTE

    still_sound(process, iris)
    with Memory(process.process.pid) as memory:
        sized = process.client.post("/predict", content=b" " * 100 * MEGABYTE)
        chunked = process.client.post("/predict", content=pieces())
        outcomes = process.client.post("/outcomes", content=pieces())
    assert [answer.status_code for answer in (sized, chunked, outcomes)] == [413, 413, 413]
    assert "16,777,216" in chunked.json()["error"]
    # A body is read up to the limit, in parts that are then joined.
    assert memory.growth < 60 * MEGABYTE
    still_sound(process, iris)


MILLION = 10**6
WIDE = b",".join(b'"%d":1' % number for number in range(MILLION))
TOO_MANY: dict[str, tuple[str, bytes]] = {
    "records": ("/predict", b"[" + b"{}," * (MILLION - 1) + b"{}]"),
    "columns": ("/predict", b'{"columns":{"site":[' + b"1," * (MILLION - 1) + b"1]}}"),
    "split": ("/predict", b'{"split":{"columns":[],"data":[' + b"[]," * (MILLION - 1) + b"[]]}}"),
    "instances": ("/invocations", b'{"instances":[' + b"1," * (MILLION - 1) + b"1]}"),
    "outcomes": ("/outcomes", b'{"outcomes":[' + b"1," * (MILLION - 1) + b"1]}"),
    "csv": ("/predict", b"site\n" + b"hill\n" * MILLION),
    "names in a row": ("/predict", b"[{" + WIDE + b"}]"),
    "names of columns": ("/predict", b'{"columns":{' + WIDE.replace(b":1", b":[1]") + b"}}"),
    "names over rows": ("/predict", b"[{}," + b",".join(b'{"%d":1}' % one for one in range(9000)) + b"]"),
}


def test_a_million_rows_or_columns_are_refused_in_every_shape(process: Served, iris: BuiltModel) -> None:
    for name, (path, body) in TOO_MANY.items():
        headers = {"Content-Type": "text/csv"} if name == "csv" else {}
        answer = process.client.post(path, content=body, headers=headers)
        few = name == "names over rows"
        assert answer.status_code == (422 if few else 413), (name, answer.text[:200])
        assert answer.json()["hint"]
    still_sound(process, iris)
    served: dict[str, Any] = process.records()[-1]
    assert served["kind"] == "prediction"
