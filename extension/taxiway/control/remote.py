"""Endpoints that are far away: how long they are waited for, and how they are asked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from taxiway.backends import Asking, EndpointRef, Paced
from taxiway.control.ledger import ledger
from taxiway.errors import RequestError, TaxiwayError

if TYPE_CHECKING:
    import httpx

    from taxiway.control.endpoint import Endpoint
    from taxiway.control.tables import EndpointRow, ObservationRow

WAIT_SECONDS = 60.0
_MOST_OUTCOMES = 100_000


def patience(backend: str) -> float:
    """Give the seconds for which a change is waited for."""
    from taxiway.control import reconcile

    try:
        target = reconcile.backend(backend)
    except TaxiwayError:
        return WAIT_SECONDS
    return target.patience_seconds if isinstance(target, Paced) else WAIT_SECONDS


def transport(row: EndpointRow, seen: ObservationRow | None) -> httpx.BaseTransport | None:
    """Give what carries requests to an endpoint; None where plain HTTP does."""
    if row.backend == "local":
        return None
    from taxiway.control import reconcile

    target = reconcile.backend(row.backend)
    if not isinstance(target, Asking):
        return None
    return _transport(
        target, EndpointRef(row.name, ledger().identity), Path(seen.spool) if seen and seen.spool else None
    )


def transport_of(endpoint: Endpoint) -> httpx.BaseTransport | None:
    """Give the same of an endpoint as a notebook holds it."""
    return transport(*endpoint.state())


def _transport(backend: Asking, ref: EndpointRef, spool: Path | None) -> httpx.BaseTransport:
    import httpx

    class Transport(httpx.BaseTransport):
        """Asks through the back end; outcomes go straight to where the monitor reads the prediction log."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            """Answer as the serving process would."""
            body = request.read()
            if request.url.path.endswith("/outcomes"):
                return httpx.Response(202, json={"accepted": keep_outcomes(spool, ref.name, body)})
            status, headers, answer = backend.ask(ref, body, dict(request.headers))
            return httpx.Response(status, headers=headers, content=answer)

    return Transport()


def keep_outcomes(spool: Path | None, name: str, body: bytes) -> int:
    """Write the body of an outcomes request into a spool, as a serving process does; give their number.

    Raises
    ------
    RequestError
        They cannot be outcomes, or there is no room for them.
    """
    from taxiway.serving.outcomes import parse_outcomes
    from taxiway.serving.problems import Problem
    from taxiway.serving.spool import SpoolWriter

    if spool is None:
        raise RequestError(
            f"Endpoint {name!r} has no prediction log yet.", hint="Wait for it: endpoint.wait()."
        )
    try:
        record = parse_outcomes(body, max_rows=_MOST_OUTCOMES)
    except Problem as problem:
        raise RequestError(str(problem), hint=problem.hint) from problem
    writer = SpoolWriter(spool, "outcomes")
    try:
        kept = writer.append(record | {"time": time.time()})
    finally:
        writer.close()
    if not kept:
        raise RequestError(
            "The outcomes could not be written down.", hint="Free disk space, and send them again."
        )
    return len(record["ids"])
