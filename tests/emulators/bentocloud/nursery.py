"""A process that has imported BentoML once, and from which replicas fork: each starts in a tenth of the time.

Run as a program it is that process; :class:`Nursery` is who asks it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

#: Slow to import, and bound to no Bento. Not prometheus_client, which BentoML wants to import first, nor
#: onnxruntime, which starts a thread that no fork survives.
_SLOW = (
    "_bentoml_impl.worker.service",
    "_bentoml_impl.server.app",
    "_bentoml_impl.loader",
    "bentoml._internal.log",
    "numpy",
    "orjson",
    "uvicorn",
    "uvloop",
)
#: What of this process's environment a replica shares; all else is the deployment's.
_SHARED = (
    "PATH", "LANG", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "TAXIWAY_HOME",  # by which tests find what outlives them
)  # fmt: skip
_MOST_BYTES = 1 << 18


def bare_environment() -> dict[str, str]:
    """What a container has before its deployment says anything."""
    shared = {name: os.environ[name] for name in _SHARED if name in os.environ}
    return {**shared, "BENTOML_DO_NOT_TRACK": "True"}


class Nursery:
    """Started at once, usable when :meth:`ready` returns; what was born there dies with it."""

    def __init__(self, log: Path) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=bare_environment(),
            )  # fmt: skip
        self._log = log
        self._first_word: asyncio.Task[bytes] | None = None

    async def ready(self) -> None:
        """Wait until it has imported everything."""
        if self._first_word is None:
            self._first_word = asyncio.create_task(asyncio.to_thread(self._orders.recv, _MOST_BYTES))
        assert await asyncio.shield(self._first_word), self._log.read_text()  # who waits may be stopped

    def bear(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path,
        listener: socket.socket,
    ) -> int:  # fmt: skip
        """Start a process; its id.

        Parameters
        ----------
        arguments
            Of BentoML's worker.
        listener
            The bound socket that the worker listens on.
        """
        order = {"arguments": list(arguments), "folder": str(folder), "environment": dict(environment)}
        with log.open("ab") as output:
            descriptors = [output.fileno(), listener.fileno()]
            socket.send_fds(self._orders, [json.dumps(order).encode()], descriptors)
            return int(json.loads(self._orders.recv(_MOST_BYTES)))

    def close(self) -> None:
        """End it, and what is left of its children."""
        self._orders.close()
        if self._first_word is None:  # nothing was born, and it would not hear before it has imported all
            self._process.kill()
        self._process.wait()


def main() -> None:
    """Import, say so, and fork at each order until there is nobody to give any."""
    for name in _SLOW:
        import_module(name)
    assert "prometheus_client" not in sys.modules
    children = []  # never waited for: a zombie keeps its id from being another's when it is killed
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        orders.send(b"ready")
        while True:
            said, descriptors, _flags, _address = socket.recv_fds(orders, _MOST_BYTES, 2)
            if not said:
                break
            if not (child := os.fork()):
                orders.close()
                _live(json.loads(said), descriptors)
            os.setpgid(child, child)  # as the child does too: whoever is first
            children.append(child)
            for descriptor in descriptors:
                os.close(descriptor)
            orders.send(json.dumps(child).encode())
    for child in children:
        os.killpg(child, signal.SIGKILL)
    os._exit(0)  # what was imported takes long to tear down


def _live(order: dict[str, Any], descriptors: list[int]) -> None:
    """Become a replica."""
    os.setpgid(0, 0)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    log, listener = descriptors
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    worker = import_module("_bentoml_impl.worker.service")
    worker.main(args=[*order["arguments"], "--fd", str(listener)])


if __name__ == "__main__":
    main()
