"""The replicas of one version of a deployment: asked in turn, stopped when idle, woken by a request."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from starlette.requests import Request
from starlette.responses import Response

from tests.emulators.bentocloud.faults import Refusal
from tests.emulators.bentocloud.replica import Replica
from tests.emulators.bentocloud.shapes import Json
from tests.emulators.bentocloud.site import Site

_POLL_SECONDS = 0.05
_IDLE_SECONDS = 600.0
_COLD_START_SECONDS = 600.0
_HOP = frozenset({"host", "connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"})


class Crashed(Exception):
    """A replica ended before it was ready."""


class Fleet:
    """What runs for one target of a revision.

    Parameters
    ----------
    image
        The Bento's folder.
    environment
        Of the replicas' processes.
    service
        The deployment's configuration of the Bento's entry service.
    """

    def __init__(
        self, site: Site, deployment: str, image: Path, environment: Mapping[str, str], service: Json
    ) -> None:
        self.key = (image, dict(environment), service.get("instance_type"), service.get("config_overrides"))
        self.replicas: list[Replica] = []
        self.pods: list[Replica] = []
        self.asleep = False
        self._site, self._deployment = site, deployment
        self._image, self._environment = image, environment
        self._turn = itertools.count()
        self._asked = time.monotonic()
        self._wake = asyncio.Lock()
        self._client = httpx.AsyncClient(
            timeout=60.0, limits=httpx.Limits(keepalive_expiry=2.0), trust_env=False, verify=False
        )
        self.configure(service)

    def configure(self, service: Json) -> None:
        """Take over what changes without a restart."""
        scaling = service.get("scaling") or {}
        self.least = int(scaling["min_replicas"]) if scaling.get("min_replicas") is not None else 1
        policy = scaling.get("policy") or {}
        self._idle = float(policy.get("scale_down_stabilization_window") or _IDLE_SECONDS)
        self._patience = float(service.get("cold_start_timeout") or _COLD_START_SECONDS)

    async def start(self, late: Callable[[], None] = lambda: None) -> None:
        """Have as many replicas as the least, and one where that is none, all of them ready.

        Parameters
        ----------
        late
            Called when one is not ready in time, and waited for all the same.

        Raises
        ------
        Crashed
        """
        wanted = self._wanted
        self.pods = list(self.replicas)  # what has crashed gives way to another try
        await self._site.nursery.ready()
        new = [self._one() for _ in range(wanted - len(self.replicas))]
        try:
            await asyncio.gather(*(self._until_ready(replica, late) for replica in new))
        except BaseException:
            for replica in new:
                replica.kill()
            raise
        kept = [*self.replicas, *new]
        self.replicas, gone = kept[:wanted], kept[wanted:]
        self.asleep, self._asked = False, time.monotonic()
        await self._leave(gone)

    @property
    def _wanted(self) -> int:
        return max(self.least, 1)

    async def _leave(self, gone: list[Replica]) -> None:
        self.pods = [replica for replica in self.pods if replica not in gone]
        await asyncio.gather(*(replica.leave() for replica in gone))

    def _one(self) -> Replica:
        site = self._site
        replica = Replica(self._deployment, self._image, site.folder / "pods", self._environment)
        replica.start(site.nursery)
        self.pods.append(replica)
        return replica

    async def _until_ready(self, replica: Replica, late: Callable[[], None]) -> None:
        site, began = self._site, time.monotonic()
        while site.faults.never_ready is not None or not await replica.probe(self._client):
            if not replica.alive:
                raise Crashed(replica.name)
            if time.monotonic() - began > (site.faults.never_ready or site.startup):
                late()
            await asyncio.sleep(_POLL_SECONDS)

    async def look_after(self) -> None:
        """Replace what has died; stop all when nobody has asked for the idle time."""
        self.replicas = [replica for replica in self.replicas if replica.alive]
        if not self.asleep and len(self.replicas) < self._wanted:
            await self.start()
            return
        idle = self.least == 0 and not any(replica.in_flight for replica in self.replicas)
        if idle and not self.asleep and time.monotonic() - self._asked > self._idle * self._site.second:
            await self.sleep()

    async def sleep(self) -> None:
        """Stop all; the next request starts them."""
        self.asleep = True
        gone, self.replicas = self.replicas, []
        await self._leave(gone)

    async def end(self) -> None:
        """Stop all for good."""
        await self.sleep()
        await self._client.aclose()

    async def ask(self, request: Request, body: bytes) -> Response:
        """Hand a request to the next replica that is ready.

        Raises
        ------
        Refusal
            503 where there is none, 502 where it broke off, 504 where it did not answer or wake in time.
        """
        self._asked = time.monotonic()
        if self.asleep:
            await self._woken()
        ready = [replica for replica in self.replicas if replica.ready]
        if not ready:
            raise Refusal(503, "no healthy upstream")
        replica = ready[next(self._turn) % len(ready)]
        replica.in_flight += 1
        try:
            return await self._forward(replica, request, body)
        except httpx.TimeoutException:
            raise Refusal(504, "upstream request timeout") from None
        except httpx.HTTPError as error:
            raise Refusal(502, f"upstream connect error: {error}") from None
        finally:
            replica.in_flight -= 1
            self._asked = time.monotonic()

    async def _forward(self, replica: Replica, request: Request, body: bytes) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        asked = self._client.build_request(
            request.method,
            f"http://127.0.0.1:{replica.port}{request.url.path}{query}",
            content=body,
            headers=[pair for pair in request.headers.items() if pair[0] not in _HOP],
        )
        answer = await self._client.send(asked, stream=True)
        try:
            said = b"".join([part async for part in answer.aiter_raw()])
        finally:
            await answer.aclose()
        response = Response(said, answer.status_code)
        for name, value in answer.headers.multi_items():
            if name not in _HOP:
                response.headers.append(name, value)
        return response

    async def _woken(self) -> None:
        began = time.monotonic()
        async with self._wake:
            if not self.asleep:
                return
            try:
                async with asyncio.timeout(self._patience * self._site.second):
                    await asyncio.sleep(self._site.faults.cold_start)
                    await self.start()
            except (TimeoutError, Crashed):
                waited = time.monotonic() - began
                raise Refusal(504, f"no replica was ready {waited:.1f} s after the request") from None
