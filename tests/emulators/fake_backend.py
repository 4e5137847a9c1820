"""A back end that does nothing but remember, and fails as it is told to.

What it remembers lies in a folder, so that processes share it: a test tells the agent's back end to fail, and
reads what was really asked of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from taxiway.backends import (
    Capability,
    Diagnosis,
    EndpointRef,
    EndpointSpec,
    LogLine,
    Observation,
    Plan,
    Routing,
    Status,
)
from taxiway.errors import BackendError, InputError, NotFoundError, UnsupportedError

FOLDER = "TAXIWAY_FAKE_BACKEND"  # in the environment: the folder, for a process that finds it by entry point
Kind = Literal["error", "bug", "timeout", "slow", "lost", "partial", "unknown"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, how often, and where.

    Attributes
    ----------
    kind
        ``error``: refused with a 500 before anything is done; ``bug``: an exception that is no TaxiwayError;
        ``timeout``: no answer for ``seconds``, and nothing done; ``slow``: done after ``seconds``; ``lost``:
        done, but the answer is lost; ``partial``: half of it done, then a 500; ``unknown``: it cannot tell.
    times
        How many calls; -1 is all.
    endpoint
        Only this one; every one if empty.
    """

    operation: str
    kind: Kind
    times: int = 1
    seconds: float = 0.0
    endpoint: str = ""


class FakeBackend:
    """Endpoints that are files.

    Parameters
    ----------
    folder
        Where they lie; that of the environment by default.
    """

    name = "fake"
    capabilities = frozenset((Capability.SHADOW,))

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ[FOLDER])
        (self.folder / "endpoints").mkdir(parents=True, exist_ok=True)

    def check(self) -> Diagnosis:
        return Diagnosis(True, (), {"python": platform.python_version(), "cpu": "none", "memory": "none"})

    def plan(self, spec: EndpointSpec) -> Plan:
        _check(spec)
        before, lacks = self._read(spec.name), _lacks(spec)
        if before is None:
            return Plan((f"start {spec.routing.live.tag} as the endpoint {spec.name}",), lacks)
        after = _wanted(spec)
        changes = [field for field in after if after[field] != before[field]]
        return Plan(tuple(f"{field}: {before[field]} → {after[field]}" for field in changes), lacks)

    def apply(self, spec: EndpointSpec, *, token: str) -> Observation:
        _check(spec)
        if lacks := _lacks(spec):
            raise UnsupportedError(f"It cannot be: {lacks[0]}.", hint="Deploy with device auto or cpu.")
        with self._call("apply", spec.name, token) as half:
            before = self._read(spec.name) or {"resources": []}
            after = {**before, **_wanted(spec), "token": token}
            # The first is its own; others are orphans.
            after["resources"] = before["resources"][:1] or [f"taxiway-{spec.name}-{token}"]
            if half:
                after["live"] = before.get("live")
            self._write(spec.name, after)
        return self._look(spec.name)

    def route(self, ref: EndpointRef, routing: Routing, *, token: str) -> Observation:
        _check_models(routing)
        with self._call("route", ref.name, token):
            before = self._read(ref.name)
            if before is None:
                raise NotFoundError(f"There is no endpoint {ref.name!r} here.", hint="Deploy it first.")
            self._write(ref.name, {**before, **_routing(routing), "token": token})
        return self._look(ref.name)

    def observe(self, ref: EndpointRef) -> Observation:
        with self._call("observe", ref.name, "") as unsure:
            if unsure:
                return Observation(Status.UNKNOWN, datetime.now(UTC), reason="It does not say how it is.")
        return self._look(ref.name)

    def logs(
        self, ref: EndpointRef, *, since: datetime | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        if follow:
            raise UnsupportedError("Its log cannot be followed.", hint="Read it again.")
        if self._read(ref.name) is None:
            return
        for call in self.calls(ref.name):
            moment = datetime.fromtimestamp(call["time"], UTC)
            if call["operation"] != "observe" and (since is None or moment >= since):
                yield LogLine(moment, "fake[1]", f"{call['operation']} {call['live'] or ''}")

    def destroy(self, ref: EndpointRef, *, token: str) -> Observation:
        with self._call("destroy", ref.name, token):
            self._file(ref.name).unlink(missing_ok=True)
        return self._look(ref.name)

    # What a test does with it

    def fail(self, operation: str, kind: Kind, **more: Any) -> None:
        """Let calls of an operation (``apply``, ``route``, ``observe``, ``destroy``) go wrong."""
        with self._locked():
            self._put("faults.json", [*self._faults(), asdict(Fault(operation, kind, **more))])

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        with self._locked():
            self._put("faults.json", [])

    def calls(self, endpoint: str = "", operation: str = "") -> list[dict[str, Any]]:
        """Give what was asked, oldest first: operation, endpoint, token, process, times, live Model after."""
        try:
            lines = (self.folder / "calls.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        found = [json.loads(line) for line in lines]
        return [
            call
            for call in found
            if endpoint in ("", call["endpoint"]) and operation in ("", call["operation"])
        ]

    def resources(self, endpoint: str) -> list[str]:
        """Give what there is of an endpoint; more than one is one too many."""
        return list((self._read(endpoint) or {"resources": []})["resources"])

    def answer(self, endpoint: str) -> str | None:
        """Give the tag of the Model that would answer a client now."""
        tag: str | None = (self._read(endpoint) or {"live": None})["live"]
        return tag

    def waiting(self, endpoint: str) -> bool:
        """Tell whether a caller waits for an answer about an endpoint."""
        return (self.folder / f"waiting-{endpoint}.json").exists()

    def spoil(self, endpoint: str, **changes: Any) -> None:
        """Change what there is behind the agent's back: ``live``, ``shadow`` …"""
        self._write(endpoint, {**(self._read(endpoint) or {}), **changes})

    # How it works

    @contextmanager
    def _call(self, operation: str, name: str, token: str) -> Iterator[bool]:
        """Let a call go wrong if it is to; gives whether it is to be done by half."""
        fault = self._take(operation, name)
        kind, seconds = (fault.kind, fault.seconds) if fault else ("", 0.0)
        started = time.monotonic()
        try:
            if kind in ("timeout", "slow"):
                self._put(f"waiting-{name}.json", operation)
                time.sleep(seconds)
                (self.folder / f"waiting-{name}.json").unlink(missing_ok=True)
            if kind == "timeout":
                raise BackendError(f"No answer within {seconds} s.", hint="It is tried again.")
            if kind == "error":
                raise BackendError("The back end answered 500.", hint="It is tried again.")
            if kind == "bug":
                raise RuntimeError("a mistake in the back end")
            with self._locked():
                yield kind in ("partial", "unknown")
            if kind in ("lost", "partial"):
                raise BackendError("The connection was lost.", hint="It is tried again.")
        finally:
            entry = {"operation": operation, "endpoint": name, "token": token, "process": os.getpid()}
            more = {"started": started, "ended": time.monotonic(), "time": time.time(), "fault": kind}
            with (self.folder / "calls.jsonl").open("a") as journal:
                journal.write(json.dumps({**entry, **more, "live": self.answer(name)}) + "\n")

    def _take(self, operation: str, name: str) -> Fault | None:
        if not (self.folder / "faults.json").exists():
            return None
        with self._locked():
            faults = [Fault(**entry) for entry in self._faults()]
            for place, fault in enumerate(faults):
                fits = fault.operation == operation and fault.endpoint in ("", name)
                if fits and fault.times:
                    faults[place] = Fault(**{**asdict(fault), "times": max(fault.times - 1, -1)})
                    self._put("faults.json", [asdict(entry) for entry in faults])
                    return fault
        return None

    def _look(self, name: str) -> Observation:
        found, time_ = self._read(name), datetime.now(UTC)
        if found is None:
            return Observation(Status.ABSENT, time_, native="absent")
        if found["live"] is None:
            return Observation(Status.FAILED, time_, native="half", reason="It was made by half.")
        return Observation(
            Status.READY,
            time_,
            native="ready",
            url=f"fake://{name}",
            live=found["live"],
            shadow=found["shadow"],
            replicas=found["workers"],
            notes=tuple(found.get("notes", ())),
        )

    def _file(self, name: str) -> Path:
        return self.folder / "endpoints" / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._file(name).read_text())
        except FileNotFoundError:
            return None
        return found

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self._put(f"endpoints/{name}.json", content)

    def _faults(self) -> list[dict[str, Any]]:
        path = self.folder / "faults.json"
        return list(json.loads(path.read_text())) if path.exists() else []

    def _put(self, name: str, content: Any) -> None:
        path = self.folder / name
        staged = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
        staged.write_text(json.dumps(content))
        staged.replace(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def install(site: Path, folder: Path) -> dict[str, str]:
    """Install the back end ``fake`` into a folder of distributions.

    Returns
    -------
    dict
        The environment with which a process finds it, and with which it finds its state in ``folder``.
    """
    metadata = site / "taxiway_fake-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: taxiway-fake\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[taxiway.backends]\nfake = {__name__}:FakeBackend\n")
    root = Path(__file__).parents[2]
    return {"PYTHONPATH": os.pathsep.join([str(site), str(root)]), FOLDER: str(folder)}


def _check(spec: EndpointSpec) -> None:
    name = spec.name
    if not name or not name.replace("-", "").isalnum() or not name.islower():
        raise InputError(f"{name!r} cannot be an endpoint's name.", hint="Use lower-case letters and digits.")
    if spec.workers < 1:
        raise InputError("An endpoint needs at least one worker.", hint="Set workers to 1 or more.")
    _check_models(spec.routing)


def _check_models(routing: Routing) -> None:
    for model in filter(None, (routing.live, routing.shadow)):
        if not (model.path / "model.json").is_file():
            raise NotFoundError(f"{model.tag} has no files.", hint="Package the model again.")


def _lacks(spec: EndpointSpec) -> tuple[str, ...]:
    return ("device gpu: there is none",) if spec.device == "gpu" else ()


def _wanted(spec: EndpointSpec) -> dict[str, Any]:
    return {**_routing(spec.routing), "workers": spec.workers, "policies": dict(spec.policies)}


def _routing(routing: Routing) -> dict[str, Any]:
    return {"live": routing.live.tag, "shadow": routing.shadow.tag if routing.shadow else None}
