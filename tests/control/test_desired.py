"""The desired state: what may follow what, without any process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from taxiway.control import desired
from taxiway.control.ledger import Ledger, now
from taxiway.control.tables import EndpointRow, EventRow, ReportRow
from taxiway.errors import ConflictError, InputError, NotFoundError


@pytest.fixture
def session(ledger_url: str) -> Iterator[Session]:
    with Ledger(ledger_url).transaction() as opened:
        yield opened


def deploy(session: Session, model: str = "rain:one", **changes: object) -> EndpointRow:
    arguments: dict[str, object] = {
        "endpoint": "rain",
        "model": model,
        "backend": "local",
        "window": "hour",
        "workers": 1,
        "policies": {},
        "overridden": (),
        "by": "test",
        **changes,
    }
    return desired.deploy(session, **arguments)  # type: ignore[arg-type]


def judge(session: Session, verdict: str, shadow: str = "rain:two", live: str = "rain:one") -> None:
    report = {"verdict": verdict, "reasons": ["Because."]}
    session.add(ReportRow(endpoint="rain", shadow=shadow, live=live, report=report, time=now()))


def test_promote_follows_a_verdict_and_rollback_undoes_it(session: Session) -> None:
    deploy(session)
    desired.start_shadow(session, "rain", "rain:two", by="test")
    judge(session, "promote")
    assert desired.promote(session, "rain", force=False, by="test").live == "rain:two"
    row = desired.rollback(session, "rain", by="test")
    assert (row.live, row.previous, row.shadow) == ("rain:one", "rain:two", None)
    assert desired.rollback(session, "rain", by="test").live == "rain:two"


@pytest.mark.parametrize("verdict", ["reject", "keep watching"])
def test_promote_against_the_verdict_needs_force_and_is_recorded(session: Session, verdict: str) -> None:
    deploy(session)
    desired.start_shadow(session, "rain", "rain:two", by="test")
    judge(session, verdict)
    with pytest.raises(ConflictError, match="Because"):
        desired.promote(session, "rain", force=False, by="test")
    assert desired.promote(session, "rain", force=True, by="test").live == "rain:two"
    assert verdict in session.query(EventRow).order_by(EventRow.id.desc()).first().text  # type: ignore[union-attr]


def test_a_report_on_another_live_model_does_not_count(session: Session) -> None:
    deploy(session)
    desired.start_shadow(session, "rain", "rain:two", by="test")
    judge(session, "promote", live="rain:zero")
    with pytest.raises(ConflictError):
        desired.promote(session, "rain", force=False, by="test")


def test_promote_without_a_shadow_and_rollback_without_a_past_say_what_to_do(session: Session) -> None:
    deploy(session)
    for act in (
        lambda: desired.promote(session, "rain", force=True, by="test"),
        lambda: desired.rollback(session, "rain", by="test"),
        lambda: desired.stop_shadow(session, "rain", by="test"),
        lambda: desired.start_shadow(session, "rain", "rain:one", by="test"),
    ):
        with pytest.raises(ConflictError) as caught:
            act()
        assert caught.value.hint


def test_deploying_another_version_keeps_the_way_back(session: Session) -> None:
    deploy(session)
    deploy(session, "rain:two")
    assert desired.rollback(session, "rain", by="test").live == "rain:one"


def test_deploying_the_same_version_twice_forgets_no_past(session: Session) -> None:
    deploy(session)
    deploy(session, "rain:two")
    assert deploy(session, "rain:two").previous == "rain:one"


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "Rain!"},
        {"endpoint": "../rain"},
        {"endpoint": ""},
        {"window": "fortnight"},
        {"workers": 0},
    ],
)
def test_bad_names_and_figures_are_refused_with_a_hint(session: Session, changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        deploy(session, **changes)
    assert caught.value.hint


def test_an_endpoint_does_not_change_its_back_end(session: Session) -> None:
    deploy(session)
    with pytest.raises(ConflictError):
        deploy(session, backend="elsewhere")


def test_a_deleted_endpoint_is_not_found_but_its_history_stays(session: Session) -> None:
    deploy(session)
    desired.delete(session, "rain", by="test")
    with pytest.raises(NotFoundError):
        desired.get(session, "rain")
    assert [event.kind for event in session.query(EventRow)] == ["deployed", "deleted"]
    assert deploy(session).desired == "running"


def test_every_change_grows_the_generation(session: Session) -> None:
    generations = [deploy(session).generation]
    generations.append(desired.start_shadow(session, "rain", "rain:two", by="test").generation)
    generations.append(desired.promote(session, "rain", force=True, by="test").generation)
    generations.append(desired.rollback(session, "rain", by="test").generation)
    assert generations == sorted(set(generations))
