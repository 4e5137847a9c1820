"""Large batches, one object a line: answered while they come, each row where it stands."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.models import BuiltModel
from tests.serving.conftest import Serve, Served
from tests.waiting import wait_until

HEADERS = {"Content-Type": "application/x-ndjson", "X-Request-Id": "batch"}


def post(served: Served, body: bytes | Iterator[bytes], path: str = "/predict") -> list[dict[str, Any]]:
    response = served.client.post(path, content=body, headers=HEADERS)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_bad_row_is_answered_in_its_place_and_harms_no_other(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    good = [json.dumps(row) for row in iris.rows(4)]
    warm = json.dumps(iris.rows(1)[0] | {"sepal_length": "warm"})
    moon = json.dumps(iris.rows(1)[0] | {"site": "moon"})
    lines = [good[0], "{", good[1], warm, "3", good[2], "", "[1, 2]", moon, good[3], "{}"]
    answers = post(served, "\r\n".join(lines).encode())
    places = [answer.get("row", answer.get("id")) for answer in answers]
    assert places == ["batch-0", 1, "batch-2", 3, 4, "batch-5", 6, "batch-7", "batch-8", 9]
    alone = served.post("/predict", iris.rows(4)).json()["predictions"]
    answered = [answers[place] for place in (0, 2, 5, 8)]
    assert [one | {"id": ""} for one in answered] == [one | {"id": ""} for one in alone]
    assert "not JSON" in answers[1]["error"]
    assert answers[3]["findings"][0]["column"] == "sepal_length"
    assert (answers[7]["findings"][0]["kind"], answers[7]["findings"][0]["row"]) == ("new_category", 7)
    assert all(answer["hint"] for answer in answers if "error" in answer)
    rejected, predicted, _ = served.records()
    assert (rejected["kind"], rejected["rows"]) == ("rejected", 2)
    assert predicted["ids"] == ["batch-0", "batch-2", "batch-5", "batch-7", "batch-8"]
    assert predicted["inputs"]["site"][3] == "moon"


def test_a_list_is_a_row_in_the_signatures_order(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    body = "".join(json.dumps(list(row.values())) + "\n" for row in iris.rows(3)).encode()
    assert [one["label"] for one in post(served, body, "/invocations")] == ["setosa"] * 3


def test_rows_are_answered_while_more_are_to_come(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    address = urlsplit(served.url)
    line = json.dumps(iris.rows(1)[0]).encode() + b"\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
        client.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
        received = b""
        for number in range(3):
            client.sendall(b"%x\r\n%b\r\n" % (len(line), line))
            while received.count(b'"label"') <= number:
                received += client.recv(65536)
        client.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += client.recv(65536)
    assert received.count(b'"label"') == 3


def test_memory_does_not_grow_with_the_rows_and_a_client_may_send_all_before_it_reads(
    serve: Serve, iris: BuiltModel
) -> None:
    """http.client and httpx read nothing before all is sent: answers must not wait for them meanwhile."""
    served = serve("--max-body", "100000")
    block = b"".join(json.dumps(row).encode() + b"\n" for row in iris.rows(1000))
    process = psutil.Process(served.process.pid)
    served.post("/predict", iris.rows(10))
    post(served, block)
    before, peak, done = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=120)
    connection.request("POST", "/predict", (block for _ in range(150)), HEADERS, encode_chunked=True)
    response = connection.getresponse()
    rows = sum(1 for line in response if b'"label"' in line)
    connection.close()
    done.set()
    watcher.join()
    assert rows == 150_000
    assert peak[0] - before < 25 * 2**20
    assert {one.name for one in served.spool.iterdir() if one.suffix != ".spool"} <= {"losses"}
    metrics = served.get("/metrics").text
    assert "taxiway_predictions_total 151010" in metrics


def test_a_body_without_rows_or_with_an_endless_line_is_refused(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    for body in (b"", b"\n\n \n"):
        refused = served.client.post("/predict", content=body, headers=HEADERS)
        assert refused.status_code == 400
        assert refused.json()["hint"]
    assert served.client.post("/predict", content=b"[" * 2**21, headers=HEADERS).status_code == 413
    good = json.dumps(iris.rows(1)[0]).encode() + b"\n"
    first, last = post(served, iter([good, b"[" * 2**21]))
    assert first["label"] == "setosa"
    assert "longer than" in last["error"]


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    address = urlsplit(served.url)
    block = b"".join(json.dumps(row).encode() + b"\n" for row in iris.rows(1000))
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port), timeout=10) as client:
            head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
            client.sendall(head + b"content-length: 100000000\r\n\r\n" + block)
    process = psutil.Process(served.process.pid)
    wait_until(lambda: not any(one.raddr for one in process.net_connections()), "all to be let go")
    assert served.post("/predict", iris.rows(1)).status_code == 200
    assert 'route="/predict",status="200"' in served.get("/metrics").text


@pytest.mark.parametrize(
    "body", [b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"a": NaN}\n', b"null\n", b'"x"\n']
)
def test_hostile_lines_are_answered_as_rows(serve: Serve, iris: BuiltModel, body: bytes) -> None:
    served = serve()
    good = json.dumps(iris.rows(1)[0]).encode()
    bad, fine = post(served, body + good)
    assert bad["row"] == 0
    assert bad["error"]
    assert fine["label"] == "setosa"
