"""A short attack on everything; ``python -m tests.backends.chaos`` is the long one."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import psutil
import pytest

from taxiway.backends import Status
from taxiway.control import agent_process
from tests.backends.chaos import Chaos
from tests.backends.conftest import Endpoint
from tests.backends.traffic import Traffic, in_flight, kill
from tests.lab.jupyter import Jupyter

ROUNDS = 4


@pytest.mark.timeout(300)
def test_what_is_killed_comes_back_and_only_what_it_had_in_hand_is_lost(
    taxiway_home: Path, two_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(two_versions / "store", taxiway_home / "store")
    monkeypatch.setenv("TAXIWAY_MONITOR_INTERVAL", "1")
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    try:
        with Jupyter(tmp_path / "jupyter", taxiway_home=taxiway_home) as jupyter:
            result = Chaos(taxiway_home, jupyter, random.Random(seed)).run(ROUNDS, print)
    finally:
        agent_process.stop()
    print(result.table())
    assert result.rounds == ROUNDS
    assert result.kills
    assert result.unexplained == []


def test_a_serving_process_that_starts_keeps_the_socket_for_the_next_master(endpoint: Endpoint) -> None:
    """The only one that serves is killed, and before its successor does, the master is."""
    url = endpoint.start().url
    assert url is not None
    port = int(url.rsplit(":", 1)[1])
    with Traffic(url, endpoint.models[0].rows(150)) as traffic:
        before = endpoint.worker("live")
        master = psutil.Process(endpoint.status()["pid"])
        kills = kill("worker", [before], port)
        while not (starting := master.children()) or before.pid in [one.pid for one in starting]:
            time.sleep(0.001)
        kills += kill("master", [master], port)
        endpoint.backend.apply(endpoint.spec(), token="again")
        endpoint.until(lambda seen: seen.status is Status.READY)
        time.sleep(0.5)
    assert len(traffic.answered) > 10
    assert [one for one in traffic.failures if not in_flight(one, kills)] == []
    assert not list(endpoint.folder.glob("*.sock"))
