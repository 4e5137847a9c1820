"""Clients that do to their sockets what they should not: others are served, and nothing is left behind."""

from __future__ import annotations

import contextlib
import gc
import json
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import psutil
import pytest

from taxiway.serving.tuning import MOST_SIDE_BY_SIDE
from tests.models import BuiltModel
from tests.serving.conftest import Serve, Served
from tests.waiting import wait_until

POST = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
SOCKETS = 150


def connect(served: Served) -> socket.socket:
    address = urlsplit(served.url)
    client = socket.create_connection((address.hostname, address.port), timeout=20)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def request(
    body: bytes, path: bytes = b"/predict", kind: bytes = b"application/json", name: str = "-"
) -> bytes:
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: %b\r\n" % (path, kind)
    return head + b"content-length: %d\r\nx-request-id: %b\r\n\r\n" % (len(body), name.encode()) + body


def read_answer(stream: IO[bytes]) -> tuple[int, str, bytes]:
    """Read one response: its status, its request's id, and its body."""
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    body = b""
    if headers.get(b"transfer-encoding") == b"chunked":
        while length := int(stream.readline(), 16):
            body += stream.read(length)
            stream.readline()
        stream.readline()
    else:
        body = stream.read(int(headers[b"content-length"]))
    return status, headers[b"x-request-id"].decode(), body


def descriptors(served: Served) -> int:
    return psutil.Process(served.process.pid).num_fds()


@contextlib.contextmanager
def nothing_is_left(served: Served, iris: BuiltModel) -> Iterator[None]:
    """The descriptors are as many afterwards as before, and the process serves."""
    served.post("/predict", iris.rows(1))
    before = descriptors(served)
    yield
    gc.collect()
    wait_until(lambda: descriptors(served) <= before, f"{before} descriptors", 20)
    assert served.post("/predict", iris.rows(1)).status_code == 200
    assert served.get("/metrics").status_code == 200


def test_pipelined_requests_are_answered_in_their_order_whatever_way_each_takes(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve()
    one, many = json.dumps(iris.rows(1)).encode(), json.dumps(iris.rows(3000)).encode()
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in iris.rows(2500))
    outcome = b'{"outcomes":[{"id":"a","outcome":1}]}'
    kinds: list[tuple[int, bytes, dict[str, bytes]]] = [
        (200, one, {}),
        (200, many, {}),
        (200, one, {}),
        (200, lines, {"kind": b"application/x-ndjson"}),
        (200, one, {}),
        (202, outcome, {"path": b"/outcomes"}),
        (404, one, {"path": b"/nowhere"}),
        (422, b"[{}]", {}),
        (400, b"{", {}),
        (200, one, {}),
        (415, one, {"kind": b"text/xml"}),
        (200, one, {}),
    ]
    generator = random.Random(7)
    asked = [generator.choice(kinds) for _ in range(40)] + kinds
    sent = b"".join(
        request(body, name=f"r{number}", **more)  # type: ignore[arg-type]
        for number, (_, body, more) in enumerate(asked)
    )
    with nothing_is_left(served, iris):
        for sizes in ((len(sent),), (1, 7, 100, 5000, 65536)):
            with connect(served) as client, client.makefile("rb") as stream:
                writer = _Writer(client, sent, sizes, generator)
                answers = [read_answer(stream) for _ in asked]
                writer.join()
            assert [(status, name) for status, name, _ in answers] == [
                (status, f"r{number}") for number, (status, _, _) in enumerate(asked)
            ]
            rows = [body.count(b'"label"') for _, _, body in answers]
            assert rows == [_rows_of(status, body) for status, body, _ in asked]


def _rows_of(status: int, body: bytes) -> int:
    return body.count(b"sepal_length") if status == 200 else 0


class _Writer(threading.Thread):
    """Sends in pieces of such sizes, while the answers are read."""

    def __init__(
        self, client: socket.socket, data: bytes, sizes: tuple[int, ...], generator: random.Random
    ) -> None:
        super().__init__()
        self._client, self._data, self._sizes, self._generator = client, data, sizes, generator
        self.start()

    def run(self) -> None:
        place = 0
        while place < len(self._data):
            size = self._generator.choice(self._sizes)
            self._client.sendall(self._data[place : place + size])
            place += size


def test_a_client_that_has_finished_sending_is_answered(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    with nothing_is_left(served, iris):
        for rows in (1, 3000):
            body = json.dumps(iris.rows(rows)).encode()
            with connect(served) as client, client.makefile("rb") as stream:
                client.sendall(request(body))
                client.shutdown(socket.SHUT_WR)
                status, _, answer = read_answer(stream)
                assert (status, answer.count(b'"label"')) == (200, rows)
                assert stream.read() == b"", "and then the connection is closed"
        half = request(json.dumps(iris.rows(1)).encode())[:-5]
        with connect(served) as client:
            client.sendall(half)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1000)[:12] in (b"", b"HTTP/1.1 400")


def test_half_requests_in_many_sockets_keep_nobody_waiting_and_are_closed_in_time(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve("--head-seconds", "2", "--body-seconds", "2")
    with nothing_is_left(served, iris):
        head = POST + b"content-length: 1000\r\n"
        slow = [connect(served) for _ in range(3 * SOCKETS)]
        for number, client in enumerate(slow):
            client.sendall((b"POST", head, head + b"\r\n[{")[number % 3])
        for _ in range(20):
            # A byte of each now and then: neither a head nor a body gets more time by it.
            time.sleep(0.05)
            for number, client in enumerate(slow[:30]):
                with contextlib.suppress(OSError):  # some were told that they are late by then
                    client.sendall((b"", b"a: b\r\n", b" ")[number % 3])
            assert served.post("/predict", iris.rows(1)).status_code == 200
        for number, client in enumerate(slow):
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := client.recv(65536):
                    answer += part
            client.close()
            # What is still sent after the answer may cost the answer; beyond the most at once is 429.
            allowed = (b"HTTP/1.1 408", b"HTTP/1.1 429") if number % 3 == 2 else (b"HTTP/1.1 408",)
            assert answer[:12] in allowed or (number < 30 and not answer), (number, answer)


def test_empty_lines_keep_no_connection_open(serve: Serve, iris: BuiltModel) -> None:
    served = serve(before="from taxiway.serving import server; server.KEEP_ALIVE_SECONDS = 2")
    one, many = (request(json.dumps(iris.rows(rows)).encode()) for rows in (1, 3000))
    with nothing_is_left(served, iris), connect(served) as busy, busy.makefile("rb") as answers:
        dripping = [connect(served) for _ in range(3)]
        for client, asked in zip(dripping[1:], (one, many), strict=True):
            client.sendall(asked)
            with client.makefile("rb") as stream:
                assert read_answer(stream)[0] == 200
        for client in dripping:
            client.setblocking(False)
        deadline = time.monotonic() + 20
        still = list(dripping)
        while still:
            assert time.monotonic() < deadline, f"{len(still)} connections are open"
            time.sleep(0.1)
            busy.sendall(one)
            assert read_answer(answers)[0] == 200, "whoever asks is not idle"
            still = [client for client in still if is_open(client)]
        for client in dripping:
            client.close()


def is_open(client: socket.socket) -> bool:
    """Send an empty line to a connection that does not block; tell whether the server has it still."""
    try:
        client.sendall(b"\r\n")
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


UPGRADES = {
    "curl": b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    "websocket": b"Connection: upgrade\r\nUpgrade: websocket\r\nsec-websocket-version: 13\r\n",
}


@pytest.mark.parametrize("offer", UPGRADES.values(), ids=UPGRADES)
def test_an_offer_to_upgrade_is_answered_as_if_it_were_not_there(
    serve: Serve, iris: BuiltModel, offer: bytes
) -> None:
    served = serve("--drain-seconds", "0.2")
    one, many = json.dumps(iris.rows(1)).encode(), json.dumps(iris.rows(3000)).encode()
    chunks = b"%x\r\n%b\r\n" % (len(one), one)
    asked = [
        (POST + b"content-length: %d\r\n" % len(one) + offer + b"\r\n" + one, 200),
        (POST + offer + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", 200),
        (POST + offer + b"content-length: %d\r\n\r\n" % len(many) + many, 200),
        (b"GET /ping HTTP/1.1\r\nhost: x\r\n" + offer + b"\r\n", 200),
        (POST + offer + b"content-length: 2\r\n\r\n[]", 400),
        (b"GET /nowhere HTTP/1.1\r\nhost: x\r\n" + offer + b"\r\n", 404),
        (request(one), 200),
    ]
    with nothing_is_left(served, iris):
        for sizes in ((2**20,), (1, 7, 100, 5000, 65536)):
            with connect(served) as client, client.makefile("rb") as stream:
                writer = _Writer(client, b"".join(sent for sent, _ in asked) * 3, sizes, random.Random(5))
                answers = [read_answer(stream) for _ in asked * 3]
                writer.join()
            assert [status for status, _, _ in answers] == [status for _, status in asked] * 3
            assert [body.count(b'"label"') for _, _, body in answers[:3]] == [1, 1, 3000]
        with connect(served) as client, client.makefile("rb") as stream:
            # One that waits before it sends the body, as curl does with a large one.
            client.sendall(POST + offer + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(one))
            assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
            stream.readline()
            client.sendall(one)
            assert read_answer(stream)[0] == 200
        with connect(served) as client:
            client.sendall(b"CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\nwhatever")
            refused = b"".join(iter(lambda: client.recv(1000), b""))
        assert refused.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close\r\n" in refused
        assert b"no proxy" in refused
    served.client.close()
    served.process.terminate()
    assert served.process.wait(20) == 0
    assert served.process.stderr is not None
    log = served.process.stderr.read().lower()
    assert "uvicorn" not in log
    assert "upgrade" not in log


def test_what_comes_behind_the_body_is_no_header(serve: Serve, iris: BuiltModel, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret")
    served = serve("--token-file", str(secret))
    one = json.dumps(iris.rows(1)).encode()
    token = b"authorization: Bearer s3cret\r\n"
    chunked = POST + b"transfer-encoding: chunked\r\n"
    body = b"%x\r\n%b\r\n0\r\n" % (len(one), one)
    trailers = b"x-request-id: from-a-trailer\r\nexpect: 100-continue\r\n"
    for pause in (0.0, 0.05):  # in one piece, and so that the request takes the long way
        for head, behind, expected in ((b"", token, 401), (token, trailers, 200)):
            with connect(served) as client, client.makefile("rb") as stream:
                if pause:
                    client.sendall(chunked + head + b"\r\n" + body[:5])
                    time.sleep(pause)
                    client.sendall(body[5:])
                    time.sleep(pause)
                    client.sendall(behind + b"\r\n")
                else:
                    client.sendall(chunked + head + b"\r\n" + body + behind + b"\r\n")
                status, name, _ = read_answer(stream)
                assert (status, name == "from-a-trailer") == (expected, False)


def test_heads_and_trailers_without_end_are_cut_off_before_they_fill_the_memory(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve()
    process = psutil.Process(served.process.pid)
    body = json.dumps(iris.rows(1)).encode()
    beginnings = {
        b"GET /": b"a",
        POST: b"name: value\r\n",
        POST + b"name: ": b"v",
        POST + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body): b"name: value\r\n",
        b"GET /nowhere HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nname: ": b"v",
    }
    with nothing_is_left(served, iris):
        before = process.memory_info().rss
        for beginning, more in beginnings.items():
            block = (more * 65536)[:65536]
            with connect(served) as client:
                client.sendall(beginning)
                with pytest.raises(OSError):  # noqa: PT012
                    for _ in range(1000):
                        client.sendall(block)
            assert process.memory_info().rss - before < 20 * 2**20, beginning
        with connect(served) as client:
            client.sendall(POST + b"name: " + b"v" * 70_000)
            assert client.recv(1000).split(b"\r\n")[0] in (
                b"HTTP/1.1 431 Request Header Fields Too Large",
                b"HTTP/1.1 400 Bad Request",
            )


def test_more_connections_than_descriptors_leave_enough_for_the_log(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    process = psutil.Process(served.process.pid)
    process.rlimit(resource.RLIMIT_NOFILE, (200, 200))
    with nothing_is_left(served, iris):
        idle = [connect(served) for _ in range(400)]
        assert served.post("/predict", iris.rows(1)).status_code == 200
        wait_until(lambda: descriptors(served) < 200, "a bounded number of descriptors")
        for client in idle:
            client.close()
    metrics = served.get("/metrics").text
    assert 'taxiway_spool_records_total{result="dropped"} 0' in metrics


def abuse(served: Served, number: int, body: bytes, large: bytes) -> None:
    """Do one of the things that no client should do, and go."""
    client = connect(served)
    with contextlib.suppress(OSError):
        match number % 10:
            case 0:
                client.sendall(request(body)[:40])
            case 1:
                client.sendall(request(body)[:-3])
            case 2:
                client.sendall(request(large)[: len(large) // 2])
            case 3:
                client.sendall(request(large))  # and does not wait for the answer
            case 4:
                client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20)  # TLS
            case 5:
                client.sendall(POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
            case 6:
                client.sendall(request(body) * 50)
            case 7:
                client.sendall(POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello")
            case 8:
                client.sendall(POST + b"expect: 100-continue\r\ncontent-length: 10\r\n\r\n")
            case 9:
                client.sendall(request(body * 50, kind=b"application/x-ndjson")[:-9])
    if number % 2:
        # A reset, instead of an orderly end.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_abuse_leaves_neither_descriptors_nor_memory_nor_threads_behind(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve()
    process = psutil.Process(served.process.pid)
    body, large = json.dumps(iris.rows(1)).encode(), json.dumps(iris.rows(2000)).encode()
    most_threads = process.num_threads() + MOST_SIDE_BY_SIDE  # those of large requests begin with these

    def round_of_abuse() -> tuple[int, int]:
        with nothing_is_left(served, iris):
            for number in range(SOCKETS):
                abuse(served, number, body, large)
        return process.memory_info().rss, process.num_threads()

    rounds = [round_of_abuse() for _ in range(6)]
    memory = [one for one, _ in rounds]
    assert max(memory[3:]) - max(memory[:3]) < 8 * 2**20, memory
    assert max(threads for _, threads in rounds) <= most_threads
    assert served.process.poll() is None
