"""Environment variables, read: all that the places which run containers can set."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

DRAIN_SECONDS = 15.0
SHIP_SECONDS = 5.0


def read_number(environment: Mapping[str, str], name: str, default: float) -> float:
    """Read a number; the default where the variable is missing or empty.

    Raises
    ------
    ValueError
        It is none.
    """
    text = environment.get(name)
    try:
        return float(text) if text else default
    except ValueError:
        raise ValueError(f"{name} is {text!r}, which is no number") from None


def read_options(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Read ``TAXIWAY_SERVING_OPTIONS``: words as on the command line of ``python -m taxiway.serving``.

    Raises
    ------
    ValueError
        A quotation does not end.
    """
    try:
        return tuple(shlex.split(environment.get("TAXIWAY_SERVING_OPTIONS", "")))
    except ValueError as error:
        raise ValueError(f"TAXIWAY_SERVING_OPTIONS cannot be read: {error}") from None
