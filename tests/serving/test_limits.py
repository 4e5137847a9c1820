from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from taxiway.signature import Column, Output, Signature
from tests.load import Load, ask
from tests.models import BuiltModel
from tests.serving.conftest import Serve, Served
from tests.waiting import wait_until

FIRST_TURNS = 15_000


@pytest.fixture(scope="session")
def turning(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """A model that takes as long as its row says: it goes so many turns of a loop."""
    from onnx import TensorProto, helper, save

    def scalar(name: str, kind: int, value: float) -> Any:
        return helper.make_tensor(name, kind, [], [value])

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Add", ["sum", "step"], ["more"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.DOUBLE, []),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.DOUBLE, []),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["turns"], ["most"], keepdims=0),
        helper.make_node("Loop", ["most", "true", "zero"], ["total"], body=body),
        helper.make_node("Cast", ["turns"], ["own"], to=TensorProto.DOUBLE),
        helper.make_node("Max", ["own", "total"], ["gone"]),
    ]
    graph = helper.make_graph(
        nodes,
        "turning",
        [helper.make_tensor_value_info("turns", TensorProto.INT64, [None, 1])],
        [helper.make_tensor_value_info("gone", TensorProto.DOUBLE, [None, 1])],
        [
            scalar("true", TensorProto.BOOL, True),
            scalar("zero", TensorProto.DOUBLE, 0.0),
            scalar("step", TensorProto.DOUBLE, 1.0),
        ],
    )
    folder = tmp_path_factory.mktemp("models") / "turning"
    folder.mkdir()
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(made, folder / "model.onnx")
    signature = Signature((Column("turns", "int64"),), (Output("gone", "float64"),))
    output = {"name": "gone", "tensor": "gone", "index": None}
    sample = {"records": [{"turns": FIRST_TURNS}], "outputs": {"gone": [float(FIRST_TURNS)]}}
    for name, content in (
        ("model.json", {"name": "turning", "version": "2" * 12, "outputs": [output]}),
        ("signature.json", signature.to_dict()),
        ("sample.json", sample),
    ):
        (folder / name).write_text(json.dumps(content))
    return BuiltModel(folder, "turning", "2" * 12, None, None)  # type: ignore[arg-type]


def connect(served: Served, receive_buffer: int | None = None) -> socket.socket:
    """Open a connection; a small buffer of its own makes a client that reads little."""
    address = urlsplit(served.url)
    client = socket.socket()
    client.settimeout(30)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect((address.hostname, address.port))
    return client


def head(length: int) -> bytes:
    return b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length


def everything(client: socket.socket) -> bytes:
    """Read until the server closes."""
    parts = []
    while part := client.recv(2**16):
        parts.append(part)
    return b"".join(parts)


def holds(served: Served, clients: list[socket.socket]) -> bool:
    """Whether the server has any of the clients' connections open."""
    ports = {client.getsockname()[1] for client in clients}
    held = psutil.Process(served.process.pid).net_connections()
    return any(one.raddr and one.raddr.port in ports for one in held)


def test_each_stage_of_a_request_has_its_time_and_what_is_late_holds_nothing(
    serve: Serve, turning: BuiltModel
) -> None:
    served = serve(
        *("--head-seconds", "0.5", "--body-seconds", "0.5", "--predict-seconds", "0.5"),
        *("--send-seconds", "1.5", "--max-requests", "4", "--batch-rows", "0"),
        model=turning,
    )
    heads = [connect(served) for _ in range(4)]
    for client in heads:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\n")
    for client in heads:
        assert everything(client).startswith(b"HTTP/1.1 408 ")
    bodies = [connect(served) for _ in range(4)]
    for client, sent in zip(bodies, (b"", b"[", b"[{", b'[{"turns"'), strict=True):
        client.sendall(head(20) + sent)
    for client in bodies:
        text = everything(client)
        assert text.startswith(b"HTTP/1.1 408 ")
        assert b"within 0.5 s" in text
    with ThreadPoolExecutor(4) as clients:
        late = list(clients.map(lambda _: served.post("/predict", [{"turns": 800_000}]), range(4)))
    assert {answer.status_code for answer in late} == {503}
    assert {answer.headers["retry-after"] for answer in late} == {"1"}
    assert "within 0.5 s" in late[0].json()["error"]
    assert served.get("/readyz").status_code == 200
    # The runs go on in their threads; once they have ended, there is room again for as many as before.
    wait_until(lambda: served.post("/predict", [{"turns": 1}]).status_code == 200, "the threads")
    unread = [connect(served, receive_buffer=4096) for _ in range(2)]
    for client in unread:
        # Many megabytes of answers: more than the kernel holds for a client that does not read.
        client.sendall(b"GET /schema HTTP/1.1\r\nhost: x\r\n\r\n" * 2000)
    wait_until(lambda: holds(served, unread), "the connections")
    wait_until(lambda: not holds(served, unread), "the cut")
    assert ask(served.url, "/predict", [{"turns": 1}])[0] == 200
    for client in (*heads, *bodies, *unread):
        client.close()
    served.client.close()
    served.process.terminate()
    assert served.process.wait(20) == 0
    assert served.process.stderr is not None
    log = served.process.stderr.read()
    assert log.count("left its answer unread") == 2
    assert "Traceback" not in log


def test_beyond_the_most_requests_at_once_clients_are_told_to_come_again_and_nobody_else_suffers(
    serve: Serve, turning: BuiltModel
) -> None:
    served = serve("--max-requests", "4", "--batch-rows", "0", model=turning)
    statuses: Counter[int] = Counter()
    told: set[str | None] = set()
    over = threading.Event()

    def go_on_asking() -> None:
        connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=30)
        while not over.is_set():
            connection.request("POST", "/predict", json.dumps([{"turns": FIRST_TURNS}]))
            with connection.getresponse() as answer:
                answer.read()
            statuses[answer.status] += 1
            if answer.status == 429:
                told.add(answer.getheader("retry-after"))
        connection.close()

    with ThreadPoolExecutor(12) as clients:
        running = [clients.submit(go_on_asking) for _ in range(12)]
        wait_until(lambda: statuses[200] >= 20 and statuses[429] >= 20, "both answers")
        health = [served.get(path).status_code for path in ("/ping", "/healthz", "/readyz")]
        over.set()
        for one in running:
            one.result()
    assert health == [200, 200, 200]
    assert set(statuses) == {200, 429}
    assert told == {"1"}
    assert (
        f'taxiway_requests_total{{route="/predict",status="429"}} {statuses[429]}'
        in served.get("/metrics").text
    )
    assert len([one for one in served.records() if one["kind"] == "prediction"]) == statuses[200]
    # Nothing is held that was refused or answered: four go in at once.
    halves = [connect(served) for _ in range(4)]
    body = b'[{"turns":1}]'
    for client in halves:
        client.sendall(head(len(body)) + body[:3])
    wait_until(lambda: ask(served.url, "/predict", [{"turns": 1}])[0] == 429, "the four")
    for client in halves:
        client.sendall(body[3:])
        assert client.recv(2**16).startswith(b"HTTP/1.1 200 ")
        client.close()
    assert ask(served.url, "/predict", [{"turns": 1}])[0] == 200


def test_a_drain_under_load_fails_no_request_that_was_taken(serve: Serve, iris: BuiltModel) -> None:
    served = serve("--drain-seconds", "20")
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in iris.rows(2000))
    upload = connect(served)
    kind = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
    upload.sendall(kind + b"content-length: %d\r\n\r\n" % len(lines))
    upload.sendall(lines[: len(lines) // 2])
    with Load(served.url, iris.rows(150), keep_alive=4, fresh=0, pause=0.0) as load:
        load.wait_for(200)
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: load.failures, "the listener to be closed")
        upload.sendall(lines[len(lines) // 2 :])
        answered = b""
        while not answered.endswith(b"0\r\n\r\n"):
            part = upload.recv(2**16)
            assert part, "the upload was cut off"
            answered += part
        time.sleep(0.2)
    upload.close()
    assert served.process.wait(25) == 0
    assert all("ConnectionRefused" in failure for failure in load.failures), load.failures[:3]
    assert answered.count(b'"probability_versicolor"') == 2000
    written = Counter(one for record in served.records() for one in record["ids"])
    assert set(load.answered) <= set(written)
    assert set(written.values()) == {1}
    assert len(written) == len(load.answered) + 2000
