"""``make bench-agent``: what the agent and the local back end promise, measured with real processes.

- Promotions and rollbacks under ``wrk``, on kept connections and on a new one for each request: failed
  requests, and the 99th percentile of the time to an answer beside that of the same load before.
- ``deploy()`` to the first right answer, beside the time that the serving process alone takes to it.
- The agent with 20 endpoints, while nothing happens: processor time, memory, and how soon it acts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from taxiway.control import agent_process, desired
from taxiway.control.api import deploy, endpoints
from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import ledger
from taxiway.control.tables import ObservationRow
from taxiway.packaging.model import Model
from tests.benchmarks.serving.load import free_port
from tests.benchmarks.serving.report import Promise, verdict
from tests.load import ask

ROOT = Path(__file__).parents[2]
MODES = {"kept connections": False, "a new connection each": True}
CONNECTIONS = 4
ENDPOINTS = 20
MONITOR = "taxiway.control.monitor_process"
FORK_SERVER = "taxiway_backends.local.forkserver"
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass
class Measured:
    """All figures of one run: seconds, megabytes, shares of one core."""

    requests: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    steady_p99_ms: dict[str, float] = field(default_factory=dict)
    switching_p99_ms: dict[str, float] = field(default_factory=dict)
    switches: int = 0
    own_start: list[float] = field(default_factory=list)
    deploy: list[float] = field(default_factory=list)
    deploy_without_agent: list[float] = field(default_factory=list)
    agent_cpu: float = 0.0
    agent_memory: float = 0.0
    monitor_cpu: float = 0.0
    monitor_memory: float = 0.0
    reactions: list[float] = field(default_factory=list)

    def promises(self) -> list[Promise]:
        """Put the figures beside the issue's numbers."""
        found = []
        for mode in self.requests:
            times = self.switching_p99_ms[mode] / self.steady_p99_ms[mode]
            found += [
                Promise(f"{mode}: failed of {self.requests[mode]:,} requests", self.failed[mode], 0),
                Promise(f"{mode}: p99 while switching, times that before", times, 3.0),
            ]
        ratio = statistics.median(self.deploy) / statistics.median(self.own_start)
        return [
            *found,
            Promise("deploy() to the first right answer, times the serving process's own start", ratio, 1.3),
            Promise(f"the idle agent of {ENDPOINTS} endpoints, % of one core", 100 * self.agent_cpu, 1),
            Promise("its resident memory and its fork server's, MB", self.agent_memory, 120),
            Promise("a change is acted on: ms, median", 1000 * statistics.median(self.reactions), 300),
            Promise("the same, the slowest", 1000 * max(self.reactions), 300),
        ]

    def told(self) -> str:
        """Say in words what is not promised."""
        start, whole = statistics.median(self.own_start), statistics.median(self.deploy)
        cold = statistics.median(self.deploy_without_agent)
        return (
            f"own start {start:.2f} s, deploy() {whole:.2f} s, and {cold:.2f} s where the agent has to be "
            f"started for it ({cold / start:.2f} ×)\n"
            f"the monitor, which runs for a minute after the last prediction: {100 * self.monitor_cpu:.1f} % "
            f"of one core, {self.monitor_memory:.0f} MB"
        )


class Wrk:
    """wrk as it asks one endpoint; ``result`` ends it.

    Parameters
    ----------
    closing
        Whether each request is made on a connection of its own.
    """

    def __init__(self, url: str, rows: list[dict[str, Any]], folder: Path, *, closing: bool) -> None:
        script = folder / "post.lua"
        lines = [
            "wrk.method = 'POST'",
            "wrk.headers['Content-Type'] = 'application/json'",
            *(["wrk.headers['Connection'] = 'close'"] if closing else []),
            f"wrk.body = [==[{json.dumps(rows)}]==]",
        ]
        script.write_text("\n".join(lines))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d3600s", "--timeout", "30s", "--latency", "-s"]
        self._process = subprocess.Popen(
            [*command, str(script), f"{url}/predict"], stdout=subprocess.PIPE, text=True
        )

    def result(self) -> tuple[int, int, float]:
        """Give the requests, those that failed, and the 99th percentile in milliseconds."""
        self._process.send_signal(signal.SIGINT)
        text, _ = self._process.communicate(timeout=30)
        value, unit = _found(r"\s99%\s+([\d.]+)(us|ms|s)\b", text)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        others = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        failed = sum(map(int, errors.groups())) if errors else 0
        failed += int(others[1]) if others else 0
        return int(_found(r"(\d+) requests in ", text)[0]), failed, float(value) * _MILLISECONDS[unit]


class Bench:
    """All measurements, in a home of its own.

    Parameters
    ----------
    folder
        The home, in which two Models called ``rain`` lie.
    switches, starts
        How many of each.
    seconds
        How long the steady load and the rest are measured.
    """

    def __init__(self, folder: Path, switches: int, starts: int, seconds: float) -> None:
        from taxiway.packaging.registry import list_models

        newer, older = list_models("rain")
        self.models = (older, newer)
        self.measured = Measured()
        self._folder = folder
        self._switches = switches
        self._starts = starts
        self._seconds = seconds
        self._rows = json.loads((older.path / "sample.json").read_bytes())["records"][:1]

    def switching(self) -> None:
        """Promote and roll back under load."""
        endpoint = deploy(self.models[0], endpoint="switched", bake=0)
        for mode, closing in MODES.items():
            with contextlib.closing(self._load(endpoint, closing)) as load:
                next(load)
                time.sleep(self._seconds)
                _, failed, self.measured.steady_p99_ms[mode] = next(load)
                next(load)
                for number in range(self._switches // len(MODES)):
                    _switch(endpoint, self.models, number)
                    self.measured.switches += 1
                requests, failed_too, self.measured.switching_p99_ms[mode] = next(load)
            self.measured.requests[mode], self.measured.failed[mode] = requests, failed + failed_too
        endpoint.delete()

    def _load(self, endpoint: Endpoint, closing: bool) -> Iterator[Any]:
        """Begin to ask, and give what came of it, twice."""
        for _ in range(2):
            wrk = Wrk(endpoint.url, self._rows, self._folder, closing=closing)
            yield None
            yield wrk.result()

    def starting(self) -> None:
        """Measure deploy() beside the start of what it starts, in turns."""
        agent_process.start()
        for number in range(self._starts + 1):
            own = self._own_start()
            whole = self._deploy(f"started-{number}")
            if number:  # the first reads from the disk what the others find in memory
                self.measured.own_start.append(own)
                self.measured.deploy.append(whole)
        for number in range(3):
            agent_process.stop()
            self.measured.deploy_without_agent.append(self._deploy(f"cold-{number}"))

    def _own_start(self) -> float:
        port = free_port()
        command = [sys.executable, "-P", "-m", "taxiway.serving", "--model", str(self.models[0].path)]
        command += ["--spool", str(self._folder / "spool"), "--port", str(port)]
        began = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                return self._until_right(f"http://127.0.0.1:{port}") - began
            finally:
                process.terminate()

    def _deploy(self, name: str) -> float:
        began = time.perf_counter()
        endpoint = deploy(self.models[0], endpoint=name)
        took = self._until_right(endpoint.url) - began
        endpoint.delete()
        return took

    def _until_right(self, url: str) -> float:
        while True:
            with contextlib.suppress(OSError):
                status, text = ask(url, "/predict", self._rows)
                if status == 200 and json.loads(text)["model"] == self.models[0].tag:
                    return time.perf_counter()
            time.sleep(0.01)

    def idling(self) -> None:
        """Let the agent watch 20 endpoints."""
        for number in range(ENDPOINTS):
            deploy(self.models[0], endpoint=f"known-{number}", wait=False)
        for endpoint in endpoints():
            endpoint.wait(120)
        agent = psutil.Process(agent_process.start().pid)
        time.sleep(5)
        self.measured.agent_cpu, self.measured.agent_memory = _usage(agent, self._seconds)
        (forks,) = (one for one in agent.children() if FORK_SERVER in one.cmdline())
        self.measured.agent_memory += forks.memory_info().rss / 2**20
        for _ in range(30):
            self.measured.reactions.append(self._reaction("known-0"))
            time.sleep(0.37)
        ask(endpoints()[0].url, "/predict", self._rows)
        while not (monitors := [one for one in agent.children() if MONITOR in one.cmdline()]):
            time.sleep(0.1)  # the fork server is its child too
        time.sleep(15)
        self.measured.monitor_cpu, self.measured.monitor_memory = _usage(monitors[0], self._seconds)

    def _reaction(self, name: str) -> float:
        """Ask for the same again, as a change; give the seconds until the agent has written what it saw."""
        with ledger().transaction() as session:
            row = desired.deploy(
                session, endpoint=name, model=self.models[0].tag, backend="local", window="hour",
                workers=1, policies={}, overridden=(), by="bench",
            )  # fmt: skip
        began = time.perf_counter()
        while True:
            with ledger().reading() as session:
                seen = session.get_one(ObservationRow, name)
            if seen.generation == row.generation:
                return time.perf_counter() - began
            time.sleep(0.002)


def _switch(endpoint: Endpoint, models: tuple[Model, Model], number: int) -> None:
    """Promote a shadow, or roll back."""
    if number % 2:
        endpoint.rollback()
        return
    live = endpoint.live
    endpoint.start_shadow(next(model for model in models if model.tag != live))
    endpoint.promote(force=True)


def _usage(process: psutil.Process, seconds: float) -> tuple[float, float]:
    """Give the share of one core that a process takes, and its resident megabytes."""
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, took = process.cpu_times(), time.monotonic() - began
    spent = after.user + after.system - before.user - before.system
    return spent / took, process.memory_info().rss / 2**20


def _found(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(text)
    return found.groups()


def main() -> int:
    """Measure, print the table, write the JSON; give 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load, or of rest (default 20)")
    parser.add_argument(
        "--only",
        help="print these figures alone",
        choices=("switching", "starting", "idling"),
        action="append",
    )
    parser.add_argument("--json", type=Path, default=ROOT / "artifacts" / "bench-agent.json")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="bench-agent-", ignore_cleanup_errors=True) as temporary:
        os.environ["TAXIWAY_HOME"] = temporary
        from tests.stores import package_two_versions

        package_two_versions()
        bench = Bench(Path(temporary), options.switches, options.starts, options.seconds)
        try:
            for part in options.only or ("switching", "starting", "idling"):
                getattr(bench, part)()
                print(part, asdict(bench.measured), file=sys.stderr, flush=True)
        finally:
            agent_process.stop()
    if options.only:
        return 0
    promises = bench.measured.promises()
    print(f"{bench.measured.switches} switches, {CONNECTIONS} connections, {os.cpu_count()} cores\n")
    print(f"{verdict(promises)}\n{bench.measured.told()}")
    document = {
        "command": "make bench-agent",
        "cores": os.cpu_count(),
        **asdict(bench.measured),
        "promises": [asdict(one) | {"kept": one.kept} for one in promises],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    return not all(one.kept for one in promises)


if __name__ == "__main__":
    sys.exit(main())
