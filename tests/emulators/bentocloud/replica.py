"""A replica: the Bento of an image as a process, as ``bentoml serve`` runs it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

#: What of this process's environment a replica shares; all else is the deployment's.
_SHARED = (
    "PATH", "LANG", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "TAXIWAY_HOME",  # by which tests find what outlives them
)  # fmt: skip
_POLL_SECONDS = 0.05
_LEAVE_SECONDS = 15.0


@dataclass
class Replica:
    """One process and its pod: a folder of its own with the log in it.

    Parameters
    ----------
    pods
        Under which its folder is made.
    arbiter
        Whether to run the whole of ``bentoml serve``; else its worker alone.
    """

    deployment: str
    image: Path
    pods: Path
    environment: Mapping[str, str]
    arbiter: bool = False
    name: str = ""
    port: int = 0
    in_flight: int = 0
    ready: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.name = f"{self.deployment}-{secrets.token_hex(5)}"

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.pods / self.name / "log"

    @property
    def pid(self) -> int | None:
        """Of the process, once it is started."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; :meth:`probe` says when it answers."""
        home = self.log.parent
        home.mkdir(parents=True)
        shared = {name: os.environ[name] for name in _SHARED if name in os.environ}
        own = {"HOME": str(home), "TMPDIR": str(home), "BENTOML_HOME": str(home / "bentoml")}
        environment = {**shared, **own, "BENTOML_DO_NOT_TRACK": "True", **self.environment}
        with socket.socket() as listener, self.log.open("wb") as log:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
            if self.arbiter:
                listener.close()
                command = ["bentoml", "serve", str(self.image), "--host", "127.0.0.1", "-p", str(self.port)]
                kept = []
            else:
                kept = [listener.fileno()]
                command = [
                    "_bentoml_impl.worker.service", str(self.image), "--fd", str(kept[0]),
                    "--worker-id", "1", "--args", json.dumps({}),
                ]  # fmt: skip
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=self.image, env=environment, pass_fds=kept,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def probe(self, client: httpx.AsyncClient) -> bool:
        """Ask whether it is ready."""
        try:
            answer = await client.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5.0)
        except httpx.HTTPError:
            return False
        self.ready = answer.status_code == 200
        return self.ready

    async def leave(self) -> None:
        """Answer what is under way, then SIGTERM, then the end."""
        self.ready = False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LEAVE_SECONDS
        while self.in_flight and loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGTERM)
            deadline = loop.time() + _LEAVE_SECONDS
            while self.alive and loop.time() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it and what it has started at once, as when its machine dies."""
        self.ready = False
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
