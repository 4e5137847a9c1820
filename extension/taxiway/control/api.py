"""What a notebook calls to put a Model into production."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from taxiway.backends import Configurable, EndpointRef, EndpointSpec, Measuring, Routing
from taxiway.control import agent_process, desired, options
from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import actor, ledger
from taxiway.control.tables import AlertRow, EndpointRow
from taxiway.errors import NotFoundError, UnsupportedError
from taxiway.settings import Window
from taxiway.settings import settings as taxiway_settings

if TYPE_CHECKING:
    from pathlib import Path

    from taxiway.backends import Bake, LogLine, Plan
    from taxiway.control.options import Detector, Device
    from taxiway.monitoring.silences import Matcher
    from taxiway.packaging.model import Model


def deploy(
    model: Model | str,
    *,
    to: str = "local",
    endpoint: str | None = None,
    window: Window | None = None,
    workers: int | None = None,
    policies: Mapping[str, str] | None = None,
    host: str | None = None,
    port: int | None = None,
    uds: str | Path | None = None,
    cpus: float | None = None,
    memory: str | int | None = None,
    device: Device | None = None,
    bake: Bake | float | None = None,
    tls_certificate: str | Path | None = None,
    tls_key: str | Path | None = None,
    group: str | None = None,
    detector: Detector | None = None,
    new_token: bool = False,
    settings: Mapping[str, Any] | None = None,
    override: Sequence[str] = (),
    wait: bool = True,
    timeout: float | None = None,
    channel: str = "api",
) -> Endpoint:
    """Make a Model live on an endpoint; the endpoint is created if there is none of that name.

    Parameters
    ----------
    model
        A Model, ``name:version``, or a name for its newest version.
    to
        The back end: ``local``, ``sagemaker`` or ``bentocloud``.
    endpoint
        The endpoint's name; the Model's name if not given.
    window
        The length of a monitoring window: ``hour``, ``day``, ``week`` or ``month``.
    workers
        Serving processes; those it has, or one.
    policies
        ``reject``, ``warn`` or ``ignore`` for each kind of finding in a request: ``{"extra": "reject"}``.
    host, port
        Where to listen: this machine alone (``127.0.0.1``) and a free port, unless it has others. Whoever is
        to be reached from elsewhere gets a token, as the attribute ``token`` of what is returned: it is kept
        nowhere and shown this once.
    uds
        The path of a Unix socket to listen on instead; an empty one goes back to host and port.
    cpus, memory
        What each serving process may use: cores, and bytes or a text such as ``2GiB``; 0 takes a limit away.
    device
        ``auto`` (a GPU only if the Model fits on one, else the CPU), ``cpu`` or ``gpu``.
    bake
        Seconds for which a new live Model is watched, and sent back by itself when its errors or its latency
        leave their bounds; a ``taxiway.backends.Bake`` says which bounds, 0 does without.
    tls_certificate, tls_key
        PEM files to serve HTTPS with.
    group
        The Models rank: they are judged by NDCG, MRR and MAP of the rows that have the same value in this
        input column, or with ``request`` of the rows of each request. An empty one takes it back.
    detector
        What watches for changes of the error: ``adwin``, or ``page_hinkley`` for sudden ones.
    new_token
        Make a token, instead of one it may have.
    settings
        What only the back end knows, beside those that the endpoint has; None as a value takes one away. For
        SageMaker: ``{"instance_type": "ml.m5.xlarge", "mode": "serverless", "role": "arn:…"}`` and so on, see
        ``taxiway_backends.sagemaker.choices.Choices``; for BentoCloud: ``{"instance_type": "cpu.2",
        "ship_to": "s3://…"}`` and so on, see ``taxiway_backends.bentocloud.choices.Choices``.
    override
        Names of blocking preflight checks that may have failed; recorded.
    wait
        Return when it is ready, not before.
    timeout
        Seconds to wait; as long as the back end usually takes if not given.

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
    from taxiway.control.labels import check_group
    from taxiway.control.reconcile import backend
    from taxiway.packaging import registry

    found = registry.load(model if isinstance(model, str) else model.tag)
    found.checks.require(found.tag, override)
    if group:
        check_group(found, group)
    name = endpoint or found.name
    target = backend(to)
    if isinstance(target, Configurable):
        diagnosis = target.check_for(options.merge(_options_of(name), settings=settings).get("settings", {}))
    else:
        diagnosis = target.check()
    if not diagnosis.ok:
        problem, remedy = diagnosis.problems[0]
        raise UnsupportedError(f"Back end {to!r} cannot be used: {problem}", hint=remedy)
    asked: dict[str, Any] = {
        "host": host,
        "uds": uds,
        "cpus": cpus,
        "memory": memory,
        "device": device,
        "bake": bake,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "settings": settings,
    }
    if isinstance(target, Configurable):
        lacks = plan(found, to=to, endpoint=name, workers=workers, policies=policies, **asked).unsupported
        if lacks:
            raise UnsupportedError(
                f"Back end {to!r} cannot do this: {lacks[0]}.", hint="Leave it out, or change it."
            )
    with ledger().transaction() as session:
        registry.insist(found.tag)
        existing = session.get(EndpointRow, name)
        wanted = options.merge(
            existing.options if existing and existing.desired != "absent" else {},
            group=group,
            detector=detector,
            **asked,
        )
        token = ""
        if new_token or (options.needs_token(wanted) and "token_hash" not in wanted):
            wanted, token = options.with_token(wanted)
        desired.deploy(
            session,
            endpoint=name,
            model=found.tag,
            backend=to,
            window=window or (existing.window if existing else taxiway_settings().window),
            workers=workers or (existing.workers if existing else 1),
            policies=dict(policies if policies is not None else existing.policies if existing else {}),
            port=port,
            options=wanted,
            overridden=override,
            by=actor(channel),
        )
    agent_process.start()
    deployed = Endpoint(name, channel=channel, token=token)
    return deployed.wait(timeout) if wait else deployed


def plan(
    model: Model | str,
    *,
    to: str = "local",
    endpoint: str | None = None,
    workers: int | None = None,
    policies: Mapping[str, str] | None = None,
    **asked: Any,
) -> Plan:
    """Say what ``deploy`` with the same arguments would change, and what it would cost; change nothing.

    Parameters
    ----------
    asked
        Of ``deploy``: host, uds, cpus, memory, device, bake, tls_certificate, tls_key, settings.
    """
    from taxiway.control.reconcile import backend, reference
    from taxiway.packaging import registry

    found = registry.load(model if isinstance(model, str) else model.tag)
    name = endpoint or found.name
    with ledger().reading() as session:
        existing = session.get(EndpointRow, name)
    if existing is not None and existing.desired == "absent":
        existing = None
    wanted = options.merge(existing.options if existing else {}, **asked)
    shadow = existing.shadow if existing and existing.shadow != found.tag else None
    return backend(to).plan(
        EndpointSpec(
            name=name,
            routing=Routing(reference(found.tag), reference(shadow) if shadow else None),
            workers=workers or (existing.workers if existing else 1),
            port=existing.port if existing else 0,
            policies=dict(policies if policies is not None else existing.policies if existing else {}),
            owner=ledger().identity,
            **options.fields(wanted),
        )
    )


def logs(name: str, *, follow: bool = False) -> Iterator[LogLine]:
    """Give what an endpoint's serving processes said, wherever they run, oldest first.

    Parameters
    ----------
    follow
        Go on until the endpoint is gone.
    """
    from taxiway.control.reconcile import backend

    with ledger().reading() as session:
        row = desired.get(session, name)
    return backend(row.backend).logs(EndpointRef(name, ledger().identity), follow=follow)


def metrics(name: str, *, minutes: int = 60) -> dict[str, float]:
    """Give the figures that the back end of an endpoint keeps of it; empty where it keeps none.

    Parameters
    ----------
    minutes
        How far back.

    Returns
    -------
    dict
        See ``taxiway.backends.Measuring``.
    """
    from taxiway.control.reconcile import backend

    with ledger().reading() as session:
        row = desired.get(session, name)
    target = backend(row.backend)
    if not isinstance(target, Measuring):
        return {}
    return target.metrics(EndpointRef(name, ledger().identity), minutes=minutes)


def _options_of(name: str) -> options.Options:
    """Give the options of an endpoint; none where there is none of that name."""
    with ledger().reading() as session:
        row = session.get(EndpointRow, name)
    return {} if row is None or row.desired == "absent" else dict(row.options or {})


def endpoint(name: str, *, token: str = "") -> Endpoint:
    """Find an endpoint by name.

    Parameters
    ----------
    token
        What it asks of its clients, if anything; else that of the environment variable ``TAXIWAY_TOKEN``.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    with ledger().reading() as session:
        desired.get(session, name)
    return Endpoint(name, token=token)


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


def silence_alert(alert_id: int, *, seconds: float, channel: str = "jupyterlab") -> int:
    """Tell nobody of what an alert tells of, for so long; gives the silence's number."""
    from taxiway.control import silencing

    row = _alert(alert_id)
    return silencing.silence(
        ledger(),
        _exactly(row),
        lasting=timedelta(seconds=seconds),
        reason=f"Silenced from its alert: {row.title}",
        by=actor(channel),
    )


def unsilence_alert(alert_id: int, *, channel: str = "jupyterlab") -> None:
    """End what ``silence_alert`` began; a silence that covers more goes on."""
    from taxiway.control import silencing

    silencing.end_of(ledger(), _exactly(_alert(alert_id)), by=actor(channel))


def _alert(alert_id: int) -> AlertRow:
    with ledger().reading() as session:
        row = session.get(AlertRow, alert_id)
    if row is None:
        raise NotFoundError(f"There is no alert {alert_id}.", hint="`taxiway alerts list` lists them.")
    return row


def _exactly(row: AlertRow) -> Matcher:
    from taxiway.monitoring.silences import Matcher

    return Matcher(endpoint=row.endpoint, rule=row.rule, column=glob.escape(row.column or ""))
