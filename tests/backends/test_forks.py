"""Masters that are forked, as the agent has them: quicker to start, and bound to nobody."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from taxiway.backends import Status
from taxiway_backends.local import lifecycle
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


def test_a_server_that_hangs_is_replaced(forking: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "START_SECONDS", 0.3)
    server = server_of(forking)
    server.send_signal(signal.SIGSTOP)
    seen = forking.backend.apply(forking.spec(), token="first")
    assert seen.status is not Status.READY
    assert not server.is_running()
    monkeypatch.undo()
    forking.backend.apply(forking.spec(), token="again")
    forking.ready(0)


def test_a_home_keeps_its_server_when_another_home_gets_one(tmp_path: Path) -> None:
    first = lifecycle.fork_server(tmp_path / "first")
    lifecycle.fork_server(tmp_path / "second")
    assert lifecycle.fork_server(tmp_path / "first") is first


def test_a_server_ends_with_the_process_that_started_it(taxiway_home: Path) -> None:
    code = "import os; from taxiway_backends.local import LocalBackend; LocalBackend().prepare(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    wait_until(lambda: processes_of(taxiway_home) == [], "the server's end")
