from __future__ import annotations

import http.client
import json
import signal
import socket
from urllib.parse import urlsplit

from tests.models import BuiltModel
from tests.serving.conftest import Serve
from tests.waiting import wait_until


def ask(connection: http.client.HTTPConnection, iris: BuiltModel) -> http.client.HTTPResponse:
    connection.request("POST", "/predict", json.dumps(iris.rows(1)))
    response = connection.getresponse()
    response.read()
    return response


def test_a_draining_server_answers_on_the_connections_it_has_and_takes_no_more(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve()
    address = urlsplit(served.url)
    idle = http.client.HTTPConnection(address.netloc, timeout=10)
    assert ask(idle, iris).getheader("connection") is None
    half = socket.create_connection((address.hostname, address.port), timeout=10)
    body = json.dumps(iris.rows(1)).encode()
    half.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body[:10])
    served.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not served.takes(), "the drain")
    half.sendall(body[10:])
    assert half.recv(65536).startswith(b"HTTP/1.1 200 OK")
    half.close()
    last = ask(idle, iris)
    assert last.status == 200
    assert last.getheader("connection") == "close"
    assert served.process.wait(20) == 0
    idle.close()


def test_an_idle_connection_does_not_hold_a_draining_server_for_ever(serve: Serve, iris: BuiltModel) -> None:
    served = serve("--drain-seconds", "0.5")
    idle = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
    ask(idle, iris)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0
    idle.close()


def test_a_second_signal_ends_the_drain(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    idle = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
    ask(idle, iris)
    served.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not served.takes(), "the drain")
    assert served.process.poll() is None
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0
    idle.close()
