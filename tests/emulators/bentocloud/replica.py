"""A replica: the Bento of an image as a process, the worker that ``bentoml serve`` runs."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.emulators.bentocloud.nursery import Nursery

_POLL_SECONDS = 0.05
_LEAVE_SECONDS = 15.0


@dataclass
class Replica:
    """One process and its pod: a folder of its own with the log in it.

    Parameters
    ----------
    pods
        Under which its folder is made.
    environment
        Of the process.
    """

    deployment: str
    image: Path
    pods: Path
    environment: Mapping[str, str]
    name: str = ""
    port: int = 0
    in_flight: int = 0
    ready: bool = False
    pid: int | None = None

    def __post_init__(self) -> None:
        self.name = f"{self.deployment}-{secrets.token_hex(5)}"

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.pods / self.name / "log"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.pid is not None and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE

    def start(self, nursery: Nursery) -> None:
        """Start the process; :meth:`probe` says when it answers."""
        home = self.log.parent
        home.mkdir(parents=True)
        own = {"HOME": str(home), "TMPDIR": str(home), "BENTOML_HOME": str(home / "bentoml")}
        environment = {**self.environment, **own}
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
            arguments = [str(self.image), "--worker-id", "1", "--args", "{}"]
            self.pid = nursery.bear(arguments, self.image, environment, self.log, listener)

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
        if self.pid is not None and self.alive:
            os.kill(self.pid, signal.SIGTERM)
            deadline = loop.time() + _LEAVE_SECONDS
            while self.alive and loop.time() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it and what it has started at once, as when its machine dies."""
        self.ready = False
        if self.pid is not None:
            os.killpg(self.pid, signal.SIGKILL)
