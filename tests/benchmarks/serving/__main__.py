"""``make bench-serving``: one row of JSON and 1,000 rows of Arrow, on every server that is compared.

All run in one environment, with the same model file, uvicorn, uvloop and httptools, one worker and one
thread in the model, and are measured in turns. What counts are the ratios to the bare ASGI callable of the
same round: they hold from machine to machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tests.benchmarks.serving import peers, report
from tests.benchmarks.serving.case import Case, build
from tests.benchmarks.serving.load import CONNECTIONS, WARM_SECONDS, Sample, running, side_by_side

PROGRAMS = peers.ROOT / ".venv-bench" / "bin"
DISTRIBUTIONS = (
    *("uvicorn", "uvloop", "httptools", "orjson", "numpy", "onnxruntime", "pyarrow", "scikit-learn"),
    *("granian", "starlette", "bentoml", "litserve", "vetiver", "mlflow"),
)
_VERSIONS = (
    "import importlib.metadata as m, json, platform, sys; "
    "print(json.dumps({'python': platform.python_version()} | {one: m.version(one) for one in sys.argv[1:]}))"
)


class Bench:
    """All measurements of one run.

    Parameters
    ----------
    folder
        Where the models and the servers' files lie.
    programs
        The folder of programs of the environment in which every server runs.
    rounds, seconds
        How often each server is measured, and how long.
    """

    def __init__(self, folder: Path, programs: Path, rounds: int, seconds: int) -> None:
        self._folder = folder
        self._programs = programs
        self._rounds = rounds
        self._seconds = seconds
        self._case = build(folder / "matrix")
        self.failures: dict[str, str] = {}

    def one_row(self, servers: Sequence[peers.Server]) -> list[report.Row]:
        """Measure each server in every round, started afresh and alone on the machine."""
        rounds: list[dict[str, Sample]] = []
        starts = defaultdict(list)
        for number in range(self._rounds):
            samples: dict[str, Sample] = {}
            for server in servers:
                state = self._folder / f"turn-{number}"
                try:
                    with running(server, self._case, self._programs, state) as one:
                        one.load(WARM_SECONDS)
                        samples[server.name] = one.load(self._seconds)
                        starts[server.name].append(one.start)
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    self.failures[server.name] = str(error)
                print(".", end="", file=sys.stderr, flush=True)
            rounds.append(samples)
        print(file=sys.stderr)
        return report.rows_of(rounds, starts)

    def arrow(self) -> list[report.Row]:
        """Measure the limit and ours on 1,000 rows of Arrow."""
        return report.rows_of(self._pair((peers.BARE_ARROW, peers.TAXIWAY_ARROW), self._case))

    def by_column(self) -> list[report.Row]:
        """Measure the limit and ours on a model of one tensor a column."""
        case = build(self._folder / "columns", by_column=True)
        return report.rows_of(self._pair((peers.BARE, peers.TAXIWAY), case))

    def log(self) -> float:
        """Give what the prediction log takes of its requests, in microseconds a row."""
        found = []
        for number in range(self._rounds):
            state = self._folder / f"log-{number}"
            with running(peers.TAXIWAY_TIMED, self._case, self._programs, state) as one:
                one.load(self._seconds)
                nanoseconds, rows = map(int, (state / "log-cost").read_text().split())
            found.append(nanoseconds / rows / 1e3)
        return statistics.median(found)

    def _pair(self, servers: Sequence[peers.Server], case: Case) -> list[dict[str, Sample]]:
        samples = side_by_side(servers, case, self._programs, self._folder / "pair", seconds=self._seconds)
        rounds = list(islice(samples, self._rounds))
        samples.close()
        return rounds


def main() -> int:
    """Measure, print the tables, write the JSON; give 1 if a server could not be measured."""
    options = _parser().parse_args()
    if shutil.which("wrk") is None or not (options.programs / "python").exists():
        print(f"wrk or {options.programs} is missing: make bench-serving installs both", file=sys.stderr)
        return 1
    known = (peers.BARE, peers.TAXIWAY, *peers.PEERS)
    chosen = [one for one in known if one in known[:2] or not options.ours]
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary), options.programs, options.rounds, options.seconds)
        one_row, by_column, arrow = bench.one_row(chosen), bench.by_column(), bench.arrow()
        log = bench.log()
    promises = report.promises(one_row, arrow, log)
    print(
        f"{options.rounds} rounds of {options.seconds} s, {CONNECTIONS} connections, {os.cpu_count()} cores\n"
    )
    print(f"One row of JSON, 30 columns, in one tensor\n\n{report.table(one_row)}\n")
    print(f"The same, a tensor a column\n\n{report.table(by_column)}\n")
    print(f"1,000 rows of Arrow, answered in Arrow\n\n{report.table(arrow)}\n")
    print(report.verdict(promises))
    if options.readme:
        report.into(peers.ROOT / "README.md", report.table(one_row))
    for name, reason in bench.failures.items():
        print(f"not measured: {name}: {reason}", file=sys.stderr)
    document = {
        "command": "make bench-serving",
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "machine": platform.machine()},
        "versions": _versions(options.programs),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "connections": CONNECTIONS,
        "one_row": report.plain(one_row),
        "one_row_tensor_a_column": report.plain(by_column),
        "arrow_1000_rows": report.plain(arrow),
        "log_microseconds_a_row": log,
        "promises": report.plain(promises),
        "not_measured": bench.failures,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    return bool(bench.failures)


def _versions(programs: Path) -> dict[str, Any]:
    command = [str(programs / "python"), "-c", _VERSIONS, *DISTRIBUTIONS]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of load a server and round (default 4)")
    parser.add_argument("--ours", action="store_true", help="only the bare ASGI callable and Taxiway")
    parser.add_argument("--programs", type=Path, default=PROGRAMS, metavar="DIR")
    parser.add_argument("--readme", action="store_true", help="put the table of one row into README.md")
    parser.add_argument("--json", type=Path, default=peers.ROOT / "artifacts" / "bench-serving.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
