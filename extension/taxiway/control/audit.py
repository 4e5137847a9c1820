"""The chain of events, checked: what was changed, removed, inserted or put in another order shows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control.ledger import event_hash
from taxiway.control.tables import EventRow, HeadRow
from taxiway.errors import InputError

_MARK = re.compile(r"(\d+):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold: the event at which it shows, and one sentence."""

    event: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    events
        How many events there are.
    mark
        ``COUNT:HASH`` of the newest event. Who notes it elsewhere can have a later audit prove that all
        events up to it are as they were; nothing else shows a chain that was forged as a whole.
    findings
        Empty for an untouched ledger.
    """

    events: int
    mark: str
    findings: list[Finding]


def audit(session: Session, *, since: str | None = None) -> Audit:
    """Check every event's hash, its link to the one before, and that the newest is the one noted as such.

    Parameters
    ----------
    since
        The mark of an earlier audit.

    Raises
    ------
    InputError
        ``since`` is no mark.
    """
    marked = _read(since) if since else None
    findings: list[Finding] = []
    count, last, previous = 0, 0, ""
    rows = session.execute(
        select(*EventRow.__table__.columns).order_by(EventRow.id).execution_options(yield_per=1000)
    )
    for row in rows:
        count += 1
        if row.previous_hash != previous:
            before = f"event {last}" if last else "the beginning"
            findings.append(
                Finding(
                    row.id,
                    f"Event {row.id} was not recorded after {before}: one was removed, inserted or moved.",
                )
            )
        if event_hash(row) != row.hash:
            findings.append(Finding(row.id, f"Event {row.id} is not as it was recorded."))
        if marked and count == marked[0] and row.hash != marked[1]:
            findings.append(Finding(row.id, f"Event {row.id} is not the one that the mark was taken of."))
        last, previous = row.id, row.hash
    if marked and count < marked[0]:
        findings.append(Finding(None, f"There are {count} events; when the mark was taken, {marked[0]}."))
    findings += _end(session.get(HeadRow, 1), count, previous)
    return Audit(count, f"{count}:{previous}", findings)


def _end(head: HeadRow | None, count: int, newest: str) -> list[Finding]:
    if head is None:
        return [Finding(None, "The note of how many events there are is gone.")]
    if (head.events, head.hash) == (count, newest):
        return []
    noted = f"The ledger noted {head.events} events, and there are {count}"
    if head.events == count:
        noted = f"The newest of {count} events is not the one that the ledger noted"
    return [Finding(None, f"{noted}: the end was removed, replaced, or added to by something else.")]


def _read(mark: str) -> tuple[int, str]:
    if (found := _MARK.fullmatch(mark)) is None:
        raise InputError(f"{mark!r} is no mark.", hint="Give what an earlier `taxiway audit` printed.")
    return int(found[1]), found[2]
