"""The routes of one Model's endpoint: a dictionary from path to what answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from taxiway.serving.asgi import Receive, Scope, Send
from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Answer


@dataclass(slots=True)
class Call:
    """One request: its id, its headers, and ASGI's own."""

    request: str
    headers: dict[bytes, bytes]
    scope: Scope
    receive: Receive
    send: Send


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path.

    Parameters
    ----------
    method
        ``GET`` or ``POST``.
    handle
        Gives the answer.
    label
        The path, with ``{name}``, ``{version}`` and ``{role}`` in the place of the Model's own: so it stands
        in metrics.
    hint
        What to do about a body of none of the route's forms.
    refuse
        Gives the fields of an error's body.
    open
        Whether no token is needed: for health checks.
    """

    method: str
    handle: Handler
    label: str
    hint: str = ""
    refuse: Callable[[Problem], Mapping[str, Any]] = Problem.document
    open: bool = False


def fixed(answer: Answer) -> Handler:
    """Give what answers every request alike."""

    async def handle(_: Call) -> Answer:
        return answer

    return handle
