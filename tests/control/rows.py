"""Rows of the ledger as the tests need them."""

from __future__ import annotations

from typing import Any

from taxiway.control.ledger import now
from taxiway.control.tables import EndpointRow


def endpoint_row(name: str, **more: Any) -> EndpointRow:
    """An endpoint that is asked for, on this machine."""
    given = {"backend": "local", "live": f"{name}:one", "window": "hour", "created": now(), "updated": now()}
    return EndpointRow(name=name, **{**given, **more})
