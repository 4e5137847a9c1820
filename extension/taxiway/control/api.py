"""What a notebook calls to put a Model into production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select

from taxiway.control import agent_process, desired
from taxiway.control.endpoint import WAIT_SECONDS, Endpoint
from taxiway.control.ledger import actor, ledger
from taxiway.control.tables import EndpointRow
from taxiway.errors import UnsupportedError
from taxiway.settings import Window, settings

if TYPE_CHECKING:
    from taxiway.packaging.model import Model


def deploy(
    model: Model | str,
    *,
    to: str = "local",
    endpoint: str | None = None,
    window: Window | None = None,
    workers: int | None = None,
    policies: Mapping[str, str] | None = None,
    override: Sequence[str] = (),
    wait: bool = True,
    timeout: float = WAIT_SECONDS,
    channel: str = "api",
) -> Endpoint:
    """Make a Model live on an endpoint; the endpoint is created if there is none of that name.

    Parameters
    ----------
    model
        A Model, ``name:version``, or a name for its newest version.
    to
        The back end: ``local``.
    endpoint
        The endpoint's name; the Model's name if not given.
    window
        The length of a monitoring window: ``hour``, ``day``, ``week`` or ``month``.
    workers
        Serving processes; those it has, or one.
    policies
        ``reject``, ``warn`` or ``ignore`` for each kind of finding in a request: ``{"extra": "reject"}``.
    override
        Names of blocking preflight checks that may have failed; recorded.
    wait
        Return when it is ready, not before.
    timeout
        Seconds to wait.

    Returns
    -------
    Endpoint

    Raises
    ------
    PreflightError
        A blocking check failed and is not overridden.
    NotReadyError
        It is not ready in time; the agent goes on trying.
    """
    from taxiway.control.reconcile import backend
    from taxiway.packaging import registry

    found = registry.load(model if isinstance(model, str) else model.tag)
    found.checks.require(found.tag, override)
    diagnosis = backend(to).check()
    if not diagnosis.ok:
        problem, remedy = diagnosis.problems[0]
        raise UnsupportedError(f"Back end {to!r} cannot be used: {problem}", hint=remedy)
    name = endpoint or found.name
    with ledger().transaction() as session:
        registry.insist(found.tag)
        existing = session.get(EndpointRow, name)
        desired.deploy(
            session,
            endpoint=name,
            model=found.tag,
            backend=to,
            window=window or (existing.window if existing else settings().window),
            workers=workers or (existing.workers if existing else 1),
            policies=dict(policies if policies is not None else existing.policies if existing else {}),
            overridden=override,
            by=actor(channel),
        )
    agent_process.start()
    deployed = Endpoint(name, channel=channel)
    return deployed.wait(timeout) if wait else deployed


def endpoint(name: str) -> Endpoint:
    """Find an endpoint by name.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    with ledger().reading() as session:
        desired.get(session, name)
    return Endpoint(name)


def endpoints() -> list[Endpoint]:
    """Give every endpoint, by name."""
    with ledger().reading() as session:
        names = session.scalars(
            select(EndpointRow.name).where(EndpointRow.desired != "absent").order_by(EndpointRow.name)
        )
        return [Endpoint(name) for name in names]


def promote(name: str, *, force: bool = False) -> None:
    """Make an endpoint's shadow live; returns at once (for the user interface)."""
    Endpoint(name, channel="jupyterlab").promote(force=force, wait=False)


def rollback(name: str) -> None:
    """Make the Model that was live before live again; returns at once."""
    Endpoint(name, channel="jupyterlab").rollback(wait=False)


def start_shadow(name: str, tag: str) -> None:
    """Let a Model shadow an endpoint; returns at once."""
    Endpoint(name, channel="jupyterlab").start_shadow(tag, wait=False)


def stop_shadow(name: str) -> None:
    """Take an endpoint's shadow away; returns at once."""
    Endpoint(name, channel="jupyterlab").stop_shadow(wait=False)


def acknowledge(alert_id: int, *, channel: str = "jupyterlab") -> None:
    """Mark an alert as seen."""
    with ledger().transaction() as session:
        desired.acknowledge(session, alert_id, by=actor(channel))
