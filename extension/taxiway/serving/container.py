"""``python -m taxiway.serving.container serve``: what a container of one endpoint runs.

It holds the port and keeps the serving processes of the folder that was mounted: ``live`` answers, and
``shadow``, where there is one, gets a copy of each request over a Unix socket. What they log of predictions
is shipped where ``TAXIWAY_SHIP_TO`` says. SIGTERM drains them and ships the rest.

Settings are environment variables, because that is all that the places which run containers can set:

``TAXIWAY_CONTAINER_MODEL``
    The folder with ``live`` and ``shadow``, or a Model's own (default ``/opt/ml/model``).
``TAXIWAY_CONTAINER_PORT``
    Where to listen, on every address (default 8080).
``TAXIWAY_SERVING_OPTIONS``
    Options of ``python -m taxiway.serving`` for every process, as on a command line.
``TAXIWAY_WORKERS``
    Live serving processes (default 1).
``TAXIWAY_DRAIN_SECONDS``
    The longest that SIGTERM waits for open connections (default 15); half as long again is for shipping.
``TAXIWAY_TOKEN``
    The bearer token that clients of the live Model must send.
``TAXIWAY_CONTAINER_OPEN``
    1: without a token, answer everyone, because the network lets only those in who may ask; images for
    SageMaker say so. Else only this machine is answered.
``TAXIWAY_SPOOL``
    Where the prediction log lies until it is shipped (default: a new folder).
``TAXIWAY_SHIP_TO``, ``TAXIWAY_SHIP_SECONDS``
    See ``taxiway.serving.shipping``.

Exit status: 0 after SIGTERM, 2 for settings that cannot be used, 1 where no serving process stays up.
"""

from __future__ import annotations

import logging
import os
import select
import shlex
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from taxiway.serving.children import Child
from taxiway.serving.variables import DRAIN_SECONDS, SHIP_SECONDS, read_number, read_options

PORT = 8080
MODEL = "/opt/ml/model"
#: So many deaths of live processes within so many seconds end the container.
DEATHS = 3
DEATHS_SECONDS = 60.0
LONGEST_PAUSE = 60.0
_LEAVE_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_ENDING = frozenset((signal.SIGTERM, signal.SIGINT))
_SETTINGS_ERROR = 2
_FAILED = 1

_log = logging.getLogger("taxiway.serving.container")


class Settings(NamedTuple):
    """What the environment variables say; see the module.

    Parameters
    ----------
    live, shadow
        The Models' folders.
    options
        Of every serving process.
    admission
        Options of the live ones: whom they answer.
    ship_to
        The address; empty for none.
    """

    live: Path
    shadow: Path | None
    spool: Path
    port: int = PORT
    workers: int = 1
    options: tuple[str, ...] = ()
    admission: tuple[str, ...] = ()
    drain_seconds: float = DRAIN_SECONDS
    ship_to: str = ""
    ship_seconds: float = SHIP_SECONDS

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read them.

        Raises
        ------
        ValueError
            One cannot be used, or the folder holds no Model.
        """
        root = Path(environment.get("TAXIWAY_CONTAINER_MODEL") or MODEL)
        live, shadow = root / "live", root / "shadow"
        if not live.is_dir():
            if not (root / "model.json").is_file():
                raise ValueError(f"{root} holds no Model: neither a folder live nor a model.json is there")
            live = root
        if (workers := int(read_number(environment, "TAXIWAY_WORKERS", 1))) < 1:
            raise ValueError("TAXIWAY_WORKERS is less than 1")
        return cls(
            live,
            shadow if live is not root and shadow.is_dir() else None,
            Path(environment.get("TAXIWAY_SPOOL") or tempfile.mkdtemp(prefix="taxiway-spool-")),
            int(read_number(environment, "TAXIWAY_CONTAINER_PORT", PORT)),
            workers,
            read_options(environment),
            _admission(environment),
            read_number(environment, "TAXIWAY_DRAIN_SECONDS", DRAIN_SECONDS),
            environment.get("TAXIWAY_SHIP_TO", ""),
            read_number(environment, "TAXIWAY_SHIP_SECONDS", SHIP_SECONDS),
        )


def _admission(environment: Mapping[str, str]) -> tuple[str, ...]:
    if environment.get("TAXIWAY_TOKEN"):
        return ("--token-env", "TAXIWAY_TOKEN")
    return ("--anyone",) if environment.get("TAXIWAY_CONTAINER_OPEN") == "1" else ()


class Container:
    """Keeps the serving processes of one container.

    Parameters
    ----------
    settings
        What to serve, and how.
    folder
        Where the shadow's socket lies.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        # Every address, without a token: who reaches a container's port is decided outside of it.
        self._listener = _bind(settings.port)
        self._live: list[Child] = []
        self._shadow: Child | None = None
        self._shadows = 0
        self._shadow_pause = 1.0
        self._shadow_due = 0.0
        self._deaths: list[float] = []

    def begin(self) -> None:
        """Start the live processes."""
        while len(self._live) < self._settings.workers:
            self._live.append(self._start("live", self._settings.live, ""))

    def run(self, stop: socket.socket) -> int:
        """Serve until ``stop`` is readable, or no serving process stays up; give the exit status."""
        while True:
            if (words := self._look()) is not None:
                _log.error("the container ends: %s", words)
                self._leave(0.0)
                return _FAILED
            lines = [child.line for child in self._children if child.line.fileno() >= 0]
            readable, _, _ = select.select([stop, *lines], [], [], _LOOK_SECONDS)
            if stop in readable and not _ENDING.isdisjoint(stop.recv(64)):
                _log.info("draining for %g s at the longest", self._settings.drain_seconds)
                self._leave(self._settings.drain_seconds)
                return 0

    @property
    def _children(self) -> list[Child]:
        return [*self._live, *([self._shadow] if self._shadow else [])]

    def _look(self) -> str | None:
        """Start what is missing; give the last words where a live process does not stay up."""
        for child in self._children:
            child.look()
        for child in [child for child in self._live if child.gone]:
            self._live.remove(child)
            self._deaths = [when for when in self._deaths if time.monotonic() - when < DEATHS_SECONDS]
            self._deaths.append(time.monotonic())
            if not child.ready or len(self._deaths) >= DEATHS:
                return child.reason()
            _log.error("a serving process is replaced: %s", child.reason())
        self.begin()
        for child in self._live:
            if child.ready and not child.accepting:
                child.accept()
        self._look_at_shadow()
        return None

    def _look_at_shadow(self) -> None:
        """Keep the shadow, which never stands in the live processes' way: it starts behind them."""
        now, shadow = time.monotonic(), self._shadow
        if shadow is not None and shadow.gone:
            _log.error("the shadow is replaced in %g s: %s", self._shadow_pause, shadow.reason())
            self._shadow, self._shadow_due = None, now + self._shadow_pause
            self._shadow_pause = min(2 * self._shadow_pause, LONGEST_PAUSE)
        elif shadow is not None and shadow.ready:
            if not shadow.accepting:
                shadow.accept()
            for child in self._live:
                if child.accepting:
                    child.mirror(shadow.uds)
        elif (
            shadow is None
            and self._settings.shadow is not None
            and now >= self._shadow_due
            and all(child.accepting for child in self._live)
        ):
            self._shadows += 1
            uds = str(self._folder / f"shadow-{self._shadows}.sock")
            self._shadow = self._start("shadow", self._settings.shadow, uds)

    def _start(self, role: str, model: Path, uds: str) -> Child:
        settings = self._settings
        options = ["--model", str(model), "--spool", str(settings.spool), "--role", role]
        options += ["--drain-seconds", str(settings.drain_seconds), *settings.options]
        options += () if uds else settings.admission
        return Child(role, options, self._folder, None if uds else self._listener, uds)

    def _leave(self, seconds: float) -> None:
        """Let every process answer what it has, and go: the live ones first, which still have a shadow."""
        self._listener.close()
        for child in self._live:
            child.drain(seconds)
        _wait(self._live, seconds + _LEAVE_SECONDS)
        if self._shadow is not None:
            self._shadow.drain(0.0)
            _wait([self._shadow], _LEAVE_SECONDS)


def _wait(children: list[Child], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for child in children:
        child.wait(deadline - time.monotonic())


def _bind(port: int) -> socket.socket:
    """Bind a port on every address, IPv4 and IPv6 where there is one."""
    try:
        listener = socket.socket(socket.AF_INET6)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        address: tuple[str | int, ...] = ("::", port)
    except OSError:
        listener, address = socket.socket(), ("", port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


def _signals() -> socket.socket:
    """Give a socket that becomes readable when the container is to stop or a process has ended."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in (*_ENDING, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    return reader


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    given = sys.argv[1:] if arguments is None else arguments
    stop = _signals()
    try:
        if given != ["serve"]:
            raise ValueError(f"a container takes one argument, serve, and got {shlex.join(given) or 'none'}")
        settings = Settings.read(os.environ)
        container = Container(settings, Path(tempfile.mkdtemp(prefix="taxiway-")))
    except (OSError, ValueError) as error:
        _set_up_log()
        _log.error("%s", error)
        return _SETTINGS_ERROR
    # What is not needed to start a process is imported while that process imports.
    container.begin()
    _set_up_log()
    from taxiway.serving.shipping import Shipper

    if not settings.ship_to:
        _log.warning("TAXIWAY_SHIP_TO is not set: the prediction log stays in %s", settings.spool)
        return container.run(stop)
    shipper = Shipper(settings.spool, settings.ship_to, seconds=settings.ship_seconds)
    shipper.start()
    status = container.run(stop)
    shipper.close(settings.drain_seconds / 2)
    return status


def _set_up_log() -> None:
    from taxiway.serving import logs

    form = os.environ.get(logs.VARIABLE)
    logs.set_up("container", "json" if form == "json" else "text")


if __name__ == "__main__":
    sys.exit(main())
