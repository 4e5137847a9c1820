"""What befalls a machine: a ledger that is locked, a disk that is full, a clock that is set, a power cut."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from taxiway.cli.commands import app
from taxiway.control import agent_process, service
from taxiway.control.api import deploy
from taxiway.control.api import endpoint as find
from taxiway.control.audit import audit
from taxiway.control.ledger import Ledger, ledger
from taxiway.demo import weather
from taxiway.errors import TaxiwayError
from tests.conftest import processes_of
from tests.control.agents import Agents
from tests.waiting import wait_until

HOLD = """
import sqlite3, sys
book = sqlite3.connect(sys.argv[1], isolation_level=None)
book.execute("BEGIN IMMEDIATE")
print("now", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def disk(taxiway_home: Path) -> Iterator[Path]:
    """A file system of 3 MB in which the home lies."""
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(taxiway_home)]
    mounted = subprocess.run(words, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a file system can only be mounted by root: {mounted.stderr}")
    yield taxiway_home
    subprocess.run(["umount", "-l", str(taxiway_home)], check=True)


def sound() -> None:
    with ledger().reading() as session:
        assert audit(session).findings == []


def fill(folder: Path) -> Path:
    """Write until there is not one byte of room."""
    path = folder / "ballast"
    with path.open("ab", buffering=0) as ballast:
        for size in (65536, 4096, 1):
            try:
                while ballast.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return path


def test_a_ledger_that_another_locks_is_waited_for_and_the_other_is_named(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agents.start()
    agents.works(agent)
    agents.ask("rain")
    agents.ready("rain")
    words = [sys.executable, "-c", HOLD, str(agents.home / "ledger.sqlite")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"now\n"
        began = time.monotonic()
        impatient = Ledger(f"sqlite:///{agents.home / 'ledger.sqlite'}")
        with impatient.engine.connect() as connection:
            connection.execution_options(taxiway_read=True).exec_driver_sql("PRAGMA busy_timeout=50")
        with pytest.raises(TaxiwayError, match="locked") as caught, impatient.transaction():
            pass
        impatient.close()
        if sys.platform == "linux":
            assert f"process {other.pid} (" in caught.value.message
        assert "frozen" in caught.value.hint
        time.sleep(max(0.0, began + 4 - time.monotonic()))  # longer than the lease of 3 s
        assert agents.seen("rain") is not None  # who reads does not wait
        other.communicate()
    agents.ask("rain", 1)
    agents.ready("rain", 1)
    assert agent.poll() is None
    assert len(agents.events("agent started")) == 1
    assert len(agents.fake.resources("rain")) == 1
    sound()


def test_a_full_disk_changes_nothing_and_is_forgotten_when_there_is_room(disk: Path, agents: Agents) -> None:
    agent = agents.start()
    agents.works(agent)
    agents.ask("rain")
    agents.ready("rain")
    ballast = fill(disk)

    def refused() -> TaxiwayError | None:
        """Ask until the ledger's own file has no page left to reuse."""
        try:
            agents.ask("rain", 1)
        except TaxiwayError as error:
            return error
        return None

    error = wait_until(refused, "the ledger to find no room", 30)
    assert error is not None
    assert "full" in error.message
    assert "disk" in error.hint
    row = agents.row("rain")
    time.sleep(4)  # longer than the lease of 3 s
    assert agents.row("rain").generation == row.generation
    assert agent.poll() is None
    ballast.unlink()
    agents.ask("rain", 1)
    agents.ready("rain", 1)
    agents.works(agent)
    assert len(agents.fake.resources("rain")) == 1
    sound()


def test_a_full_disk_stops_no_local_endpoint_and_keeps_none_from_going(
    taxiway_home: Path, tags: tuple[str, str]
) -> None:
    place = taxiway_home / "run"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    mounted = subprocess.run(words, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a file system can only be mounted by root: {mounted.stderr}")
    try:
        endpoint = deploy(tags[0], endpoint="rain", window="month")
        days = weather.days()[weather.FEATURES].head(3)
        ballast = fill(place)
        first = endpoint.predict(days)
        (worker,) = (one for one in processes_of(taxiway_home) if "taxiway.serving" in one.cmdline())
        worker.kill()
        worker.wait(10)
        endpoint = find("rain")  # with a connection of its own: the other was the killed process's
        answer = endpoint.predict(days)
        assert list(answer.columns) == list(first.columns), "the next one starts without room, too"
        endpoint.start_shadow(tags[1], wait=False)
        wait_until(lambda: "written" in agent_reason("rain"), "the reason", 30)
        assert len(endpoint.predict(days)) == 3
        ballast.unlink()
        endpoint.wait()
        assert endpoint.shadow == tags[1]
        fill(place)
        endpoint.delete()
        assert [one for one in processes_of(taxiway_home) if "taxiway.serving" in one.cmdline()] == []
    finally:
        try:
            agent_process.stop()
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)


def agent_reason(name: str) -> str:
    return next((one.reason for one in agent_process.status().endpoints if one.name == name), "")


def test_a_clock_that_is_set_misleads_no_agent(agents: Agents, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    words = [
        sys.executable,
        "-P",
        "-m",
        "tests.emulators.shifted_agent",
        str(offset),
        "taxiway.control.agent",
    ]
    agent = agents.start(command=words)
    agents.works(agent)
    agents.ask("rain")
    agents.ready("rain")
    agents.fake.fail("apply", "error", times=-1, endpoint="broken")
    agents.ask("broken")
    for number, seconds in enumerate((7200, -7200, 0)):
        before = len(agents.fake.calls("broken", "apply"))
        offset.write_text(str(seconds))
        agents.ask("rain", (number + 1) % 2)
        agents.ready("rain", (number + 1) % 2)
        time.sleep(1.5)
        assert agent.poll() is None
        tries = len(agents.fake.calls("broken", "apply")) - before
        assert tries <= 4, "a jump of the clock is no reason to hurry"
    agents.fake.heal()
    agents.ready("broken")
    assert len(agents.events("agent started")) == 1
    assert {len(agents.fake.resources(name)) for name in ("rain", "broken")} == {1}
    sound()


def test_after_a_power_cut_the_units_own_command_brings_everything_back(
    home: Path, tags: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process is gone at once; sockets, locks and half-written files stay as they were."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    days = weather.days()[weather.FEATURES].head(20)
    uds = Path("/tmp") / f"taxiway-{os.getpid()}.sock"
    rain = deploy(tags[0], endpoint="rain", window="month")
    rain.start_shadow(tags[1])
    snow = deploy(tags[1], endpoint="snow", window="month", uds=uds)
    before = {one.name: (one.url, one.live, one.shadow) for one in (rain, snow)}
    assert len(snow.predict(days)) == 20  # through unix://
    assert CliRunner().invoke(app, ["agent", "install"]).exit_code == 0
    victims = processes_of(home)
    assert len(victims) >= 6
    for victim in victims:
        victim.suspend()  # so that none sees another die
    for victim in victims:
        victim.kill()
    psutil.wait_procs(victims, timeout=10)
    wait_until(lambda: processes_of(home) == [], "the end of all")
    (home / "run" / "local" / "rain" / "spec.json").write_text("")
    unit = service.installed()
    assert unit is not None
    (line,) = (row for row in unit.read_text().splitlines() if row.startswith("ExecStart="))
    with (
        (home / "agent.log").open("ab") as log,
        subprocess.Popen(shlex.split(line.partition("=")[2]), stdin=subprocess.DEVNULL, stderr=log) as agent,
    ):
        try:
            wait_until(lambda: agent_process.status().pid == agent.pid, "the agent to work")
            for one in (rain, snow):
                one.wait(120)
                assert len(find(one.name).predict(days)) == 20
            assert {one.name: (one.url, one.live, one.shadow) for one in (rain, snow)} == before
            sound()
            agent_process.stop()
        finally:
            agent.send_signal(signal.SIGTERM)
    assert not uds.exists()
