"""The local back end: tells the masters what should be, and reads what is."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from taxiway.backends import (
    Capability,
    Diagnosis,
    EndpointRef,
    EndpointSpec,
    LogLine,
    Observation,
    Plan,
    Routing,
)
from taxiway.errors import BackendError, InputError, NotFoundError
from taxiway_backends.local.gpu import GpuError, has_gpu, inventory, library
from taxiway_backends.local.lifecycle import ForkServer, fork_server, start_master, stop_processes
from taxiway_backends.local.listening import free_port
from taxiway_backends.local.log import read_log
from taxiway_backends.local.observation import observe
from taxiway_backends.local.rundir import RunDir
from taxiway_backends.local.spec import ModelEntry, Spec, Wanted
from taxiway_backends.local.specifying import entry, find_lacks, need_gpu, optional, specify

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_COMPARED = (
    *("workers", "host", "port", "uds", "policies", "limits", "device", "bake", "token_hash"),
    *("certificate", "key"),
)
_MODULES = ("onnxruntime", "numpy", "orjson", "uvicorn", "uvloop", "httptools", "psutil")


class LocalBackend:
    """Endpoints on this machine, on loopback.

    Parameters
    ----------
    home
        The folder under which all state lies; by default that of the settings, when it is first needed.
    drain_seconds
        The longest that a serving process waits for its open connections when it is replaced.
    """

    name = "local"

    def __init__(self, home: Path | None = None, *, drain_seconds: float = 30.0) -> None:
        self._home = home and home.resolve()
        self._drain_seconds = drain_seconds
        self._forks: ForkServer | None = None
        self._directories: dict[str, RunDir] = {}
        gpu = {Capability.GPU} if has_gpu() else set()
        self.capabilities = frozenset((Capability.SHADOW, Capability.LOG_FOLLOW, *gpu))

    @property
    def home(self) -> Path:
        """The folder under which all state lies."""
        if self._home is None:  # once: the agent looks often, and reading the settings takes half of a look
            from taxiway.settings import settings

            self._home = settings().home.resolve()
        return self._home

    def prepare(self) -> None:
        """Begin what starts masters quickly; it ends with this process."""
        self._forks = fork_server(self.home)
        with contextlib.suppress(OSError):  # then each master is a process from the ground up
            self._forks.begin()

    def check(self) -> Diagnosis:
        """Look whether serving processes can run here."""
        import psutil

        problems = []
        if os.name != "posix" or not hasattr(socket, "SO_REUSEPORT"):
            problems.append(("This system cannot share a listening socket.", "Use Linux or macOS."))
        missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
        if missing:
            problems.append((f"Missing: {', '.join(missing)}.", f"pip install {' '.join(missing)}"))
        memory = psutil.virtual_memory()
        facts = {
            "python": platform.python_version(),
            "cpu": f"{os.cpu_count()} cores, {platform.machine()}",
            "memory": f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB free",
        }
        try:
            gpus = inventory(library())
            facts["gpu"] = "; ".join(map(str, gpus)) or "none"
        except GpuError as error:
            facts["gpu"] = f"not looked at: {error}"
        return Diagnosis(not problems, tuple(problems), facts)

    def plan(self, spec: EndpointSpec) -> Plan:
        """Say what ``apply`` would change."""
        directory = self._directory(spec.name)
        before = directory.usable_spec()
        after = specify(spec, before, self._drain_seconds)
        if before is None or before.wanted != "running":
            return Plan((f"start {after.live.tag} as the endpoint {spec.name}",), find_lacks(after))
        changes = []
        if before.live != after.live:
            changes.append(f"replace the live {before.live.tag} by {after.live.tag}")
        if before.shadow != after.shadow:
            changes.append(f"shadow: {_tag(before.shadow)} → {_tag(after.shadow)}")
        for field in _COMPARED:
            old, new = getattr(before, field), getattr(after, field)
            if old != new:
                changes.append(f"{field}: {old} → {new}" if field != "token_hash" else "another token")
        if not changes and directory.master_pid() is None:
            changes.append("start the master again")
        return Plan(tuple(changes), find_lacks(after))

    def apply(self, spec: EndpointSpec, *, token: str) -> Observation:
        """Make the endpoint so; answers at once, usually PENDING, and ``observe`` tells the rest."""
        directory = self._directory(spec.name)
        with directory.changing():
            before = directory.usable_spec()
            after = specify(spec, before, self._drain_seconds)
            if before is not None and _address(before) != _address(after):
                stop_processes(directory)
            self._change(directory, before, after, token)
        return self.observe(EndpointRef(spec.name))

    def route(self, ref: EndpointRef, routing: Routing, *, token: str) -> Observation:
        """Change the live and the shadow Model; clients notice nothing.

        Raises
        ------
        NotFoundError
            There is no such endpoint.
        """
        directory = self._directory(ref.name)
        before = directory.read_spec()
        if before is None or before.wanted == "destroyed":
            raise NotFoundError(f"There is no endpoint {ref.name!r} here.", hint="Deploy it first.")
        with directory.changing():
            before = directory.read_spec() or before
            after = replace(
                before, live=entry(routing.live), shadow=optional(routing.shadow), wanted="running"
            )
            self._change(directory, before, after, token)
        return self.observe(ref)

    def observe(self, ref: EndpointRef) -> Observation:
        """Look at the endpoint."""
        return observe(self._directory(ref.name))

    def logs(
        self, ref: EndpointRef, *, since: datetime | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Give the log's lines, oldest first."""
        return read_log(self._directory(ref.name).log, since=since, follow=follow)

    def stop(self, ref: EndpointRef) -> Observation:
        """Stop every process of the endpoint and keep its port; ``apply`` starts it again."""
        self._end(self._directory(ref.name), "stopped")
        return self.observe(ref)

    def destroy(self, ref: EndpointRef, *, token: str) -> Observation:
        """Stop every process of the endpoint and remove all but what its spool still holds."""
        directory = self._directory(ref.name)
        if directory.path.is_dir():
            self._end(directory, "destroyed", token)
        return self.observe(ref)

    def _directory(self, name: str) -> RunDir:
        if (known := self._directories.get(name)) is not None:
            return known
        if _NAME.fullmatch(name) is None:
            raise InputError(
                f"{name!r} cannot be an endpoint's name.",
                hint="Use up to 63 lower-case letters, digits, dots, dashes and underscores.",
            )
        return self._directories.setdefault(name, RunDir(self.home / "run" / "local" / name))

    def _change(self, directory: RunDir, before: Spec | None, after: Spec, token: str) -> None:
        if before is None or before.wanted != "running" or _computed(before) != _computed(after):
            need_gpu(after)
        try:
            directory.make()
            self._write(directory, before, after, token)
        except OSError as error:
            raise _unwritable(directory, error) from error

    def _write(self, directory: RunDir, before: Spec | None, after: Spec, token: str) -> None:
        if after.port == 0 and not after.uds:
            after = replace(after, port=free_port(after.host))
        if before != after:
            directory.write_spec(replace(after, revision=after.revision + 1, token=token))
        pid = directory.master_pid()
        if pid is None:
            start_master(directory, self.home, self._forks)
        elif before != after:
            os.kill(pid, signal.SIGHUP)

    def _end(self, directory: RunDir, wanted: Wanted, token: str = "") -> None:
        if not directory.path.is_dir():
            return
        with directory.changing():
            spec = directory.usable_spec()
            if spec is not None and spec.wanted != wanted:
                ended = replace(spec, wanted=wanted, revision=spec.revision + 1, token=token)
                with contextlib.suppress(OSError):  # a full disk keeps nothing from ending
                    directory.write_spec(ended)
            stop_processes(directory)
            if spec is not None and spec.uds:
                Path(spec.uds).unlink(missing_ok=True)
            if wanted == "destroyed":
                directory.remove()


def _unwritable(directory: RunDir, error: OSError) -> BackendError:
    return BackendError(
        f"The endpoint's folder {directory.path} cannot be written: {error.strerror or error}.",
        hint="Free disk space, or make it writable.",
    )


def _tag(model: ModelEntry | None) -> str:
    return "none" if model is None else model.tag


def _address(spec: Spec) -> tuple[str, int, str]:
    return spec.host, spec.port, spec.uds


def _computed(spec: Spec) -> tuple[object, ...]:
    return spec.live, spec.shadow, spec.device
