"""The desired state of endpoints: every change is one transaction, and leaves one event."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control.ledger import now, record
from taxiway.control.options import Options
from taxiway.control.tables import AlertRow, EndpointRow, ReportRow, TriggerRow, WindowRow
from taxiway.errors import ConflictError, InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
WINDOWS = ("hour", "day", "week", "month")


def get(session: Session, name: str) -> EndpointRow:
    """Find an endpoint that is not deleted.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    row = session.get(EndpointRow, name)
    if row is None or row.desired == "absent":
        known = session.scalars(select(EndpointRow.name).where(EndpointRow.desired != "absent")).all()
        hint = f"There are: {', '.join(sorted(known))}." if known else "Deploy one with taxiway.deploy(...)."
        raise NotFoundError(f"There is no endpoint named {name!r}.", hint=hint)
    return row


def deploy(
    session: Session,
    *,
    endpoint: str,
    model: str,
    backend: str,
    window: str,
    workers: int,
    policies: dict[str, str],
    overridden: Sequence[str],
    by: str,
    port: int | None = None,
    options: Options | None = None,
) -> EndpointRow:
    """Ask for ``model`` to be live on ``endpoint``, which is created if need be.

    Parameters
    ----------
    port
        Where it listens; None keeps the one it has, 0 lets the back end choose.
    options
        As ``taxiway.control.options`` makes them; None keeps those it has.
    """
    if not _NAME.fullmatch(endpoint):
        raise InputError(
            f"{endpoint!r} cannot be an endpoint's name.",
            hint="Use up to 63 lower-case letters, digits and hyphens, such as 'rain' or 'churn-eu'.",
        )
    if window not in WINDOWS:
        raise InputError(f"{window!r} is not a window.", hint=f"Use one of {', '.join(WINDOWS)}.")
    if workers < 1:
        raise InputError(f"{workers} workers cannot serve.", hint="Use one or more.")
    if port is not None and not 0 <= port < 65536:
        raise InputError(f"{port} is not a port.", hint="Use one from 1 to 65535, or 0 for any that is free.")
    row = session.get(EndpointRow, endpoint)
    time = now()
    if row is None:
        row = EndpointRow(
            name=endpoint,
            backend=backend,
            live=model,
            port=0,
            options={},
            generation=0,
            created=time,
            updated=time,
        )
        session.add(row)
    elif row.desired != "absent" and row.backend != backend:
        raise ConflictError(
            f"Endpoint {endpoint!r} runs on {row.backend!r}.",
            hint=f"Delete it first, or choose another name to deploy to {backend!r}.",
        )
    before = row.live if row.generation and row.desired != "absent" else None
    if before not in (None, model):
        row.previous = before
    row.backend, row.live, row.window, row.workers, row.policies = backend, model, window, workers, policies
    row.desired = "running"
    row.port = row.port if port is None else port
    row.options = row.options if options is None else options
    row.learned = labelled(session, endpoint, model)
    if row.shadow == model:
        row.shadow = row.shadow_since = None
    _changed(row)
    waived = f", overriding {', '.join(overridden)}" if overridden else ""
    replaced = f" instead of {before}" if before not in (None, model) else ""
    record(
        session,
        "deployed",
        f"{model} was deployed to {backend}{replaced}{waived}.",
        by=by,
        endpoint=endpoint,
        model=model,
        previous=before,
        overridden=list(overridden),
    )
    return row


def start_shadow(session: Session, endpoint: str, model: str, *, by: str, why: str = "") -> EndpointRow:
    """Ask for ``model`` to see the endpoint's live traffic."""
    row = get(session, endpoint)
    if row.live == model:
        raise ConflictError(
            f"{model} is already live on {endpoint!r}.", hint="Package another version to compare with it."
        )
    if row.shadow != model:
        row.shadow, row.shadow_since = model, now()
        _changed(row)
        because = f" ({why})" if why else ""
        record(
            session,
            "shadow started",
            f"{model} began to shadow {row.live}{because}.",
            by=by,
            endpoint=endpoint,
            model=model,
            live=row.live,
        )
    return row


def stop_shadow(session: Session, endpoint: str, *, by: str) -> EndpointRow:
    """Ask for the shadow to go."""
    row = get(session, endpoint)
    if row.shadow is None:
        raise ConflictError(f"Endpoint {endpoint!r} has no shadow.", hint="Nothing needs to be stopped.")
    record(
        session,
        "shadow stopped",
        f"{row.shadow} no longer shadows {row.live}.",
        by=by,
        endpoint=endpoint,
        model=row.shadow,
    )
    row.shadow = row.shadow_since = None
    _changed(row)
    return row


def promote(session: Session, endpoint: str, *, force: bool, by: str) -> EndpointRow:
    """Ask for the shadow to go live.

    Raises
    ------
    ConflictError
        There is no shadow, or its verdict is not ``promote`` and ``force`` was not given.
    """
    row = get(session, endpoint)
    if row.shadow is None:
        raise ConflictError(
            f"Endpoint {endpoint!r} has no shadow to promote.",
            hint=f"Start one: `taxiway shadow start {endpoint} NAME:VERSION`, or deploy a Model directly.",
        )
    report = session.get(ReportRow, (endpoint, row.shadow))
    verdict = report.report["verdict"] if report and report.live == row.live else "keep watching"
    if verdict != "promote" and not force:
        reasons = " ".join(report.report["reasons"]) if report else "It has not been compared yet."
        raise ConflictError(
            f"The verdict on {row.shadow} is {verdict!r}: {reasons}",
            hint="Wait for more outcomes, or promote it with force (`--force`), which is recorded.",
        )
    forced = f", forced against the verdict {verdict!r}" if verdict != "promote" else ""
    record(
        session,
        "promoted",
        f"{row.shadow} was promoted over {row.live}{forced}.",
        by=by,
        endpoint=endpoint,
        model=row.shadow,
        previous=row.live,
        verdict=verdict,
    )
    row.previous, row.live = row.live, row.shadow
    row.learned = labelled(session, endpoint, row.live)
    row.shadow = row.shadow_since = None
    _changed(row)
    return row


def rollback(session: Session, endpoint: str, *, by: str) -> EndpointRow:
    """Ask for the Model that was live before to be live again; doing it twice undoes it."""
    row = get(session, endpoint)
    if row.previous is None:
        raise ConflictError(
            f"No other Model was live on {endpoint!r} before {row.live}.",
            hint="There is nothing to go back to.",
        )
    record(
        session,
        "rolled back",
        f"{row.live} was rolled back to {row.previous}.",
        by=by,
        endpoint=endpoint,
        model=row.previous,
        previous=row.live,
    )
    row.live, row.previous = row.previous, row.live
    row.learned = labelled(session, endpoint, row.live)
    if row.shadow == row.live:
        row.shadow = row.shadow_since = None
    _changed(row)
    return row


def delete(session: Session, endpoint: str, *, by: str) -> EndpointRow:
    """Ask for the endpoint to go; its prediction log and history stay."""
    row = get(session, endpoint)
    row.desired, row.shadow, row.shadow_since = "absent", None, None
    _changed(row)
    trigger = session.get(TriggerRow, endpoint)
    if trigger is not None:
        session.delete(trigger)
    record(session, "deleted", f"Endpoint {endpoint} was deleted.", by=by, endpoint=endpoint, model=row.live)
    return row


def acknowledge(session: Session, alert_id: int, *, by: str) -> AlertRow:
    """Mark an open alert as seen by somebody."""
    alert = session.get(AlertRow, alert_id)
    if alert is None:
        raise NotFoundError(f"There is no alert {alert_id}.", hint="`taxiway alerts` lists them.")
    if alert.state == "firing":
        alert.state = "acknowledged"
        record(
            session,
            "alert acknowledged",
            f"Acknowledged: {alert.title}",
            by=by,
            endpoint=alert.endpoint,
            alert=alert.id,
        )
    return alert


def labelled(session: Session, endpoint: str, model: str) -> int:
    """Count the live predictions of ``model`` whose outcome is known."""
    rows = session.scalars(
        select(WindowRow).where(
            WindowRow.endpoint == endpoint, WindowRow.model == model, WindowRow.role == "live"
        )
    )
    return sum(row.performance["n_labelled"] for row in rows if row.performance)


def _changed(row: EndpointRow) -> None:
    row.generation += 1
    row.updated = now()
