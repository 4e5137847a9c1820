"""kill -9, again and again, while clients of every kind are served: the log has what was answered, once."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.serving.spool import is_finished, list_segments, read_segment
from tests.models import BuiltModel
from tests.waiting import wait_until

KILLS = 50
PROCESSES = 3

# Imports once what every serving process imports, and forks one a line: a start costs 0.1 s, not 1 s.
NURSERY = """
import os, signal, sys
import onnxruntime, uvicorn, uvloop
from taxiway.serving.__main__ import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    if (child := os.fork()) == 0:
        sys.exit(main(sys.argv[1:]))
    print(child, flush=True)
"""


class Fleet:
    """Serving processes on one listening socket, as the workers of an endpoint are."""

    def __init__(self, model: BuiltModel, home: Path) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._log = home / "log"
        options = ["--model", str(model.path), "--spool", str(home / "spool")]
        with self._log.open("w") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-c", NURSERY, *options, "--fd", str(self._listener.fileno())],
                pass_fds=(self._listener.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._processes: list[int] = []
        for _ in range(PROCESSES):
            self.start()

    def start(self) -> None:
        """Start one, and wait until it serves."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write("\n")
        self._nursery.stdin.flush()
        process = int(self._nursery.stdout.readline())
        wait_until(lambda: self._is_ready(process), f"process {process}\n{self._log.read_text()[-2000:]}")
        self._processes.append(process)

    def _is_ready(self, process: int) -> bool:
        return any(
            f"[{process}]" in line and "is ready" in line for line in self._log.read_text().splitlines()
        )

    def kill_one(self) -> None:
        """Kill any of those that serve."""
        os.kill(self._processes.pop(random.randrange(len(self._processes))), signal.SIGKILL)

    def end(self) -> None:
        """Kill all."""
        while self._processes:
            self.kill_one()
        self._nursery.communicate()
        self._listener.close()


@pytest.fixture
def fleet(taxiway_home: Path, iris: BuiltModel) -> Iterator[Fleet]:
    one = Fleet(iris, taxiway_home)
    yield one
    one.end()


class Client(threading.Thread):
    """Sends requests of one kind, some at once, and notes the rows that were answered."""

    def __init__(self, port: int, kind: str, iris: BuiltModel) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.answered: list[str] = []
        self.refused: list[bytes] = []
        self.broken = 0
        self._port = port
        self._kind = kind
        self._rows = iris.rows(150)
        self._sent = 0

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=20) as connection:
                    self._talk(connection)
            except OSError:
                self.broken += 1

    def _talk(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as answers:
            while not self.stop.is_set():
                asked = [self._request() for _ in range(4 if self._kind == "pipelined" else 1)]
                connection.sendall(b"".join(request for request, _ in asked))
                for _, ids in asked:
                    status = answers.readline()
                    if not status.endswith(b"\n"):
                        raise ConnectionResetError
                    length = 0
                    while (line := answers.readline()).strip():
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    body = answers.read(length)
                    if len(body) != length or not line:
                        raise ConnectionResetError
                    if b" 200 " not in status:
                        self.refused.append(status + body)
                    self.answered += ids

    def _request(self) -> tuple[bytes, list[str]]:
        self._sent += 1
        name = f"{self._kind}-{self._sent}"
        rows = self._rows[: 40 if self._kind == "batch" else 1]
        body = json.dumps(rows).encode()
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n"
        ids = [name] if len(rows) == 1 else [f"{name}-{row}" for row in range(len(rows))]
        return head % (name.encode(), len(body)) + body, ids


def test_fifty_kills_under_load_lose_no_answered_prediction_and_write_none_twice(
    fleet: Fleet, taxiway_home: Path, iris: BuiltModel
) -> None:
    clients = [Client(fleet.port, kind, iris) for kind in ("single", "pipelined", "batch")]
    for client in clients:
        client.start()
    try:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.0, 0.05))
            fleet.kill_one()
            fleet.start()
    finally:
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join()
    fleet.end()
    segments = list_segments(taxiway_home / "spool")
    written = Counter(
        one for segment in segments for record in read_segment(segment)[0] for one in record["ids"]
    )
    for client in clients:
        assert client.refused == []
        assert len(client.answered) > 20 * KILLS
        assert set(client.answered) <= set(written)
    assert sum(client.broken for client in clients) > KILLS / 2, "the kills must have hit clients"
    assert set(written.values()) == {1}
    assert all(is_finished(segment) for segment in segments)
