"""A server in a process of its own, put under load by wrk, and what that cost it."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.serving.case import Case
from tests.benchmarks.serving.peers import Server, environment

CONNECTIONS = 8
WARM_SECONDS = 1
_START_SECONDS = 120
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Sample:
    """What one round of load gave.

    Attributes
    ----------
    rate
        Requests a second.
    p50, p99
        Percentiles of the time to an answer, in milliseconds.
    cpu
        Processor time of the server, all its processes together, in microseconds a request.
    memory
        Resident memory of all its processes afterwards, in megabytes; what they share counts in each.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    memory: float


@dataclass
class Running:
    """A server that answers; ``start`` is the seconds from its process's start to its first answer."""

    process: psutil.Process
    url: str
    script: Path
    start: float

    def load(self, seconds: int) -> Sample:
        """Ask as fast as it answers, on ``CONNECTIONS`` connections, for so long.

        Raises
        ------
        RuntimeError
            An answer was not a success, or there was none.
        """
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s"]
        before = self._cpu_seconds()
        text = subprocess.run(
            [*command, str(self.script), self.url], capture_output=True, text=True, check=True
        ).stdout
        spent = self._cpu_seconds() - before
        [count] = map(int, _found(r"(\d+) requests in ", text))
        if "Non-2xx" in text or "Socket errors" in text or not count:
            raise RuntimeError(text)
        [rate] = map(float, _found(r"Requests/sec:\s+([\d.]+)", text))
        memory = sum(one.memory_info().rss for one in self._tree()) / 2**20
        return Sample(rate, _percentile(text, 50), _percentile(text, 99), 1e6 * spent / count, memory)

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def _cpu_seconds(self) -> float:
        times = [one.cpu_times() for one in self._tree()]
        return sum(one.user + one.system for one in times)


@contextlib.contextmanager
def running(server: Server, case: Case, programs: Path, state: Path) -> Iterator[Running]:
    """Start a server, wait until it answers, and end it and all its children.

    Parameters
    ----------
    programs
        The folder of the environment's programs: ``bin``.
    state
        A folder for all that the server writes; it must not be there, and is gone afterwards.

    Raises
    ------
    RuntimeError
        It ended, or did not answer in two minutes.
    """
    state.mkdir(parents=True)
    port = free_port()
    command = server.command(programs, case, port, state)
    settings = environment(programs, case, state)
    with (state / "log").open("wb") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, env=settings, cwd=state, stdout=log, stderr=log, start_new_session=True
        )
    tree = psutil.Process(process.pid)
    try:
        _wait(server, process, port, server.body(case), state / "log")
        start = time.perf_counter() - begun
        url = f"http://127.0.0.1:{port}{server.path}"
        yield Running(tree, url, _script(state, server, case), start)
    finally:
        children = tree.children(recursive=True) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()
        shutil.rmtree(state, ignore_errors=True)


def side_by_side(
    servers: Sequence[Server], case: Case, programs: Path, state: Path, *, seconds: int
) -> Generator[dict[str, Sample]]:
    """Keep servers running and load one after another, round after round, for as long as is wanted."""
    with contextlib.ExitStack() as stack:
        started = {
            server.name: stack.enter_context(running(server, case, programs, state / str(place)))
            for place, server in enumerate(servers)
        }
        for one in started.values():
            one.load(WARM_SECONDS)
        while True:
            yield {name: one.load(seconds) for name, one in started.items()}


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _script(state: Path, server: Server, case: Case) -> Path:
    """Write what tells wrk to post the server's body."""
    body, script = state / "body", state / "post.lua"
    body.write_bytes(server.body(case))
    lines = [
        "wrk.method = 'POST'",
        *(f"wrk.headers['{name}'] = '{server.kind}'" for name in ("Content-Type", "Accept")),
        f"wrk.body = io.open('{body}', 'rb'):read('*a')",
    ]
    script.write_text("\n".join(lines))
    return script


def _wait(server: Server, process: subprocess.Popen[bytes], port: int, body: bytes, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    headers = {"Content-Type": server.kind, "Accept": server.kind}
    told = "nothing"
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
        try:
            connection.request("POST", server.path, body, headers)
            with connection.getresponse() as response:
                told = f"{response.status} {response.read()[:500]!r}"
                if response.status == 200:
                    return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.01)
    raise RuntimeError(f"{server.name} does not answer; last {told}\n{log.read_text()[-3000:]}")


def _percentile(text: str, which: int) -> float:
    value, unit = _found(rf"\s{which}%\s+([\d.]+)(us|ms|s)\b", text)
    return float(value) * _MILLISECONDS[unit]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(text)
    return found.groups()
