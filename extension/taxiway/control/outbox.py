"""What is still to be told: written in the transaction of the alert's change, so that no kill loses it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from taxiway.control import messages, silencing, sinks
from taxiway.control.ledger import now, record
from taxiway.control.messages import Notice
from taxiway.control.tables import AlertRow, DeliveryRow, ObservationRow, SinkRow
from taxiway.errors import TaxiwayError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0  # seconds between two tries
KEPT = timedelta(days=7)  # after which nobody tries to tell any more
REMEMBERED = timedelta(days=30)
MOST_OF_A_MESSAGE = 200
MOST_AT_ONCE = 2000  # of one sink
SINK_FAILURES = 3  # one after the other, after which a sink is said to fail


def enqueue(session: Session, alert: AlertRow, kind: str, moment: datetime) -> None:
    """Queue a change of an alert for every sink that takes it; what is silenced waits until it is not."""
    rows = session.scalars(select(SinkRow)).all()
    if not rows:
        return
    quiet = silencing.covers(silencing.active(session, moment), alert, moment)
    for row in rows:
        if not _takes(session, row, alert, kind):
            continue
        kept = _kept_back(session, row.name, alert.id)
        if kind == "resolved" and kept:
            for one in kept:  # nobody was told that it began
                one.state, one.ended = "dropped", moment
            continue
        if kind == "worsened" and kept and not quiet:
            continue  # the one that is released tells how it is now
        state = "silenced" if quiet else "queued"
        if quiet and kind != "opened" and kept:
            continue
        session.add(
            DeliveryRow(sink=row.name, alert=alert.id, kind=kind, state=state, due=moment, created=moment)
        )
    session.flush()


def enqueue_open(session: Session, row: SinkRow, moment: datetime) -> None:
    """Queue, for a sink that is new, what fires already; Alertmanager is told by repetition as it is."""
    if row.definition.get("kind") == "alertmanager":
        return
    silences = silencing.active(session, moment)
    query = select(AlertRow).where(AlertRow.state.in_(("firing", "acknowledged"))).order_by(AlertRow.id)
    for alert in session.scalars(query).all():
        if _takes(session, row, alert, "opened"):
            state = "silenced" if silencing.covers(silences, alert, moment) else "queued"
            session.add(
                DeliveryRow(
                    sink=row.name, alert=alert.id, kind="opened", state=state, due=moment, created=moment
                )
            )


def _takes(session: Session, row: SinkRow, alert: AlertRow, kind: str) -> bool:
    if alert.rule == "sink_failed" and alert.column == row.name and not _hears(session, row, alert, kind):
        return False
    try:
        spec = sinks.parse(row.definition)
    except TaxiwayError:
        return False  # of another version, which has to be mended first
    return spec.takes(alert.endpoint, alert.severity) and (kind != "resolved" or spec.resolved)


def _hears(session: Session, row: SinkRow, alert: AlertRow, kind: str) -> bool:
    """Whether a sink can be told of itself: it takes other messages; of the end, if it knows of it."""
    if kind != "resolved":
        return row.failures < SINK_FAILURES
    began = select(DeliveryRow.id).where(DeliveryRow.sink == row.name, DeliveryRow.alert == alert.id)
    return session.scalars(began.limit(1)).first() is not None


def refused(session: Session) -> dict[str, DeliveryRow]:
    """Give, by sink, the oldest message that it has refused again and again."""
    query = select(DeliveryRow).where(
        DeliveryRow.state == "queued", DeliveryRow.kind != "test", DeliveryRow.attempts >= SINK_FAILURES
    )
    return {row.sink: row for row in session.scalars(query.order_by(DeliveryRow.id.desc()))}


def _kept_back(session: Session, sink: str, alert: int) -> Sequence[DeliveryRow]:
    query = select(DeliveryRow).where(DeliveryRow.sink == sink, DeliveryRow.alert == alert)
    return session.scalars(query.where(DeliveryRow.state == "silenced")).all()


def enqueue_test(session: Session, sink: str) -> DeliveryRow:
    """Queue a message that says nothing but that it came."""
    sinks.get(session, sink)
    row = DeliveryRow(sink=sink, alert=0, kind="test", due=now(), created=now())
    session.add(row)
    session.flush()
    return row


def release(session: Session, moment: datetime) -> None:
    """Queue what a silence kept, where it is over and the alert still fires."""
    rows = session.scalars(select(DeliveryRow).where(DeliveryRow.state == "silenced")).all()
    silences = silencing.active(session, moment) if rows else []
    for row in rows:
        alert = session.get(AlertRow, row.alert)
        if alert is None or (alert.state == "resolved" and row.kind != "resolved"):
            row.state, row.ended = "dropped", moment
        elif not silencing.covers(silences, alert, moment):
            row.state, row.due = "queued", moment


def due(session: Session, moment: datetime) -> list[DeliveryRow]:
    """Give what is to be told now, oldest first; of one sink so much that others have their turn."""
    longest = moment + timedelta(seconds=2 * LONGEST_PAUSE)
    # one that is due only after the longest pause was written before the clock was set back
    is_due = or_(DeliveryRow.due <= moment, DeliveryRow.due > longest)
    found: list[DeliveryRow] = []
    for sink in session.scalars(select(SinkRow.name)):
        mine = select(DeliveryRow).where(DeliveryRow.sink == sink, DeliveryRow.state == "queued", is_due)
        found += session.scalars(mine.order_by(DeliveryRow.id).limit(MOST_AT_ONCE))
    return found


def notices(session: Session, rows: Iterable[DeliveryRow]) -> list[Notice]:
    """Give what deliveries tell, as their alerts are now."""
    found = []
    for row in rows:
        if row.kind == "test":
            found.append(_test(row))
        elif (alert := session.get(AlertRow, row.alert)) is not None:
            found.append(notice(session, alert, row.kind))
    return found


def notice(session: Session, alert: AlertRow, transition: str) -> Notice:
    """Give what is told of one change of an alert."""
    seen = session.get(ObservationRow, alert.endpoint)
    link = seen.url if seen is not None and (seen.url or "").startswith(("http://", "https://")) else None
    return Notice(
        key=messages.key(alert.fingerprint, alert.id, transition, alert.severity),
        transition=transition,
        endpoint=alert.endpoint,
        rule=alert.rule,
        fingerprint=alert.fingerprint,
        severity=alert.severity,
        state=alert.state,
        title=alert.title,
        detail=alert.detail,
        column=alert.column,
        window=alert.window,
        value=alert.value,
        threshold=alert.threshold,
        count=alert.count,
        first_seen=alert.first_seen,
        last_seen=alert.last_seen,
        link=link,
    )


def _test(row: DeliveryRow) -> Notice:
    return Notice(
        key=messages.key("test", row.id, "test", "info"),
        transition="test",
        endpoint="",
        rule="test",
        fingerprint="test",
        severity="info",
        state="resolved",
        title=f"A test of the sink {row.sink}",
        detail="Somebody ran `taxiway alerts test`.",
        column=None,
        window=None,
        value=None,
        threshold=None,
        count=1,
        first_seen=row.created,
        last_seen=now(),
    )


def settle_told(session: Session, sink: str, numbers: Sequence[int], answer: str, moment: datetime) -> None:
    """Write down that a sink took a message."""
    for row in _rows(session, numbers):
        row.state, row.ended, row.attempts, row.error = "sent", moment, row.attempts + 1, answer
    if (stored := session.get(SinkRow, sink)) is not None:
        stored.failures, stored.error, stored.delivered = 0, "", moment


def settle_failed(
    session: Session,
    sink: str,
    numbers: Sequence[int],
    reason: str,
    moment: datetime,
    after: float | None = None,
) -> None:
    """Write down that a sink did not take a message, and when it is tried again."""
    for row in _rows(session, numbers):
        row.attempts, row.error = row.attempts + 1, reason
        if row.kind == "test":
            row.state, row.ended = "failed", moment
        elif moment - row.created > KEPT:
            row.state, row.ended = "dropped", moment
            text = f"The sink {sink} was not told of alert {row.alert} in {KEPT.days} days: {reason}"
            record(session, "delivery dropped", text, by="agent", sink=sink, alert=row.alert)
        else:
            row.due = moment + timedelta(seconds=max(pause(row.attempts), min(after or 0.0, LONGEST_PAUSE)))
    if (stored := session.get(SinkRow, sink)) is not None:
        stored.failures, stored.error = stored.failures + 1, reason


def pause(attempts: int) -> float:
    """Give the seconds until the next try: twice as long each time, with jitter, up to five minutes.

    Full jitter of the upper half (Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog 2015).
    """
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 20))
    return random.uniform(longest / 2, longest)  # noqa: S311


def prune(session: Session, moment: datetime) -> None:
    """Forget what was told long ago."""
    session.execute(delete(DeliveryRow).where(DeliveryRow.ended < moment - REMEMBERED))


def _rows(session: Session, numbers: Sequence[int]) -> Iterable[DeliveryRow]:
    return session.scalars(
        select(DeliveryRow).where(DeliveryRow.id.in_(numbers), DeliveryRow.state == "queued")
    )


def groups(rows: Sequence[tuple[DeliveryRow, str]], room: int) -> list[list[int]]:
    """Part what waits for one sink into messages: one an endpoint, or one for all where room is short.

    Parameters
    ----------
    rows
        Deliveries with their endpoint, oldest first.
    room
        How many messages may be sent now.
    """
    tests = [[row.id] for row, _ in rows if row.kind == "test"]
    by_endpoint: dict[str, list[int]] = {}
    for row, endpoint in rows:
        if row.kind != "test":
            by_endpoint.setdefault(endpoint, []).append(row.id)
    found = list(by_endpoint.values())
    if len(found) > room:
        found = [sorted(number for group in found for number in group)] if room > 0 else []
    return tests + [group[:MOST_OF_A_MESSAGE] for group in found]
