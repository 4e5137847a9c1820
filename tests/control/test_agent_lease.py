"""One agent acts: another stands by, takes over from one that died or is frozen, and deposes it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from taxiway.control import agent_process
from taxiway.control.lease import DeposedError, Lease
from taxiway.control.ledger import REVISION, Ledger, ledger, now
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


def test_who_stands_by_takes_over_from_one_that_was_killed(ledger_url: str, agents: Agents) -> None:
    agents.ask("rain")
    first = agents.start("--standby")
    agents.works(first)
    second = agents.start("--standby")
    agents.ready("rain")
    wait_until(lambda: agent_process.standing_by() == [second.pid], "the second to stand by")
    first.kill()
    agents.works(second)
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


def test_a_lease_that_is_renewed_is_nothing_to_read_the_ledger_anew_for(ledger_url: str) -> None:
    book = Ledger(ledger_url)
    lease = Lease(book, 60)
    lease.take()
    before, expires = book.data_version(), _expires(book)
    lease.renew("watching")
    assert _expires(book) > expires
    assert book.data_version() == before
    lease.drop()
    assert book.data_version() != before


def _expires(book: Ledger) -> datetime:
    with book.reading() as session:
        return session.get_one(LeaseRow, "agent").expires


def test_an_agent_whose_ledger_a_newer_taxiway_has_changed_ends_and_is_replaced(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upgrade(revision: str) -> None:
        with ledger().engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :one"), {"one": revision})

    first = agents.start()
    agents.works(first)
    waiting, told = agents.start("--standby"), agents.home / "agent.log"
    wait_until(lambda: "standing by while" in told.read_text(), "the second to stand by")
    upgrade("9999")
    assert first.wait(20) == 4
    assert waiting.wait(20) == 4, "nor may one take over that is as old"
    assert "revision is 9999 by now" in told.read_text()
    upgrade(REVISION)
    agents.ask("rain")
    second = agent_process.start().pid  # by the next caller
    agents.ready("rain")
    assert second not in (None, first.pid)
    # One that does not look for itself, because it is of a version that did not yet
    monkeypatch.setattr("taxiway.control.loops.REVISION", "of this process")
    wait_until(lambda: agent_process.status().outdated, "its journal")
    assert agent_process.start().pid not in (None, second)


def test_what_holds_although_all_is_well_is_shown(agents: Agents) -> None:
    from typer.testing import CliRunner

    from taxiway.cli.commands import app
    from taxiway.control.api import endpoint

    note = "It may use 2 GiB of memory."
    agents.works(agents.start())
    agents.ask("rain")
    agents.ready("rain")
    agents.fake.spoil("rain", notes=[note])
    wait_until(lambda: agents.seen("rain").notes == [note], "the note")  # type: ignore[union-attr]
    assert note in CliRunner().invoke(app, ["endpoints", "show", "rain"]).output
    assert "has no figures of rain" in CliRunner().invoke(app, ["endpoints", "metrics", "rain"]).output
    assert note in endpoint("rain")._repr_mimebundle_()["text/html"]
