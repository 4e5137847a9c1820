"""The short way of a connection: heads that are known, bodies in pieces, tensors that stay where they are."""

from __future__ import annotations

import json
import logging
import random
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxiway.serving.app import create_app
from taxiway.serving.heads import KnownHead
from taxiway.serving.runtime import Runtime
from taxiway.serving.single import SingleRow
from taxiway.serving.spool import list_segments, read_segment
from taxiway.serving.tracing import CURRENT
from taxiway.serving.validation import Validator
from taxiway.signature import Column, Output, Signature
from tests.models import NUMBERS, BuiltModel
from tests.serving.conftest import Serve
from tests.serving.test_reliability_sockets import read_answer
from tests.waiting import wait_until

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nAccept: */*\r\n\r\n"
HEADERS = [(b"host", b"x"), (b"content-length", b"3"), (b"accept", b"*/*")]
#: Counts what goes the long way, where /metrics shows it.
COUNTING = """
from taxiway.serving.app import App
whole = App.__call__
async def count(self, scope, receive, send):
    self.metrics.mirrored["long"] += scope["type"] == "http" and scope["path"] == "/predict"
    await whole(self, scope, receive, send)
App.__call__ = count
"""


def test_a_known_head_is_the_same_but_for_the_length() -> None:
    known = KnownHead.of(HEAD % 3 + b"[1]", HEADERS, b"[1]")
    assert known is not None
    assert known.body(HEAD % 3 + b"[2]") == b"[2]"
    assert known.body(HEAD % 1000 + b"x" * 1000) == b"x" * 1000
    whole = HEAD % 4 + b"[12]"
    for other in (
        whole[:-1],
        whole + b"P",
        whole + whole,
        whole.replace(b"Host", b"host"),
        whole.replace(b"*/*", b"a/b"),
        whole.replace(b": 4", b": +4"),
        whole.replace(b": 4", b": 4 "),
        whole.replace(b": 4", b": "),
        whole.replace(b": 4", b": 4\r\nTransfer-Encoding: chunked"),
        whole.replace(b"/predict", b"/outcomes"),
        b"\r\n" + whole,
        b"",
    ):
        assert known.body(other) is None, other


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        ((HEAD % 3 + b"[1]") * 2, HEADERS),
        (HEAD % 3 + b"[1]", [*HEADERS, (b"x-request-id", b"a")]),
        (HEAD % 3 + b"[1]", [*HEADERS, (b"transfer-encoding", b"chunked")]),
        (HEAD % 3 + b"[1]", [*HEADERS, (b"content-length", b"3")]),
        (HEAD % 30 + b"[1]", HEADERS),
        (b"x" * 5000 + HEAD % 3 + b"[1]", HEADERS),
    ],
)
def test_a_head_that_says_more_is_not_remembered(data: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    assert KnownHead.of(data, headers, b"[1]") is None


def test_on_one_connection_each_request_has_its_own_answer_however_it_comes(
    serve: Serve, numbers: BuiltModel
) -> None:
    served = serve(before=COUNTING, model=numbers)
    row = {name: numbers.rows(1)[0][name] for name in NUMBERS}
    sound = [[row | {"petal_width": value}] for value in (0.2, 0.25, 1, 1.75)]
    kinds: list[tuple[int, bytes]] = [(200, json.dumps(one).encode()) for one in sound]
    kinds += [(200, json.dumps([row, row]).encode()), (200, json.dumps([row | {"x": 1}]).encode())]
    kinds += [(400, b"{"), (422, b"[{}]")]
    generator = random.Random(3)
    asked = [*kinds, *(generator.choice(kinds) for _ in range(30))]
    place = urlsplit(served.url)
    names: list[str] = []
    for pieces in ("whole", "two", "many"):
        with socket.create_connection((place.hostname, place.port), 20) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = client.makefile("rb")
            for wanted, body in asked:
                head = HEAD % len(body)
                cut = generator.randrange(-len(head), len(body)) if pieces == "many" else 0
                if pieces == "whole":
                    cut = len(body)
                data = head + body
                client.sendall(data[: len(head) + cut])
                if pieces != "whole":
                    time.sleep(0.002)
                    client.sendall(data[len(head) + cut :])
                status, name, answer = read_answer(stream)
                assert status == wanted
                if status == 200:
                    names.append(name)
                    given = json.loads(answer)["predictions"]
                    assert len(given) == len(json.loads(body))
                    assert given[0]["prediction"] == pytest.approx(
                        sum(json.loads(body)[0][one] for one in list(row)[:3])
                    )
            stream.close()
    records = [one["request"] for one in served.records() if one["kind"] == "prediction"]
    assert sorted(records) == sorted(names)
    assert len(set(names)) == len(names)
    longer = sum(body not in [json.dumps(one).encode() for one in sound] for _, body in asked)
    assert _long(served.get("/metrics").text) == 3 * longer
    # A body that is late is waited for on the long way, which has a time for it.
    with socket.create_connection((place.hostname, place.port), 20) as client:
        _, body = kinds[0]
        client.sendall(HEAD % len(body) + body[:5])
        wait_until(lambda: _long(served.get("/metrics").text) == 3 * longer + 1, "the long way")
        client.sendall(body[5:])
        assert client.recv(2**16).startswith(b"HTTP/1.1 200 ")


def test_a_stream_cut_anywhere_is_answered_row_by_row_while_others_use_the_same_model(
    serve: Serve, numbers: BuiltModel
) -> None:
    """Bodies hold whole requests, known heads follow chunks and heads cut short, and threads run batches."""
    served = serve(model=numbers)
    place = urlsplit(served.url)
    generator = random.Random(11)
    row = {name: numbers.rows(1)[0][name] for name in NUMBERS}
    first = NUMBERS[0]
    rest = sum(row[name] for name in NUMBERS[1:3])
    smuggled = HEAD % 3 + b"[1]"
    asked: list[float | None] = []
    stream: list[bytes] = []
    for number in range(400):
        value = 4.5 + number / 300
        body = json.dumps([row | {first: value}]).encode()
        body += b" " * generator.randrange(3)
        kind = generator.choice(["known"] * 6 + ["chunked", "smuggled", "get", "many"])
        asked.append(None if kind in ("smuggled", "get") else value)
        if kind == "chunked":
            cut = generator.randrange(1, len(body))
            parts = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (body[:cut], body[cut:]))
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            stream.append(head + parts + b"0\r\n\r\n")
        elif kind == "smuggled":  # what is no JSON is nothing else either
            stream.append(HEAD % (2 * len(smuggled)) + smuggled * 2)
        elif kind == "get":
            stream.append(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        elif kind == "many":
            body = json.dumps([row | {first: value}] * 3).encode()
            stream.append(HEAD % len(body) + body)
        else:
            stream.append(HEAD % len(body) + body)
    data = b"".join(stream)
    lengths = np.cumsum([len(one) for one in stream])
    ended = threading.Event()
    wrong: list[object] = []

    def batches() -> None:
        rows = [row | {first: 4.5 + number / 5000} for number in range(3000)]
        body, wanted = json.dumps(rows).encode(), [one[first] + rest for one in rows]
        with httpx.Client(base_url=served.url, timeout=20) as client:
            while not ended.is_set():
                given = client.post("/predict", content=body).json()["predictions"]
                if [one["prediction"] for one in given] != pytest.approx(wanted):
                    wrong.append(given[:3])

    thread = threading.Thread(target=batches)
    thread.start()
    try:
        for pieces in ("requests", "anything"):
            with socket.create_connection((place.hostname, place.port), 20) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ends = lengths if pieces == "requests" else sorted(generator.sample(range(len(data)), 600))
                sender = threading.Thread(target=_send, args=(client, data, [*ends, len(data)]))
                sender.start()
                with client.makefile("rb") as answers:
                    for value in asked:
                        status, _, answer = read_answer(answers)
                        if value is None:
                            assert status == (400 if b"error" in answer else 200)
                            continue
                        assert status == 200
                        for one in json.loads(answer)["predictions"]:
                            assert one["prediction"] == pytest.approx(value + rest)
                sender.join()
    finally:
        ended.set()
        thread.join()
    assert not wrong
    records = [one for one in served.records() if len(one.get("outputs", {}).get("prediction", ())) in (1, 3)]
    for one in records:
        assert one["outputs"]["prediction"] == pytest.approx([value + rest for value in one["inputs"][first]])
    assert len(records) == 2 * sum(value is not None for value in asked)


def _send(client: socket.socket, data: bytes, ends: list[int]) -> None:
    start = 0
    for end in ends:
        client.sendall(data[start:end])
        start = end
        if end % 7 == 0:
            time.sleep(0.001)


def test_an_idle_connection_keeps_no_body(serve: Serve, numbers: BuiltModel) -> None:
    served = serve(model=numbers)
    place = urlsplit(served.url)
    process = psutil.Process(served.process.pid)
    row = json.dumps([{name: numbers.rows(1)[0][name] for name in NUMBERS}]).encode()
    clients = [socket.create_connection((place.hostname, place.port), 20) for _ in range(400)]

    def ask_all(body: bytes) -> int:
        for start in range(0, len(clients), 100):
            some = clients[start : start + 100]
            for client in some:  # in two pieces, so that the head is not known afterwards
                client.sendall(HEAD % len(body) + row)
            time.sleep(0.02)
            for client in some:
                client.sendall(body[len(row) :])
            for client in some:
                with client.makefile("rb") as answers:
                    assert read_answer(answers)[0] == 200
        return int(process.memory_info().rss)

    try:
        ask_all(row + b" " * 100)
        before = ask_all(row + b" " * 100)
        after = ask_all(row + b" " * 60_000)
    finally:
        for client in clients:
            client.close()
    assert after - before < 12 * 2**20, "400 bodies are 24 MB"


def test_what_single_rows_leave_is_read_back_as_one_record(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    for _ in range(3):
        assert served.post("/predict", iris.rows(1)).status_code == 200
    (segment,) = list_segments(served.spool)
    (record,) = read_segment(segment, joined=True)[0]
    alone = served.records()
    assert len(record["ids"]) == len(alone) == 3
    for name in ("request", "time", "latency_ms"):
        assert record[name].to_pylist() == [one[name] for one in alone]


def test_what_is_half_sent_when_the_drain_begins_is_answered(serve: Serve, numbers: BuiltModel) -> None:
    served = serve("--drain-seconds", "10", model=numbers)
    place = urlsplit(served.url)
    body = json.dumps([{name: numbers.rows(1)[0][name] for name in NUMBERS}]).encode()
    whole = HEAD % len(body) + body
    cuts = (5, len(whole) - len(body) - 2, len(whole) - len(body), len(whole) - 3, len(whole))
    clients = [socket.create_connection((place.hostname, place.port), 20) for _ in cuts]
    for client, cut in zip(clients, cuts, strict=True):
        client.sendall(whole)  # the head is known from here on
        assert client.recv(2**16).startswith(b"HTTP/1.1 200 ")
        client.sendall(whole[:cut] if cut < len(whole) else b"")
    time.sleep(0.1)
    served.process.terminate()
    wait_until(lambda: not served.takes(), "the drain")
    for client, cut in zip(clients, cuts, strict=True):
        client.sendall(whole[cut:] if cut < len(whole) else whole)
        answer = b"".join(iter(lambda client=client: client.recv(2**16), b""))
        assert answer.startswith(b"HTTP/1.1 200 "), cut
        assert b"\r\nconnection: close\r\n" in answer
        client.close()
    assert served.process.wait(20) == 0
    assert len(served.records()) == 2 * len(cuts)


def _long(metrics: str) -> int:
    found = re.search(r'taxiway_mirrored_total\{result="long"\} (\d+)', metrics)
    return int(found[1]) if found else 0


@pytest.fixture(scope="module", params=[[None, 2], [None, None]])
def mixed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of numbers of every dtype that gives numbers and a text; its shapes are static, or not told."""
    from onnx import TensorProto, helper, save

    kinds = {
        "double": TensorProto.DOUBLE,
        "float": TensorProto.FLOAT,
        "whole": TensorProto.INT64,
        "small": TensorProto.INT32,
        "truth": TensorProto.BOOL,
    }
    nodes = [helper.make_node("Cast", [name], [f"{name}_d"], to=TensorProto.DOUBLE) for name in kinds]
    nodes += [
        helper.make_node("Sum", [f"{name}_d" for name in kinds], ["sum"]),
        helper.make_node("Concat", ["sum", "whole_d"], ["pair"], axis=1),
        helper.make_node("Cast", ["small"], ["text"], to=TensorProto.STRING),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()],
        [
            helper.make_tensor_value_info("pair", TensorProto.DOUBLE, request.param),
            helper.make_tensor_value_info("text", TensorProto.STRING, [None, 1]),
        ],
    )
    folder = tmp_path_factory.mktemp("models")
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(made, folder / "model.onnx")
    outputs = [
        {"name": "sum", "tensor": "pair", "index": 0},
        {"name": "whole", "tensor": "pair", "index": 1},
        {"name": "text", "tensor": "text", "index": None},
    ]
    dtypes = ("float64", "float32", "int64", "int32", "bool")
    columns = tuple(Column(name, dtype) for name, dtype in zip(kinds, dtypes, strict=True))
    given = (Output("sum", "float64"), Output("whole", "float64"), Output("text", "string"))
    row = {"double": 0.5, "float": 0.25, "whole": 3, "small": 4, "truth": True}
    for name, content in (
        ("model.json", {"name": "mixed", "version": "3" * 12, "outputs": outputs}),
        ("signature.json", Signature(columns, given).to_dict()),
        ("sample.json", {"records": [row], "outputs": {}}),
    ):
        (folder / name).write_text(json.dumps(content))
    (folder / "static").write_text(str(int(request.param[1] is not None)))
    return folder


def test_tensors_that_stay_give_the_same_answers(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(mixed)
    runtime.self_check()
    validator = Validator(runtime.signature, runtime.bounds, runtime.holds_null)
    single = SingleRow(validator.columns, runtime.feeds)
    run = single.runner(runtime)
    if int((mixed / "static").read_text()):

        def no_longer(*_: Any) -> None:
            raise AssertionError

        monkeypatch.setattr(runtime, "run_row", no_longer)
    largest = float(np.finfo(np.float32).max)
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = []

    @settings(max_examples=150, deadline=None, database=None)
    @given(
        row=st.fixed_dictionaries(
            {
                "double": st.one_of(st.floats(allow_nan=False), st.integers(-(2**60), 2**60)),
                "float": st.one_of(st.floats(-largest, largest), st.integers(-(2**60), 2**60)),
                "whole": st.integers(-(2**63), 2**63 - 1),
                "small": st.integers(-(2**31), 2**31 - 1),
                "truth": st.booleans(),
            }
        )
    )
    def same(row: dict[str, Any]) -> None:
        values = single.read([row])
        if values is None:  # infinity
            return
        answer = run(values)
        kept.append((answer, dict(answer)))
        assert answer == {
            name: given[0]
            for name, given in runtime.predict({name: [value] for name, value in row.items()}).items()
        }

    same()
    # What was answered does not change with the next row.
    assert len(kept) > 50
    assert all(one == then for one, then in kept)


def test_a_model_that_fails_on_the_short_way_ran_once_and_the_client_is_told(
    numbers: BuiltModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_app(numbers.path, tmp_path / "spool")
    runs = []

    def fail(*_: Any) -> None:
        runs.append(CURRENT.get())
        raise RuntimeError("out of luck")

    monkeypatch.setattr(app._predictor, "_run_row", fail)
    body = json.dumps([dict.fromkeys(NUMBERS, 1.0)]).encode()
    with caplog.at_level(logging.ERROR):
        response = app.answer_at_once(b"bad-2", body, [(b"date", b"today")])
    app.close()
    assert response is not None
    head, _, text = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\ndate: today\r\n")
    assert b"\r\ncontent-length: %d\r\nx-request-id: bad-2" % len(text) in head
    assert "out of luck" in json.loads(text)["error"]
    assert len(runs) == 1
    assert app.metrics.requests == {("/predict", 500): 1}
    assert app.spool.written == 0
    assert [record.message for record in caplog.records] == ["the model failed on a request"]
