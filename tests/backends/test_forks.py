"""Masters that are forked, as the agent has them: quicker to start, and bound to nobody."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from taxiway.backends import Status
from taxiway.errors import BackendError
from taxiway_backends.local import lifecycle
from taxiway_backends.local.rundir import RunDir
from tests.backends.conformance import refused
from tests.backends.conftest import Endpoint
from tests.conftest import processes_of
from tests.waiting import wait_until

SERVER = "taxiway_backends.local.forkserver"


@pytest.fixture
def forking(endpoint: Endpoint) -> Iterator[Endpoint]:
    endpoint.backend.prepare()
    yield endpoint
    lifecycle.fork_server(endpoint.backend.home).end()


def server_of(endpoint: Endpoint) -> psutil.Process:
    """The one of its home that is no master."""
    found = []
    for one in processes_of(endpoint.backend.home):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if SERVER in one.cmdline() and one.cwd() == "/":
                found.append(one)
    (server,) = found
    return server


def test_a_forked_master_is_bound_to_nobody_and_a_killed_server_is_started_again(forking: Endpoint) -> None:
    seen = forking.start()
    server, master = server_of(forking), psutil.Process(forking.status()["pid"])
    assert master.ppid() == server.pid
    assert master.cwd() == str(forking.folder)
    assert os.getsid(master.pid) == master.pid
    assert Path(f"/proc/{master.pid}/fd/0").samefile(os.devnull), "it would hold the server's line open"
    assert "master of http" in forking.story()
    server.kill()
    assert forking.ask(seen) == forking.models[0].tag
    master.kill()
    forking.until(lambda seen: seen.status is not Status.READY)
    forking.backend.apply(forking.spec(), token="again")
    forking.ready(0)
    assert server_of(forking).pid != server.pid


@pytest.mark.parametrize(("how", "seconds"), [("hangs", 0.3), ("ends", 60.0)])
def test_where_a_server_takes_a_request_and_forks_nothing_the_master_is_a_process_of_its_own(
    forking: Endpoint, monkeypatch: pytest.MonkeyPatch, how: str, seconds: float
) -> None:
    monkeypatch.setattr(lifecycle, "START_SECONDS", seconds)
    server = server_of(forking)
    server.send_signal(signal.SIGSTOP)
    if how == "ends":
        threading.Timer(0.2, server.kill).start()
    began = time.monotonic()
    forking.backend.apply(forking.spec(), token="first")
    assert time.monotonic() - began < 30, "what has ended is not waited for"
    assert not server.is_running()
    pid = wait_until(RunDir(forking.folder).master_pid, "a master")
    assert pid is not None
    assert os.getsid(pid) == pid, "it would end with the notebook's terminal"


def test_a_machine_that_starts_no_process_is_told_as_what_it_is(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as full:
        full.setattr(subprocess, "Popen", fail)
        endpoint.backend.prepare()
        with refused(BackendError, "cannot be started: Resource temporarily unavailable"):
            endpoint.backend.apply(endpoint.spec(), token="first")


def test_a_home_keeps_its_server_when_another_home_gets_one(tmp_path: Path) -> None:
    first = lifecycle.fork_server(tmp_path / "first")
    lifecycle.fork_server(tmp_path / "second")
    assert lifecycle.fork_server(tmp_path / "first") is first


def test_a_server_ends_with_the_process_that_started_it(taxiway_home: Path) -> None:
    code = "import os; from taxiway_backends.local import LocalBackend; LocalBackend().prepare(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    wait_until(lambda: processes_of(taxiway_home) == [], "the server's end")
