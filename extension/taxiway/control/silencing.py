"""Silences and maintenance windows in the ledger."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import AlertRow, SilenceRow
from taxiway.errors import ConflictError, InputError, NotFoundError
from taxiway.monitoring.silences import Matcher, Schedule, Silence, silenced


def active(session: Session, moment: datetime) -> list[Silence]:
    """Give the silences that have not ended."""
    rows = session.scalars(select(SilenceRow))
    return [_silence(row) for row in rows if row.ends is None or row.ends > moment]


def covers(silences: list[Silence], alert: AlertRow, moment: datetime) -> bool:
    """Tell whether nobody is to be told of an alert."""
    return silenced(
        silences,
        moment,
        endpoint=alert.endpoint,
        rule=alert.rule,
        column=alert.column,
        severity=alert.severity,
    )


def silence(
    ledger: Ledger,
    matcher: Matcher,
    *,
    lasting: timedelta,
    reason: str,
    by: str,
    starts: datetime | None = None,
    schedule: Schedule | None = None,
) -> int:
    """Silence alerts for a while, or in a maintenance window that comes again until it is ended.

    Returns
    -------
    int
        Its number.

    Raises
    ------
    InputError
        It would never be on, or nothing says why.
    """
    if not reason.strip():
        raise InputError("A silence needs a reason.", hint="--reason 'upstream migrates its tables'")
    if lasting <= timedelta(0):
        raise InputError("A silence has to last for a while.", hint="--for 2h")
    begins = starts or now()
    with ledger.transaction() as session:
        row = SilenceRow(
            matcher=_definition(matcher),
            starts=begins,
            ends=None if schedule is not None else begins + lasting,
            schedule=asdict(schedule) if schedule is not None else None,
            reason=reason.strip()[:1000],
            actor=by,
            created=now(),
        )
        session.add(row)
        session.flush()
        text = f"Alerts{_of(row)} are silenced {_when(row)}: {row.reason}"
        record(session, "silenced", text, by=by, endpoint=row.matcher.get("endpoint"), silence=row.id)
        return row.id


def end(ledger: Ledger, number: int, *, by: str) -> None:
    """End a silence now; alerts that it kept and that still fire are told, unless another covers them.

    Raises
    ------
    NotFoundError
        There is none of that number.
    ConflictError
        It is over.
    """
    with ledger.transaction() as session:
        row = session.get(SilenceRow, number)
        if row is None:
            raise NotFoundError(
                f"There is no silence {number}.", hint="`taxiway alerts silences` lists them."
            )
        if row.ends is not None and row.ends <= now():
            raise ConflictError(
                f"Silence {number} is over.", hint="`taxiway alerts silences` lists the others."
            )
        row.ends = now()
        record(session, "silence ended", f"The silence of alerts{_of(row)} is over.", by=by, silence=number)


def end_of(ledger: Ledger, matcher: Matcher, *, by: str) -> None:
    """End the silences that cover exactly this, but for maintenance windows.

    Raises
    ------
    ConflictError
        There is none; what silences it, if anything does, covers more.
    """
    exact = _definition(matcher)
    with ledger.reading() as session:
        lasting = session.scalars(select(SilenceRow).where(SilenceRow.ends > now()))
        numbers = [row.id for row in lasting if row.matcher == exact]
    if not numbers:
        raise ConflictError(
            "There is no silence of this alone.",
            hint="`taxiway alerts silences` lists those of more, `taxiway alerts unsilence NUMBER` ends one.",
        )
    for number in numbers:
        end(ledger, number, by=by)


def listed(ledger: Ledger, *, include_ended: bool = False) -> list[dict[str, Any]]:
    """List the silences, newest first."""
    moment = now()
    with ledger.reading() as session:
        rows = session.scalars(select(SilenceRow).order_by(SilenceRow.id.desc())).all()
    return [
        {
            "id": row.id,
            **{name: row.matcher.get(name, "") for name in ("endpoint", "rule", "column", "severity")},
            "starts": row.starts.isoformat(),
            "ends": row.ends.isoformat() if row.ends else None,
            "schedule": row.schedule,
            "when": _when(row),
            "active": _silence(row).covers(moment),
            "reason": row.reason,
            "actor": row.actor,
        }
        for row in rows
        if include_ended or row.ends is None or row.ends > moment
    ]


def _definition(matcher: Matcher) -> dict[str, str]:
    return {name: value for name, value in asdict(matcher).items() if value}


def _silence(row: SilenceRow) -> Silence:
    schedule = Schedule(**row.schedule) if row.schedule else None
    return Silence(Matcher(**row.matcher), row.starts, row.ends, schedule)


def _of(row: SilenceRow) -> str:
    words = [f"{name} {value}" for name, value in row.matcher.items()]
    return f" of {', '.join(words)}" if words else ""


def _when(row: SilenceRow) -> str:
    if row.schedule is not None:
        lasts = timedelta(seconds=row.schedule["seconds"])
        return f"at {row.schedule['cron']} ({row.schedule['zone']}) for {lasts}"
    return f"until {row.ends:%Y-%m-%d %H:%M} UTC" if row.ends else "until it is ended"
