"""The servers that are compared: how each is started, and how each is asked for the same row."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.serving.case import Case

ROOT = Path(__file__).parents[3]
SERVERS = Path(__file__).with_name("servers")
JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"

#: The limit, and what is measured against it.
LIMIT, OURS = "bare ASGI", "taxiway"

Rows = list[dict[str, float]]


def _records(rows: Rows) -> Any:
    return rows


def _named(rows: Rows) -> Any:
    return {"rows": rows}


def _dataframe(rows: Rows) -> Any:
    return {"dataframe_records": rows}


@dataclass(frozen=True)
class Server:
    """One server.

    Parameters
    ----------
    command
        Python's folder of programs, the case, a port, and a folder for its state → its command.
    path, wrap
        Where it takes rows, and the JSON in which it takes them.
    kind
        The type of what it is asked and answers: the case's row as JSON, or its rows as an Arrow stream.
    """

    name: str
    command: Callable[[Path, Case, int, Path], list[str]]
    path: str = "/predict"
    wrap: Callable[[Rows], Any] = _records
    kind: str = JSON

    def body(self, case: Case) -> bytes:
        """Give what the server is asked."""
        if self.kind == ARROW:
            return case.arrow.read_bytes()
        return json.dumps(self.wrap([case.row])).encode()


def _script(name: str, *arguments: str) -> Callable[[Path, Case, int, Path], list[str]]:
    """Give the command of a script of ``servers``; ``MODEL``, ``PIPELINE`` and ``PORT`` are filled in."""

    def command(programs: Path, case: Case, port: int, _: Path) -> list[str]:
        known = {
            "MODEL": str(case.model / "model.onnx"),
            "PIPELINE": str(case.pipeline),
            "PORT": str(port),
        }
        return [str(programs / "python"), str(SERVERS / name), *(known.get(one, one) for one in arguments)]

    return command


def _taxiway(*program: str) -> Callable[[Path, Case, int, Path], list[str]]:
    def command(programs: Path, case: Case, port: int, state: Path) -> list[str]:
        options = ["--model", str(case.model), "--spool", str(state / "spool"), "--port", str(port)]
        return [str(programs / "python"), *program, *options]

    return command


def _granian(programs: Path, case: Case, port: int, _: Path) -> list[str]:
    options = ["--interface", "rsgi", "--loop", "uvloop", "--workers", "1", "--port", str(port)]
    return [str(programs / "granian"), *options, "--no-ws", "--log-level", "error", "granian_rsgi:app"]


def _bentoml(service: str) -> Callable[[Path, Case, int, Path], list[str]]:
    def command(programs: Path, case: Case, port: int, _: Path) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(port)]
        return [str(programs / "bentoml"), "serve", service, *where, "-q"]

    return command


def _mlflow(programs: Path, case: Case, port: int, state: Path) -> list[str]:
    folder = case.model / "mlflow"
    if not folder.exists():
        script = [str(programs / "python"), str(SERVERS / "mlflow_model.py")]
        subprocess.run(
            [*script, str(case.pipeline), str(folder)],
            check=True,
            env=environment(programs, case, state),
            capture_output=True,
        )
    options = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    return [str(programs / "mlflow"), "models", "serve", "-m", str(folder), *options]


BARE = Server(LIMIT, _script("bare.py", "MODEL", "PORT"))
BARE_ARROW = Server(LIMIT, _script("bare.py", "MODEL", "PORT", "arrow"), kind=ARROW)
TAXIWAY = Server(OURS, _taxiway("-m", "taxiway.serving"))
TAXIWAY_ARROW = Server(OURS, _taxiway("-m", "taxiway.serving"), kind=ARROW)
TAXIWAY_TIMED = Server(OURS, _taxiway(str(SERVERS / "timed.py")))

#: Ours where another server runs it, and every server of facts/serving.md.
PEERS = (
    Server("taxiway, as ASGI on plain uvicorn", _script("taxiway_asgi.py", "PORT")),
    Server("taxiway, in `bentoml serve`", _bentoml("taxiway_bento:Service")),
    Server("granian, RSGI", _granian),
    Server("starlette route", _script("starlette_route.py", "PORT")),
    Server("BentoML, mounted ASGI", _bentoml("bento:Mounted")),
    Server("BentoML, async API", _bentoml("bento:AsyncApi"), wrap=_named),
    Server("BentoML, sync API", _bentoml("bento:SyncApi"), wrap=_named),
    Server("LitServe", _script("lit.py", "PORT"), wrap=_named),
    Server("vetiver (scikit-learn)", _script("vetiver_api.py", "PIPELINE", "PORT")),
    Server("MLflow models serve (scikit-learn)", _mlflow, path="/invocations", wrap=_dataframe),
)


def environment(programs: Path, case: Case, state: Path) -> Mapping[str, str]:
    """Give the environment of a server's process: its own state, and no word to anyone outside."""
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{SERVERS}{os.pathsep}{ROOT / 'extension'}",
        "BENCH_MODEL": str(case.model / "model.onnx"),
        "BENCH_FOLDER": str(case.model),
        "BENCH_SPOOL": str(state / "spool"),
        "BENCH_LOG_COST": str(state / "log-cost"),
        "BENTOML_HOME": str(state / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
