"""One agent acts: another stands by, takes over from one that died or is frozen, and deposes it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from taxiway.control import agent_process
from taxiway.control.lease import DeposedError, Lease
from taxiway.control.ledger import Ledger, now
from taxiway.control.tables import EventRow, LeaseRow
from tests.control.agents import Agents, frozen
from tests.waiting import wait_until


def changed(book: Ledger, change: Callable[[LeaseRow], None]) -> None:
    with book.transaction() as session:
        change(session.get_one(LeaseRow, "agent"))


def events(session: Session) -> list[str]:
    return [row.kind for row in session.query(EventRow).order_by(EventRow.id)]


def test_whoever_lost_the_lease_writes_nothing(ledger_url: str) -> None:
    book = Ledger(ledger_url)
    first, second = Lease(book, 60), Lease(book, 60)
    assert first.take() is None
    changed(book, lambda row: setattr(row, "expires", now() - timedelta(seconds=1)))
    assert second.take() is None
    for act in (lambda: first.renew("watching"), first.drop):
        with pytest.raises(DeposedError):
            act()
    with pytest.raises(DeposedError), first.ledger.transaction() as session:
        session.add(LeaseRow(name="more", holder="", pid=0, since=now(), expires=now()))
    with book.reading() as session:
        assert session.get(LeaseRow, "more") is None
        assert session.get_one(LeaseRow, "agent").holder == second.holder
        assert events(session) == ["agent started", "agent started"]
    second.drop()
    with pytest.raises(DeposedError, match="nobody"):
        second.renew("watching")


def test_a_holder_of_another_machine_is_believed_until_its_lease_is_over(ledger_url: str) -> None:
    book = Ledger(ledger_url)
    elsewhere, here = Lease(book, 60), Lease(book, 60)
    elsewhere.take()
    changed(book, lambda row: setattr(row, "holder", "elsewhere:1:1"))
    assert here.blocked_by() is not None
    holder = here.take()
    assert holder is not None
    assert holder.holder == "elsewhere:1:1"
    changed(book, lambda row: setattr(row, "expires", now()))
    assert here.take() is None


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_who_stands_by_is_not_misled_by_a_clock_that_is_set(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    book, clock = Ledger(ledger_url), [0.0]
    holder, waiting = Lease(book, 5), Lease(book, 5, standby=True)
    holder.take()
    changed(book, lambda row: setattr(row, "holder", "elsewhere:1:1"))
    holder.ledger.holder = "elsewhere:1:1"
    monkeypatch.setattr("taxiway.control.lease.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("taxiway.control.lease.now", lambda: now() + jump)
    for _ in range(20):  # it is renewed, by a clock that differs from ours
        assert waiting.blocked_by() is not None
        clock[0] += 4
        changed(book, lambda row: setattr(row, "expires", row.expires + timedelta(seconds=4)))
    assert waiting.blocked_by() is not None
    clock[0] += 6  # and then no more
    assert waiting.take() is None


def test_who_stands_by_takes_over_from_one_that_was_killed(agents: Agents) -> None:
    agents.ask("rain")
    first = agents.start("--standby")
    agents.works(first)
    second = agents.start("--standby")
    agents.ready("rain")
    wait_until(lambda: agent_process.standing_by() == [second.pid], "the second to stand by")
    first.kill()
    agents.works(second, seconds=10)
    first.wait()
    agents.ask("rain", 1)
    agents.ready("rain", 1)
    assert "died" in agents.events("agent started")[-1].text
    assert len(agents.fake.resources("rain")) == 1
    assert {call["process"] for call in agents.fake.calls(operation="apply")} == {first.pid, second.pid}
    third = agents.start()
    assert third.wait(60) == 3  # one that was started on demand does not wait
    agent_process.stop()  # nobody may take over from what was stopped
    assert second.poll() == 0


def test_a_frozen_holder_finds_itself_deposed_and_touches_nothing(agents: Agents) -> None:
    first = agents.start()
    agents.works(first)
    agents.ask("rain")
    agents.ready("rain")
    second = agents.start("--standby")
    agents.fake.fail("apply", "slow", seconds=8.0)
    agents.ask("rain", 1)  # which the first begins, and does not end
    wait_until(lambda: agents.fake.waiting("rain"), "the call to begin")
    frozen(first)
    agents.works(second, seconds=20)
    agents.ready("rain", 1)
    agents.ask("rain", 0)
    agents.ready("rain", 0)
    agents.ask("snow")
    agents.ready("snow")
    first.send_signal(signal.SIGCONT)
    assert first.wait(20) == 4
    # What it had begun before it was frozen, no lease can call back: the new holder sees it, and mends it.
    agents.ready("rain", 0)
    wait_until(lambda: agents.fake.answer("rain") == agents.tags[0], "the mending")
    mine = [call for call in agents.fake.calls() if call["process"] == first.pid]
    began_last = max(call["started"] for call in mine)
    taken_over = min(call["started"] for call in agents.fake.calls() if call["process"] == second.pid)
    assert began_last < taken_over
    assert agent_process.status().pid == second.pid
    assert agents.events("agent stopped") == []
    assert "no longer renewed" in agents.events("agent started")[-1].text
