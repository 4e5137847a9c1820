from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from taxiway.backends import Status
from taxiway.errors import BackendError
from taxiway_backends.local import pool
from taxiway_backends.local.bake import Totals
from taxiway_backends.local.pool import Pool
from taxiway_backends.local.rundir import RunDir
from taxiway_backends.local.worker import State
from tests.backends.conftest import Endpoint
from tests.load import Load
from tests.waiting import wait_until


def test_a_serving_process_that_is_killed_is_replaced_while_clients_wait(endpoint: Endpoint) -> None:
    url = endpoint.start().url
    assert url is not None
    victim = endpoint.worker("live")
    with Load(url, endpoint.models[0].rows(150), keep_alive=0, fresh=4) as load:
        load.wait_for(50)
        victim.send_signal(signal.SIGKILL)
        endpoint.until(lambda seen: seen.status is not Status.READY)
        endpoint.ready(0)
        load.wait_for(50)
    assert endpoint.worker("live").pid != victim.pid
    assert all("Refused" not in failure for failure in load.failures)
    assert len(load.failures) <= 4, "only what the killed process had in its hands is lost"
    written = [one for record in endpoint.records("live") for one in record["ids"]]
    assert set(load.answered) <= set(written)
    assert len(written) == len(set(written))


def listening_sockets(url: str) -> set[str]:
    """The inodes of the sockets that listen on the URL's port, as Linux lists them."""
    port = f":{urlsplit(url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(port) and row[3] == "0A"}


def test_a_killed_master_leaves_its_processes_serving_and_the_next_takes_over_without_a_failed_request(
    endpoint: Endpoint,
) -> None:
    first = endpoint.start(shadow=1)
    assert first.url is not None
    orphan = endpoint.worker("live")
    before = listening_sockets(first.url)
    with Load(first.url, endpoint.models[0].rows(150)) as load:
        load.wait_for(50)
        os.kill(endpoint.status()["pid"], signal.SIGKILL)
        seen = endpoint.until(lambda seen: seen.native == "orphaned")
        assert (seen.status, seen.live) == (Status.DEGRADED, endpoint.models[0].tag)
        load.wait_for(100)
        endpoint.backend.apply(endpoint.spec(shadow=1), token="again")
        assert endpoint.ready(0, 1).url == first.url
        load.wait_for(100)
    assert load.failures == []
    orphan.wait(10)
    assert len(before) == 1
    assert listening_sockets(first.url) == before, "another socket would reset what waits in the first"
    roles = ["live", "shadow"]
    wait_until(
        lambda: [one["role"] for one in endpoint.status()["workers"]] == roles, "the orphan to be gone"
    )


def test_a_killed_master_and_killed_workers_come_back_at_the_same_url(endpoint: Endpoint) -> None:
    first = endpoint.start()
    worker = endpoint.worker("live")
    os.kill(endpoint.status()["pid"], signal.SIGKILL)
    worker.send_signal(signal.SIGKILL)
    endpoint.until(lambda seen: seen.status is Status.FAILED)
    assert endpoint.start().url == first.url


def test_orphans_are_stopped_by_destroy(endpoint: Endpoint) -> None:
    endpoint.start()
    worker = endpoint.worker("live")
    os.kill(endpoint.status()["pid"], signal.SIGKILL)
    assert worker.is_running()
    endpoint.backend.destroy(endpoint.ref, token="a")
    worker.wait(5)


@pytest.mark.parametrize("deaths", [0, 2000])
def test_what_keeps_dying_is_started_less_and_less_often_for_as_long_as_it_does(
    monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    at, begun = [0.0], []
    dead: Any = SimpleNamespace(
        state=State.GONE, poll=lambda: None, reason=str, totals=Totals(), exit_status=-11, accepted=None
    )

    def start(_: object) -> Any:
        begun.append(at[0])
        return dead

    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: at[0]))
    definition: Any = None
    one = Pool(definition, 1, start)
    one.failures = deaths
    for tenths in range(3000):
        at[0] = tenths / 10
        one.tick()
    pauses = [round(later - earlier) for earlier, later in pairwise(begun)]
    assert pauses[-1] == pool.LONGEST_PAUSE
    assert pauses[0] == (pool.LONGEST_PAUSE if deaths else 1)
    assert pauses == sorted(pauses)
    assert len(pauses) < 20


def test_a_process_that_keeps_dying_is_degraded_and_says_of_what(endpoint: Endpoint) -> None:
    endpoint.start()
    lines = "Fatal Python error: Segmentation fault"
    deadline = time.monotonic() + 30
    while (
        seen := endpoint.backend.observe(endpoint.ref)
    ).status is not Status.DEGRADED or "3 times" not in seen.reason:
        assert time.monotonic() < deadline, seen
        if seen.status is Status.READY:
            with contextlib.suppress(ValueError, psutil.NoSuchProcess):
                endpoint.worker("live").send_signal(signal.SIGSEGV)
        time.sleep(0.02)
    assert f"SIGSEGV: {lines}" in seen.reason


def test_a_serving_process_that_hangs_is_told_of_and_replaced_while_clients_wait(endpoint: Endpoint) -> None:
    url = endpoint.start().url
    assert url is not None
    victim = endpoint.worker("live")
    rows = endpoint.models[0].rows(20)
    with Load(url, rows, keep_alive=0, fresh=2) as load:
        load.wait_for(20)
        victim.suspend()
        seen = endpoint.until(lambda seen: seen.status is not Status.READY)
        assert seen.status is Status.DEGRADED
        assert f"does not answer (process {victim.pid})" in seen.reason
        victim.wait(30)
        endpoint.ready(0)
        load.wait_for(20)
    assert endpoint.worker("live").pid != victim.pid
    assert all("Refused" not in failure for failure in load.failures)
    assert len(load.failures) <= 2, "only what it had in its hands is lost"


def test_a_hung_process_of_a_killed_master_does_not_stay_for_ever(endpoint: Endpoint) -> None:
    endpoint.start()
    orphan = endpoint.worker("live")
    orphan.suspend()
    endpoint.orphan()
    endpoint.backend.apply(endpoint.spec(), token="again")
    orphan.wait(30)
    wait_until(lambda: [one["role"] for one in endpoint.status()["workers"]] == ["live"], "one process")
    endpoint.ask(endpoint.ready(0))


def test_a_master_whose_folder_is_removed_stops_everything(endpoint: Endpoint) -> None:
    endpoint.start()
    master, worker = psutil.Process(endpoint.status()["pid"]), endpoint.worker("live")
    (endpoint.folder / "spec.json").unlink()
    worker.wait(10)
    master.wait(10)


def test_a_spec_that_a_lost_machine_has_torn_is_doubt_and_is_written_anew(endpoint: Endpoint) -> None:
    first = endpoint.start()
    worker = endpoint.worker("live")
    for content in ("", '{"live": {'):
        (endpoint.folder / "spec.json").write_text(content)
        seen = endpoint.backend.observe(endpoint.ref)
        assert (seen.status, seen.native) == (Status.UNKNOWN, "torn")
        assert "spec.json" in seen.reason
        assert worker.is_running(), "its master goes on with what it knows"
        endpoint.backend.apply(endpoint.spec(port=urlsplit(str(first.url)).port), token="again")
        assert endpoint.ready(0).url == first.url
    for name in ("spec.json", "status.json", "bake.json"):
        (endpoint.folder / name).write_text("")
    os.kill(endpoint.backend._directory(endpoint.name).master_pid() or 0, signal.SIGKILL)
    worker.kill()
    wait_until(lambda: not endpoint.resources(), "the end")
    assert endpoint.start().live == endpoint.models[0].tag


def test_whoever_waits_for_a_frozen_process_is_told_of_it(endpoint: Endpoint) -> None:
    directory = endpoint.backend._directory(endpoint.name)
    program = "import sys, time\nfrom pathlib import Path\nfrom taxiway_backends.local.rundir import RunDir\n"
    program += "with RunDir(Path(sys.argv[1])).changing():\n    print('now', flush=True)\n    time.sleep(60)"
    words = [sys.executable, "-c", program, str(directory.path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"now\n"
            other.send_signal(signal.SIGSTOP)
            wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_STOPPED, "it to be still")
            with (
                pytest.raises(BackendError, match=f"process {other.pid} .*stopped") as caught,
                directory.changing(1),
            ):
                pass
            assert f"kill -CONT {other.pid}" in caught.value.hint
        finally:
            other.kill()
    with directory.changing(1):
        pass


def test_a_master_that_is_told_of_a_change_before_it_looks_lives_on(endpoint: Endpoint) -> None:
    directory = RunDir(endpoint.folder)
    directory.make()
    lock = directory.try_lock()
    assert lock is not None
    command = [sys.executable, "-P", "-m", "taxiway_backends.local.master", str(directory.path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as master:
        wait_until(lambda: catches(master.pid, signal.SIGHUP), "the master to wait for its lock")
        master.send_signal(signal.SIGHUP)
        os.close(lock)
        assert master.wait(20) == 0, "nothing is to run"


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of a signal, as Linux tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)
