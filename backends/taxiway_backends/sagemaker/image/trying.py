"""An image run with ``serve`` and asked with the Model's own sample, before anyone else can ask it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from taxiway.errors import BackendError
from taxiway.serving.agreement import agree
from taxiway_backends.sagemaker.image.base import can_run, own_python
from taxiway_backends.sagemaker.image.building import LocalImage, hand_over
from taxiway_backends.sagemaker.image.context import PACKAGES, SOURCE, Progress, silent
from taxiway_backends.sagemaker.image.engine import Engine, find_engine
from taxiway_backends.sagemaker.image.layers import unpack_layer

START_SECONDS = 120.0
_MOST_ROWS = 100
_LAST_LINES = 3
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tried:
    """An image that answered its Model's sample as the Model did when it was packaged.

    Parameters
    ----------
    how
        ``docker`` or ``podman``, or ``unpacked``: its own Python and packages, run where they were unpacked.
    seconds
        From the start of the container to the first right answer.
    rows
        How many of the sample were compared.
    """

    how: str
    seconds: float
    rows: int


class _Running(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def started(self) -> float: ...
    @property
    def running(self) -> bool: ...
    def log(self) -> str: ...
    def stop(self) -> int: ...


def try_out(
    image: LocalImage,
    model_path: Path,
    *,
    progress: Progress = silent,
    engine: Engine | None = None,
    start_seconds: float = START_SECONDS,
) -> Tried:
    """Run an image with a Model, ask ``/ping`` and ``/invocations``, compare, and stop it with SIGTERM.

    Parameters
    ----------
    engine
        What runs it; by default docker or podman, and where neither answers, nothing: it is unpacked.

    Raises
    ------
    BackendError
        It does not start, answers otherwise than the Model's sample, or does not end by SIGTERM; with the
        last lines of its own log.
    """
    engine = engine or find_engine()
    if engine is None and not can_run():
        raise BackendError(
            "The image cannot be tried here, and is not uploaded untried.",
            hint="Start Docker or podman, or deploy from Linux on an x86-64 machine.",
        )
    if engine is not None and image.how == "layers":
        progress(f"{engine.name} load")
        hand_over(image, engine)
    progress("the image is tried with the Model's sample")
    with contextlib.ExitStack() as stack:
        if engine is not None:
            running: _Running = stack.enter_context(engine.run(image.tag, model_path))
        else:
            running = stack.enter_context(_run_unpacked(image, model_path))
        rows = _ask(running, model_path, start_seconds)
        seconds = time.monotonic() - running.started
        if status := running.stop():
            raise _failure(running, f"ended by SIGTERM with exit status {status}")
    return Tried(engine.name if engine else "unpacked", seconds, rows)


def _ask(running: _Running, model: Path, seconds: float) -> int:
    sample = json.loads((model / "sample.json").read_text(encoding="utf-8"))
    records = sample["records"][:_MOST_ROWS]
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=running.url, timeout=30) as client:
        while not _pings(client):
            if not running.running:
                raise _failure(running, "ended before it answered")
            if time.monotonic() > deadline:
                raise _failure(running, f"did not answer /ping within {seconds:g} s")
            time.sleep(0.02)
        answer = client.post("/invocations", json={"dataframe_records": records})
    if answer.status_code != 200:
        raise _failure(running, f"answered /invocations with {answer.status_code}: {answer.text[:300]}")
    given = answer.json()["predictions"]
    for row, one in enumerate(given):
        expected: dict[str, Any] = {name: values[row] for name, values in sample["outputs"].items()}
        for name, value in expected.items():
            if name not in one or not agree(value, one[name]):
                raise _failure(running, f"answered row {row} of the Model's sample with another {name}")
    return len(given)


def _pings(client: httpx.Client) -> bool:
    try:
        return client.get("/ping").status_code == 200
    except httpx.TransportError:
        return False


def _failure(running: _Running, what: str) -> BackendError:
    lines = [line.strip() for line in running.log().splitlines() if line.strip()]
    said = " ".join(lines[-_LAST_LINES:])
    return BackendError(
        f"The image was tried and {what}." + (f" Its log ends: {said}" if said else ""),
        hint="Nothing was uploaded. Package the Model again where its packages are as it names them.",
    )


@dataclass(frozen=True, slots=True)
class _Unpacked:
    process: subprocess.Popen[bytes]
    url: str
    started: float
    output: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL


@contextlib.contextmanager
def _run_unpacked(image: LocalImage, model: Path) -> Iterator[_Unpacked]:
    """Run an image's own Python on its own packages and libraries, where they were unpacked."""
    with tempfile.TemporaryDirectory(prefix="taxiway-try-") as name:
        folder = Path(name).resolve()
        root = folder / "root"
        root.mkdir()
        for layer in image.layers:
            unpack_layer(layer, root)
        shutil.copytree(model, folder / "model" / "live")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("TAXIWAY", "PYTHON"))
        }
        own |= {
            "PYTHONPATH": f"{root / PACKAGES}:{root / SOURCE}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TAXIWAY_CONTAINER_MODEL": str(folder / "model"),
            "TAXIWAY_CONTAINER_PORT": str(port),
            "TMPDIR": name,
        }
        output = folder / "log"
        started = time.monotonic()
        with output.open("wb") as log:
            process = subprocess.Popen(
                [str(own_python(root, folder / "python3")), "-m", "taxiway.serving.container", "serve"],
                env=own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield _Unpacked(process, f"http://127.0.0.1:{port}", started, output)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
