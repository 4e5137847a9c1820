from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.monitoring.alerts import fold, ripe
from taxiway.monitoring.rules import Firing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
JANUARY = Firing("data_drift", "f1", "warning", "`x` drifted in Jan", "", "x", "Jan 2013", 1.4, 0.2)
FEBRUARY = replace(JANUARY, title="`x` drifted in Feb", window="Feb 2013", value=1.1)


@pytest.fixture
def alert():
    (opened,) = fold([JANUARY], [], now=NOW)
    return opened.alert


def test_a_firing_opens_one_alert(alert):
    assert (alert.state, alert.count, alert.column, alert.window) == ("firing", 1, "x", "Jan 2013")
    assert alert.first_seen == alert.last_seen == NOW


def test_the_same_again_changes_nothing(alert):
    assert fold([JANUARY], [alert], now=LATER) == []


def test_a_later_window_refreshes_the_alert_and_opens_no_second(alert):
    (updated,) = fold([FEBRUARY], [alert], now=LATER)
    assert updated.kind == "updated"
    assert (updated.alert.count, updated.alert.window) == (2, "Feb 2013")
    assert (updated.alert.first_seen, updated.alert.last_seen) == (NOW, LATER)


def test_an_alert_is_resolved_when_its_rule_no_longer_holds(alert):
    (resolved,) = fold([], [alert], now=LATER)
    assert (resolved.kind, resolved.alert.state, resolved.alert.last_seen) == ("resolved", "resolved", LATER)


def test_an_acknowledged_alert_stays_so_until_it_gets_worse(alert):
    seen = replace(alert, state="acknowledged")
    (same,) = fold([FEBRUARY], [seen], now=LATER)
    assert same.alert.state == "acknowledged"
    (worse,) = fold([replace(FEBRUARY, severity="critical")], [seen], now=LATER)
    assert worse.alert.state == "firing"


WAITING = replace(JANUARY, hold=2 * timedelta(hours=1))


def test_a_rule_that_has_to_hold_is_pending_then_fires_then_is_resolved():
    (pending,) = fold([WAITING], [], now=NOW)
    assert (pending.kind, pending.alert.state, pending.alert.since) == ("pending", "pending", NOW)
    assert fold([WAITING], [pending.alert], now=LATER) == []
    due = NOW + WAITING.hold
    (opened,) = fold([WAITING], [pending.alert], now=due)
    assert (opened.kind, opened.alert.state) == ("opened", "firing")
    assert (opened.alert.since, opened.alert.first_seen) == (NOW, due)
    (resolved,) = fold([], [opened.alert], now=due + timedelta(hours=1))
    assert resolved.kind == "resolved"


def test_a_rule_that_did_not_hold_for_long_enough_is_withdrawn_and_begins_anew():
    (pending,) = fold([WAITING], [], now=NOW)
    assert [change.kind for change in fold([], [pending.alert], now=LATER)] == ["withdrawn"]
    (again,) = fold([WAITING], [], now=LATER)
    assert again.alert.since == LATER


def test_a_clock_that_is_set_back_makes_it_wait_anew_and_no_longer():
    (pending,) = fold([WAITING], [], now=NOW)
    early = NOW - timedelta(days=400)
    (waits,) = fold([WAITING], [pending.alert], now=early)
    assert (waits.kind, waits.alert.since) == ("pending", early)
    assert not ripe(waits.alert, WAITING.hold, early + timedelta(hours=1))
    assert ripe(waits.alert, WAITING.hold, early + WAITING.hold)


def test_what_gets_worse_is_told_as_such(alert):
    (worse,) = fold([replace(JANUARY, severity="critical")], [alert], now=LATER)
    assert worse.kind == "worsened"
    (better,) = fold([JANUARY], [worse.alert], now=LATER)
    assert better.kind == "updated"


@st.composite
def firings(draw):
    marks = draw(st.sets(st.sampled_from("abcd")))
    return [replace(JANUARY, fingerprint=mark, window=draw(st.text())) for mark in sorted(marks)]


@given(st.lists(firings(), max_size=6))
def test_the_open_alerts_are_always_those_that_hold_and_folding_twice_does_nothing_more(cycles):
    opened = {}
    for number, held in enumerate(cycles):
        for transition in fold(held, opened.values(), now=NOW + timedelta(seconds=number)):
            if transition.kind == "resolved":
                del opened[transition.alert.fingerprint]
            else:
                opened[transition.alert.fingerprint] = transition.alert
        assert opened.keys() == {firing.fingerprint for firing in held}
        assert fold(held, opened.values(), now=LATER) == []
