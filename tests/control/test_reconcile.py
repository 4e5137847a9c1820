"""What a reconciler does when nothing works."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxiway.control import desired
from taxiway.control.ledger import Ledger
from taxiway.control.reconcile import LONGEST_SECONDS, Reconciler, _pause, backend
from taxiway.control.tables import EndpointRow, ObservationRow
from taxiway.errors import InputError
from taxiway_backends.local import lifecycle


def test_an_unknown_back_end_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="nowhere") as caught:
        backend("nowhere")
    assert "local" in caught.value.hint


def test_pauses_double_up_to_half_a_minute_and_are_not_the_same_for_all() -> None:
    for times, longest in ((0, 1.0), (1, 2.0), (4, 16.0), (10_000, LONGEST_SECONDS)):
        pauses = [_pause(times, 1.0) for _ in range(50)]
        assert max(pauses) <= longest
        assert min(pauses) >= 0.75 * longest
        assert len(set(pauses)) > 40


def test_a_model_that_is_gone_is_tried_less_and_less_often(taxiway_home: Path) -> None:
    book = Ledger(f"sqlite:///{taxiway_home / 'ledger.sqlite'}")
    with book.transaction() as session:
        row = desired.deploy(
            session,
            endpoint="rain",
            model="rain:000000000000",
            backend="local",
            window="hour",
            workers=1,
            policies={},
            overridden=(),
            by="test",
        )
    reconciler = Reconciler(book, "rain")
    tries = 0
    for tenths in range(36_000):  # an hour of the agent's rounds
        before = reconciler.failures
        reconciler.run(row, tenths / 10)
        tries += reconciler.failures > before
    assert 100 < tries < 200  # 30 s apart in the end
    with book.reading() as session:
        seen = session.get(ObservationRow, "rain")
        stored = session.get(EndpointRow, "rain")
    assert seen is not None
    assert stored is not None
    assert seen.status == "UNKNOWN"
    assert "rain" in seen.reason
    assert seen.generation != stored.generation
    lifecycle.fork_server(taxiway_home).end()  # which the agent would have kept
