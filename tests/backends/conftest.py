"""The local back end in a home of its own, with short drains, and three versions of one Model."""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from taxiway.backends import EndpointSpec, ModelRef, Observation
from taxiway.serving.spool import list_segments, read_segment
from taxiway_backends.local import LocalBackend
from tests.backends.conformance import Subject
from tests.load import ask
from tests.models import BuiltModel, build_model
from tests.waiting import wait_until


def ref_of(model: BuiltModel) -> ModelRef:
    return ModelRef(model.name, model.version, model.path)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[BuiltModel]:
    folder = tmp_path_factory.mktemp("models")
    return [build_model(folder, c=c) for c in (1.0, 0.01, 0.001)]


@pytest.fixture(scope="session")
def broken(models: list[BuiltModel], tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    """A Model that does not answer its own sample."""
    path = tmp_path_factory.mktemp("broken") / "iris" / ("b" * 12)
    shutil.copytree(models[0].path, path)
    sample = json.loads((path / "sample.json").read_text())
    sample["outputs"]["label"][0] = "tulip"
    (path / "sample.json").write_text(json.dumps(sample))
    return ModelRef("iris", "b" * 12, path)


def _killed(process: psutil.Process) -> None:
    """Kill a process, and wait until it holds nothing any more."""
    process.kill()
    wait_until(
        lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the end of a process"
    )


#: What one ``apply`` does, in a process that ends at a certain moment without a word.
_CUT_SHORT = """
import os, pickle, sys
from taxiway_backends.local import backend, rundir
spec, token, home, moment = pickle.load(sys.stdin.buffer)
end = lambda *_: os._exit(9)
start = backend.start_master
if moment == "before it is written down":
    rundir.RunDir.write_spec = end
elif moment == "before the master":
    backend.start_master = end
    os.kill = end  # nor is a master told that there is
elif moment == "after the master":
    backend.start_master = lambda *given: end(start(*given))
backend.LocalBackend(home, drain_seconds=2.0).apply(spec, token=token)
"""


@dataclass
class Endpoint(Subject):
    """One endpoint of the local back end, and what a test does with it."""

    backend: LocalBackend
    interruptions = (
        "before it is written down",
        "before the master",
        "after the master",
        "with all that it began",
    )
    facts = frozenset(("python", "cpu", "memory"))

    @property
    def folder(self) -> Path:
        return self.backend.home / "run" / "local" / self.name

    def story(self) -> str:
        log = self.folder / "master.log"
        return log.read_text(errors="replace") if log.exists() else "no log"

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
        return status

    def worker(self, role: str) -> psutil.Process:
        (pid,) = (worker["pid"] for worker in self.status()["workers"] if worker["role"] == role)
        return psutil.Process(pid)

    def records(self, role: str) -> list[dict[str, Any]]:
        segments = list_segments(self.folder / "spool")
        records = [record for segment in segments for record in read_segment(segment)[0]]
        return [record for record in records if record["kind"] == "prediction" and record["role"] == role]

    def ask(self, seen: Observation) -> str:
        status, text = ask(seen.url, "/predict", self.models[0].rows(1))
        assert status == 200, text
        return str(json.loads(text)["model"])

    def resources(self) -> list[str]:
        """Its processes, of which a zombie is none."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            kinds = {"taxiway.serving", "taxiway_backends.local.master"}.intersection(words)
            if kinds and any(word.startswith(str(self.folder)) for word in words):
                found.append(f"{kinds.pop()} {process.pid}")
        return found

    def interrupt(self, spec: EndpointSpec, token: str, moment: str) -> None:
        if moment == "with all that it began":
            self.backend.apply(spec, token=token)
            for name in self.resources():
                with contextlib.suppress(psutil.NoSuchProcess):
                    _killed(psutil.Process(int(name.split()[1])))
            return
        given = pickle.dumps((spec, token, self.backend.home, moment))
        done = subprocess.run([sys.executable, "-c", _CUT_SHORT], input=given)
        assert done.returncode in (0, 9)  # 0 where a master was there, and need not be started

    def orphan(self) -> None:
        """Kill the master alone."""
        _killed(psutil.Process(self.status()["pid"]))

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        """Freeze the master, which is the only one that knows."""
        master = psutil.Process(self.status()["pid"])
        master.suspend()
        wait_until(lambda: master.status() == psutil.STATUS_STOPPED, "the master to be still")
        try:
            yield
        finally:
            master.resume()

    @contextmanager
    def out_of_order(self) -> Iterator[None]:
        """Let there be no room: nothing can be written into the endpoint's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, limit[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def endpoint(taxiway_home: Path, models: list[BuiltModel]) -> Iterator[Endpoint]:
    one = Endpoint(LocalBackend(taxiway_home, drain_seconds=2.0), models)
    yield one
    one.backend.destroy(one.ref, token="end")
