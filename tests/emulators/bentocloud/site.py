"""What the parts of the emulated BentoCloud share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators.bentocloud.faults import Faults, Refusal
from tests.emulators.bentocloud.nursery import Nursery
from tests.emulators.bentocloud.shapes import Json
from tests.emulators.bentocloud.shelf import Shelf

if TYPE_CHECKING:
    from tests.emulators.bentocloud.deployment import Deployment

Handler = Callable[[Request], Awaitable[Response | Json | list[Json]]]
TOKEN_HEADER = "X-YATAI-API-TOKEN"


@dataclass
class Site:
    """Folders, faults, tokens, and all that there is.

    Parameters
    ----------
    life
        Seconds that a deployment is at least in each state on its way.
    second
        How long one second of BentoCloud's own waits takes here.
    startup
        Seconds for a replica's first probe.
    """

    folder: Path
    shelf: Shelf
    nursery: Nursery
    life: float
    second: float
    startup: float
    faults: Faults = field(default_factory=Faults)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    token_expired: bool = False
    replicas_allowed: int = 20
    deployments: dict[tuple[str, str], Deployment] = field(default_factory=dict)
    secret_items: dict[str, Json] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    url: str = ""

    def knows(self, token: str | None) -> bool:
        """Whether a token opens anything."""
        return not self.token_expired and secrets.compare_digest(token or "", self.token)

    async def stay(self, state: str) -> None:
        """Be in a state for its time, or for as long as it is planted."""
        await asyncio.sleep(self.life)
        while state in self.faults.stuck:
            await asyncio.sleep(0.02)


def _guarded(site: Site, operation: str, handler: Handler, signed: bool) -> Handler:
    """The handler behind the token, what is planted, and the form of refusals."""

    async def answer(request: Request) -> Response:
        site.calls.append(operation)
        try:
            if not signed and not site.knows(request.headers.get(TOKEN_HEADER)):
                raise Refusal(401)
            await asyncio.sleep(site.faults.pause(operation))
            site.faults.check(operation)
            planted = site.faults.answers.pop(operation, None)
            said = await handler(request) if planted is None else Response(planted)
        except Refusal as refusal:
            headers = {"x-trace-id": secrets.token_hex(8)} if refusal.status >= 500 else None
            return JSONResponse({"error": refusal.message}, refusal.status, headers)
        if site.faults.is_lost(operation):
            await hang_up(request)
        return said if isinstance(said, Response) else JSONResponse(said)

    return answer


def routes(site: Site, said: Iterable[tuple[str, str, str, Handler]], *, signed: bool = False) -> list[Route]:
    """Of rows of method, path, operation and handler, behind the token unless their URLs are signed."""
    return [
        Route(path, _guarded(site, operation, handler, signed), methods=[method])
        for method, path, operation, handler in said
    ]


async def hang_up(request: Request) -> None:
    """Cut the connection as a lost network does: no answer, no goodbye."""
    request.scope["hang_up"]()
    await asyncio.sleep(0.05)


def text(request: Request, name: str) -> str:
    """A word of the path."""
    return str(request.path_params[name])
