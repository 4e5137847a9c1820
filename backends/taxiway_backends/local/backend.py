"""The local back end: tells the masters what should be, and reads what is."""

from __future__ import annotations

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
    ModelRef,
    Observation,
    Plan,
    Routing,
)
from taxiway.errors import BackendError, InputError, NotFoundError
from taxiway_backends.local.lifecycle import free_port, start_master, stop_processes
from taxiway_backends.local.log import read_log
from taxiway_backends.local.observation import observe
from taxiway_backends.local.rundir import ModelEntry, RunDir, Spec, Wanted

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_MODULES = ("onnxruntime", "numpy", "orjson", "uvicorn", "uvloop", "httptools", "psutil")


class LocalBackend:
    """Endpoints on this machine, on loopback.

    Parameters
    ----------
    home
        The folder under which all state lies; that of the settings by default.
    drain_seconds
        The longest that a serving process waits for its open connections when it is replaced.
    """

    name = "local"
    capabilities = frozenset((Capability.SHADOW, Capability.LOG_FOLLOW))

    def __init__(self, home: Path | None = None, *, drain_seconds: float = 30.0) -> None:
        self._home = home
        self._drain_seconds = drain_seconds

    @property
    def home(self) -> Path:
        """The folder under which all state lies."""
        if self._home is not None:
            return self._home.absolute()
        from taxiway.settings import settings

        return settings().home

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
        return Diagnosis(not problems, tuple(problems), facts)

    def plan(self, spec: EndpointSpec) -> Plan:
        """Say what ``apply`` would change."""
        directory = self._directory(spec.name)
        before = directory.read_spec()
        after = self._spec(spec, before)
        if before is None or before.wanted != "running":
            return Plan((f"start {after.live.tag} as the endpoint {spec.name}",))
        changes = []
        if before.live != after.live:
            changes.append(f"replace the live {before.live.tag} by {after.live.tag}")
        if before.shadow != after.shadow:
            changes.append(f"shadow: {_tag(before.shadow)} → {_tag(after.shadow)}")
        for field in ("workers", "host", "port", "policies"):
            old, new = getattr(before, field), getattr(after, field)
            if old != new:
                changes.append(f"{field}: {old} → {new}")
        if not changes and directory.master_pid() is None:
            changes.append("start the master again")
        return Plan(tuple(changes))

    def apply(self, spec: EndpointSpec, *, token: str) -> Observation:
        """Make the endpoint so; answers at once, usually PENDING, and ``observe`` tells the rest."""
        directory = self._directory(spec.name)
        with directory.changing():
            before = directory.read_spec()
            after = self._spec(spec, before)
            moved = before is not None and (before.host, before.port) != (after.host, after.port)
            if moved and before is not None and before.port:
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
                before, live=_entry(routing.live), shadow=_optional(routing.shadow), wanted="running"
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
        if _NAME.fullmatch(name) is None:
            raise InputError(
                f"{name!r} cannot be an endpoint's name.",
                hint="Use up to 63 lower-case letters, digits, dots, dashes and underscores.",
            )
        return RunDir(self.home.resolve() / "run" / "local" / name)

    def _spec(self, spec: EndpointSpec, before: Spec | None) -> Spec:
        if spec.host not in ("127.0.0.1", "::1", "localhost"):
            raise BackendError(
                f"The local back end does not listen on {spec.host}.",
                hint="Use 127.0.0.1, and a proxy with a token.",
            )
        if spec.workers < 1:
            raise InputError("An endpoint needs at least one worker.", hint="Set workers to 1 or more.")
        return Spec(
            live=_entry(spec.routing.live),
            shadow=_optional(spec.routing.shadow),
            workers=spec.workers,
            host="127.0.0.1" if spec.host == "localhost" else spec.host,
            port=spec.port or (before.port if before else 0),
            policies=dict(spec.policies),
            drain_seconds=self._drain_seconds,
            revision=before.revision if before else 0,
            token=before.token if before else "",
        )

    def _change(self, directory: RunDir, before: Spec | None, after: Spec, token: str) -> None:
        directory.make()
        if after.port == 0:
            after = replace(after, port=free_port(after.host))
        if before != after:
            directory.write_spec(replace(after, revision=after.revision + 1, token=token))
        pid = directory.master_pid()
        if pid is None:
            start_master(directory, self.home)
        elif before != after:
            os.kill(pid, signal.SIGHUP)

    def _end(self, directory: RunDir, wanted: Wanted, token: str = "") -> None:
        if not directory.path.is_dir():
            return
        with directory.changing():
            spec = directory.read_spec()
            if spec is not None and spec.wanted != wanted:
                directory.write_spec(replace(spec, wanted=wanted, revision=spec.revision + 1, token=token))
            stop_processes(directory)
            if wanted == "destroyed":
                directory.remove()


def _entry(model: ModelRef) -> ModelEntry:
    if not (model.path / "model.json").is_file():
        raise NotFoundError(f"{model.tag} has no files in {model.path}.", hint="Package the model again.")
    return ModelEntry(model.name, model.version, str(model.path.absolute()))


def _optional(model: ModelRef | None) -> ModelEntry | None:
    return None if model is None else _entry(model)


def _tag(model: ModelEntry | None) -> str:
    return "none" if model is None else model.tag
