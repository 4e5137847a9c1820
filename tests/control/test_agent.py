"""The agent with a back end that fails: what is asked for comes to be, once, and nobody waits for another."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from taxiway.control import agent_process, desired, logs
from taxiway.control.ledger import ledger
from taxiway.serving.logs import JsonLines
from tests.control.agents import Agents
from tests.emulators.fake_backend import Kind
from tests.waiting import wait_until

KINDS: tuple[Kind, ...] = ("error", "bug", "timeout", "lost", "partial")


@pytest.fixture
def agent(agents: Agents) -> subprocess.Popen[bytes]:
    process = agents.start()
    agents.works(process)
    return process


def test_a_slow_back_end_of_one_endpoint_holds_up_no_other(
    agents: Agents, agent: subprocess.Popen[bytes]
) -> None:
    names = [f"rain-{number}" for number in range(5)]
    for name in ("slow", *names):
        agents.ask(name)
    for name in ("slow", *names):
        agents.ready(name)
    os.close(os.open(agents.home / "ledger.sqlite.bell", os.O_WRONLY | os.O_NONBLOCK))  # somebody listens
    agents.fake.fail("observe", "slow", seconds=600.0, times=-1, endpoint="slow")
    wait_until(lambda: agents.fake.waiting("slow"), "its loop to wait for the back end")
    lags = []
    for name in names:
        asked = time.monotonic()
        agents.ask(name, 1)
        agents.ready(name, 1)
        (call,) = [c for c in agents.fake.calls(name, "apply") if c["live"] == agents.tags[1]]
        lags.append(call["started"] - asked)
    assert sorted(lags)[len(lags) // 2] < 2.0  # the loop that waits for ``slow`` would take ten minutes
    started = time.monotonic()
    agent.terminate()
    agent.wait(30)  # nor does the agent wait for it to end
    assert time.monotonic() - started < 20


def test_what_fails_is_tried_again_until_it_is_so_and_made_once(
    agents: Agents, agent: subprocess.Popen[bytes]
) -> None:
    for kind in KINDS:
        agents.fake.fail("apply", kind, times=2, seconds=0.05, endpoint=kind)
        agents.ask(kind)
    for kind in KINDS:
        agents.ready(kind)
        calls = agents.fake.calls(kind, "apply")
        assert len(calls) == 3, kind
        assert {call["token"] for call in calls} == {f"{kind}-1"}  # one change, one token
        assert len(agents.fake.resources(kind)) == 1, kind
        first, second = (after["started"] - before["ended"] for before, after in pairwise(calls))
        assert second > first * 1.1, kind  # twice as long, give or take a quarter
        agents.fake.fail("destroy", kind, times=1, seconds=0.05, endpoint=kind)
        with ledger().transaction() as session:
            desired.delete(session, kind, by="test")
    for kind in KINDS:
        wait_until(lambda kind=kind: agents.seen(kind).status == "ABSENT", f"the end of {kind}")  # type: ignore
        assert agents.fake.resources(kind) == []


def test_a_flapping_back_end_is_told_as_it_is_and_asked_for_nothing_twice(
    agents: Agents, agent: subprocess.Popen[bytes]
) -> None:
    agents.ask("rain")
    agents.ready("rain")
    agents.fake.fail("observe", "unknown", times=3)
    wait_until(lambda: agents.seen("rain").status == "UNKNOWN", "doubt")  # type: ignore[union-attr]
    agents.ready("rain")
    assert len(agents.fake.resources("rain")) == 1
    assert [event.text for event in agents.events("observed")][-2:] == [
        "rain is UNKNOWN: It does not say how it is.",
        "rain is READY.",
    ]


def test_what_changed_behind_its_back_is_changed_back_and_told(
    agents: Agents, agent: subprocess.Popen[bytes]
) -> None:
    agents.ask("rain")
    agents.ready("rain")
    agents.fake.spoil("rain", live=agents.tags[1])
    wait_until(lambda: agents.fake.answer("rain") == agents.tags[0], "the mending")
    agents.ready("rain")


def test_a_change_that_is_taken_back_at_once_is_overtaken(
    agents: Agents, agent: subprocess.Popen[bytes]
) -> None:
    agents.fake.fail("apply", "slow", seconds=0.5)
    agents.ask("rain")
    for model in (1, 0, 1, 0, 1):
        agents.ask("rain", model)
    agents.ready("rain", 1)
    assert agents.fake.answer("rain") == agents.tags[1]
    assert len(agents.fake.calls("rain", "apply")) <= 3


def test_status_tells_what_is_done_to_each_endpoint(agents: Agents, agent: subprocess.Popen[bytes]) -> None:
    agents.fake.fail("apply", "error", times=-1, endpoint="broken")
    agents.fake.fail("apply", "slow", seconds=600.0, endpoint="stuck")
    for name in ("broken", "rain", "stuck"):
        agents.ask(name)

    def told() -> dict[str, agent_process.Activity]:
        return {one.name: one for one in agent_process.status().endpoints}

    found = wait_until(
        lambda: now if len(now := told()) == 3 and now["broken"].failures > 1 else None, "three lines"
    )
    assert found is not None
    assert (found["rain"].doing, found["rain"].failures) == ("watching", 0)
    assert found["broken"].doing == "trying again"
    assert "500" in found["broken"].reason
    assert found["broken"].due is not None
    assert found["stuck"].doing == "applying change 1"
    assert found["stuck"].due is None
    assert (agents.home / "agent.json").stat().st_mode & 0o077 == 0


def test_the_log_is_json_of_the_same_form_as_the_serving_processes(
    agents: Agents, agent: subprocess.Popen[bytes]
) -> None:
    made = logging.LogRecord("taxiway.agent", logging.WARNING, __file__, 1, "it is %s", ("late",), None)
    served = json.loads(JsonLines("live").format(made))
    lines = [json.loads(line) for line in (agents.home / "agent.log").read_text().splitlines()]
    assert lines
    for line in lines:
        assert served.keys() - {"model"} <= line.keys()
        assert (line["role"], line["pid"]) == ("agent", agent.pid)
    ours = json.loads(logs.JsonLines("agent", quoting=True).format(made))
    assert {**served, "role": "agent"}.items() - {("model", None)} <= ours.items()


def test_only_the_agent_quotes_an_exception() -> None:
    message = "a row of data"
    try:
        raise ValueError(message)
    except ValueError:
        made = logging.LogRecord("taxiway", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())
    agent, monitor = (
        logs.JsonLines(role, quoting=role == "agent").format(made) for role in ("agent", "monitor")
    )
    assert message in agent
    assert message not in monitor
    assert "ValueError" in monitor
