"""A long time of mixed load, shortened by volume: ``python -m tests.serving.soak --model DIR --seconds N``.

What is asked is all that clients do, also what is refused and what breaks off; what is looked at is what
must not grow. A reader takes the prediction log away as the monitor does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from taxiway.serving.spool import is_finished, list_segments, read_segment
from tests.load import ask
from tests.waiting import wait_until

SINGLES = 60
BATCH_ROWS = 5_000
TRACE = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Look:
    """What the process holds at one time: memory of its own in bytes, open files, threads."""

    asked: int
    memory: int
    files: int
    threads: int


@dataclass
class Soak:
    """Mixed load on one serving process.

    Parameters
    ----------
    url, pid, spool
        Of the process.
    rows
        Sound rows.
    clients
        How many ask at once.
    """

    url: str
    pid: int
    spool: Path
    rows: list[dict[str, Any]]
    clients: int = 3
    statuses: Counter[int] = field(default_factory=Counter)
    logged: Counter[str] = field(default_factory=Counter)
    segments: int = 0

    def run(self, seconds: float, looks: int = 12) -> list[Look]:
        """Ask for so long; look so often, the clients being idle then."""
        found = []
        for _ in range(looks):
            self._ask_for(seconds / looks)
            self._read_log()
            found.append(self._look())
        return found

    def read_rest(self) -> None:
        """Read what of the log is left, once the process has ended."""
        self._read_log()

    def _ask_for(self, seconds: float) -> None:
        over = time.monotonic() + seconds
        threads = [threading.Thread(target=self._client, args=(over,)) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self._read_log()
            time.sleep(0.1)

    def _client(self, over: float) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        requests = self._requests()
        while time.monotonic() < over:
            for method, path, body, headers in requests:
                connection.request(method, path, body, headers)
                with connection.getresponse() as answer:
                    answer.read()
                self.statuses[answer.status] += 1
            self._invent(connection)
            self._break_off()
        connection.close()

    def _requests(self) -> list[tuple[str, str, str | None, dict[str, str]]]:
        """Every kind of request, the commonest many times."""
        rows = self.rows
        one, some = json.dumps(rows[:1]), json.dumps(rows[:20])
        many = json.dumps([rows[place % len(rows)] for place in range(BATCH_ROWS)])
        names = list(rows[0])
        table = "\n".join([",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)])
        lines = "\n".join(json.dumps(row) for row in rows)
        columns = json.dumps({"columns": {name: [row[name] for row in rows] for name in names}})
        predict: list[tuple[str, dict[str, str]]] = [
            (one, JSON | TRACE),
            (some, JSON),
            (many, JSON),
            (columns, JSON),
            (table, {"content-type": "text/csv"}),
            (lines, {"content-type": "application/x-ndjson"}),
            ('[{"broken', JSON),
            (json.dumps([dict.fromkeys(names, "x" * 1000)]), JSON),
        ]
        outcomes = json.dumps({"outcomes": [{"id": "nobody", "outcome": "setosa"}]})
        gets = [("GET", path, None, {}) for path in ("/metrics", "/schema", "/readyz", "/nowhere")]
        return [
            *[("POST", "/predict", one, JSON)] * SINGLES,
            *(("POST", "/predict", body, headers) for body, headers in predict),
            ("POST", "/invocations", some, JSON),
            ("POST", "/outcomes", outcomes, JSON),
            *gets,
        ]

    def _invent(self, connection: http.client.HTTPConnection) -> None:
        """Send a column, a category and an id that never were before."""
        made = time.time_ns()
        row = {
            name: f"new-{made}" if isinstance(value, str) else value for name, value in self.rows[0].items()
        }
        body = json.dumps([row | {f"column_{made}": 1}])
        connection.request("POST", "/predict", body, JSON | {"x-request-id": f"r-{made}"})
        with connection.getresponse() as answer:
            answer.read()
        self.statuses[answer.status] += 1

    def _break_off(self) -> None:
        """Leave in the midst of a body, and with half a connection closed."""
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname, address.port), timeout=60) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n[{")
        with socket.create_connection((address.hostname, address.port), timeout=60) as client:
            client.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            client.recv(2**16)

    def _read_log(self) -> None:
        for segment in list_segments(self.spool):
            if is_finished(segment):
                for record in read_segment(segment)[0]:
                    self.logged[record.get("kind", "outcomes")] += len(record.get("ids", ())) or 1
                segment.unlink()
                self.segments += 1

    def _look(self) -> Look:
        process = Path("/proc", str(self.pid))

        def number(name: str) -> int:
            found = re.search(rf"^{name}:\s+(\d+)", (process / "status").read_text(), re.MULTILINE)
            assert found is not None
            return int(found[1])

        # The mapped segment is the page cache's memory, so only what is the process's own is counted.
        return Look(
            sum(self.statuses.values()),
            number("RssAnon") * 1024,
            len(list((process / "fd").iterdir())),
            number("Threads"),
        )


def predicted(url: str) -> int:
    """Give the rows that the process says it predicted."""
    found = re.search(r"^taxiway_predictions_total (\d+)$", ask(url, "/metrics")[1], re.MULTILINE)
    assert found is not None
    return int(found[1])


def main() -> None:
    """Soak a Model of one's own, and print what its process held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the Model's folder")
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    rows = json.loads((options.model / "sample.json").read_bytes())["records"]
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-m", "taxiway.serving", "--model", str(options.model)]
        process = subprocess.Popen([*command, "--spool", folder, "--port", str(port)])
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the server")
        soak = Soak(url, process.pid, Path(folder), rows)
        for look in soak.run(options.seconds, looks=max(12, int(options.seconds / 60))):
            print(
                f"{look.asked:>10,} requests  {look.memory / 2**20:7.1f} MiB  {look.files} files  "
                f"{look.threads} threads"
            )
        print(f"{predicted(url):,} rows, {soak.segments} segments read, answers: {dict(soak.statuses)}")
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
