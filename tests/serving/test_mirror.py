"""Copies of requests to a candidate that may be far away: never in the caller's way, never in the open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from taxiway.serving import mirror as mirroring
from taxiway.serving.app import create_app
from taxiway.serving.destination import Destination
from taxiway.serving.mirror import MAX_REQUESTS, Mirror
from tests.models import BuiltModel
from tests.serving.conftest import Served

TOKEN = "s3cret-token"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class Candidate:
    """A server of raw answers, which the tests plant; it keeps what it was asked."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.port = 0
        self._answer = answer
        self._tls = tls
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Candidate]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0.1)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *lines = head.strip().split("\r\n")
                headers = dict(one.lower().split(": ", 1) for one in lines)
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append((line, headers, body))
                await self._answer(len(self.asked), writer)
        writer.close()


async def ok(number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def mirror_to(
    url: str, token: str = "", *, asks: int = 0, body: bytes = b"[]"
) -> tuple[Mirror, Counter[str]]:
    """A mirror that is offered so many requests at once, before its own task has its turn."""
    counts: Counter[str] = Counter()
    mirror = Mirror(counts)
    mirror.direct(Destination(url, token))
    for number in range(asks):
        mirror.offer(f"ask-{number}", body)
    return mirror, counts


def certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    pem, key = folder / "one.pem", folder / "one.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=one", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", str(pem), "-keyout", str(key)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem


def test_the_token_goes_only_to_whom_a_trusted_certificate_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context, pem = certified(tmp_path)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of a refusal
        async with Candidate(ok, context).listening() as candidate:
            mirror, counts = mirror_to(f"{candidate.url}/base", TOKEN)
            mirror.offer("one", b"[1]")
            await mirror.drain(5)
            assert counts == {"failed": 1}
            assert candidate.asked == []
            monkeypatch.setenv("SSL_CERT_FILE", str(pem))
            mirror, counts = mirror_to(f"{candidate.url}/base", TOKEN)
            mirror.offer("two", b"[2]")
            await mirror.drain(5)
            assert counts == {"sent": 1}
            mirror, counts = mirror_to(candidate.url.replace("127.0.0.1", "localhost"), TOKEN)
            mirror.offer("three", b"[3]")
            await mirror.drain(5)
            assert counts == {"failed": 1}
            [(line, headers, body)] = candidate.asked
            assert (line, body) == ("POST /base/predict HTTP/1.1", b"[2]")
            assert headers["authorization"] == f"bearer {TOKEN}"
            assert headers["x-request-id"] == headers["x-taxiway-copy-of"] == "two"

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert "certificate verify failed" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("address", "token", "said"),
    [
        ("ftp://host", "", "neither https"),
        ("https://", "", "neither https"),
        ("https://me:secret@host", "", "and nothing else"),
        ("https://host/?key=secret", "", "and nothing else"),
        ("https://host:many", "", "no request can"),
        ("https://a..b", "", "no request can"),
        ("https://host", "secret\r\nx: y", "no request can"),
        ("http://host", "secret", "read on the way"),
        ("http://127.0.0.1.host", "secret", "read on the way"),
    ],
)
def test_an_address_that_would_betray_a_token_is_refused_and_not_shown(
    address: str, token: str, said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        Destination(address, token)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("manner", ["hangs", "closes", "refuses", "garbage", "nobody"])
def test_a_candidate_that_hangs_dies_or_refuses_takes_no_answer_from_the_caller(
    manner: str, iris: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirroring, "TIMEOUT", 0.5)

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if manner == "hangs":
            await asyncio.sleep(30)
        elif manner == "closes":
            writer.close()
        else:
            refusal = b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"
            writer.write(b"\x00\xff" * 500 if manner == "garbage" else refusal)

    async def main() -> None:
        app = create_app(iris.path, tmp_path / "spool", anyone=True)
        counts = app.metrics.mirrored
        async with Candidate(answer).listening() as candidate:
            app.mirror.direct(Destination("http://127.0.0.1:9" if manner == "nobody" else candidate.url))
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as client:
                for number in range(100):
                    asked = await client.post("/predict", json=iris.rows(1, number))
                    assert asked.status_code == 200
            await app.mirror.drain(0.2)
        assert counts["sent"] == 0
        assert counts["failed"] > 0
        app.close()

    run(main())


def test_a_candidate_that_takes_nothing_is_tried_ever_more_seldom() -> None:
    async def close(number: int, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        async with Candidate(close).listening() as candidate:
            mirror, counts = mirror_to(candidate.url, asks=500)
            while candidate.connections < 16:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            await mirror.drain(0)
            assert candidate.connections < 100
            # Each that is under way may be counted at one end alone.
            assert abs(counts["failed"] - candidate.connections) <= 8

    run(main())


def test_what_waits_is_bounded_in_number_and_in_bytes() -> None:
    async def main() -> None:
        for body, most in ((b"[]", MAX_REQUESTS), (bytes(2**20), 32)):
            mirror, counts = mirror_to("http://127.0.0.1:9", asks=most + 10, body=body)
            assert counts == {"dropped": 10}
            await mirror.drain(0)

    run(main())


def test_connections_that_the_candidate_closes_while_nothing_is_asked_cost_no_copy() -> None:
    closed = asyncio.Event()

    async def close_soon(number: int, writer: asyncio.StreamWriter) -> None:
        def close() -> None:
            writer.close()
            closed.set()

        writer.write(OK)
        asyncio.get_running_loop().call_later(0.05, close)

    async def main() -> None:
        async with Candidate(close_soon).listening() as candidate:
            mirror, counts = mirror_to(candidate.url)
            for number in range(10):
                mirror.offer(f"ask-{number}", b"[]")
                await closed.wait()
                closed.clear()
                await asyncio.sleep(0.02)
            await mirror.drain(5)
            assert counts == {"sent": 10}
            assert len(candidate.asked) == 10

    run(main())


def test_answers_in_pieces_and_a_last_one_on_a_connection_are_understood() -> None:
    done: set[asyncio.StreamWriter] = set()

    async def pieces(number: int, writer: asyncio.StreamWriter) -> None:
        if writer in done:
            return
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
        last = b""
        if number % 3 == 0:
            done.add(writer)
            last = b"connection: close\r\n"
        writer.write(head + last + b"\r\n2\r\n{")
        await asyncio.sleep(0)
        writer.write(b"}\r\n0\r\n\r\n")

    async def main() -> None:
        async with Candidate(pieces).listening() as candidate:
            mirror, counts = mirror_to(candidate.url, asks=50)
            await mirror.drain(10)
            assert counts == {"sent": 50}
            assert {headers["x-request-id"] for _, headers, _ in candidate.asked} == {
                f"ask-{number}" for number in range(50)
            }

    run(main())


def test_draining_waits_for_answers_that_are_still_to_come() -> None:
    async def slow(number: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(OK)

    async def main() -> None:
        async with Candidate(slow).listening() as candidate:
            mirror, counts = mirror_to(candidate.url, asks=20)
            await mirror.drain(10)
            assert counts == {"sent": 20}

    run(main())


def test_a_copy_keeps_its_name_where_a_proxy_gives_requests_names_of_its_own(
    process: Served, iris: BuiltModel
) -> None:
    headers = {"X-Request-Id": "the-proxy's", "X-Taxiway-Copy-Of": "asked"}
    answer = process.post("/predict", iris.rows(1), headers=headers)
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "asked"
    assert [record["request"] for record in process.records()] == ["asked"]
