"""One deployment: its revisions, its states, and the URL behind which its replicas stand."""

from __future__ import annotations

import asyncio
import functools
import traceback
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.emulators.bentocloud.faults import Refusal
from tests.emulators.bentocloud.fleet import Crashed, Fleet
from tests.emulators.bentocloud.images import BuildFailed, Images
from tests.emulators.bentocloud.listener import Listener
from tests.emulators.bentocloud.nursery import bare_environment
from tests.emulators.bentocloud.shapes import NAMESPACE, USER, Json, Resource, cluster, now
from tests.emulators.bentocloud.site import Site

_LOOK_SECONDS = 0.1
_GOLDEN = 0.6180339887498949
MAIN = "main"


@dataclass(frozen=True)
class Target:
    """One version of a revision: a Bento and how it runs."""

    name: str
    bento: str
    config: Json
    weight: int


@dataclass(frozen=True)
class Revision:
    """What was asked for by one create or update."""

    resource: Resource
    targets: tuple[Target, ...]
    route_type: str
    route_by: str | None


class Deployment:
    """Made by a create, it goes its way by itself from then on.

    A rollout keeps what served before until the new is ready, and for good if that never happens.
    """

    def __init__(self, site: Site, images: Images, name: str, cluster_name: str) -> None:
        self.resource = Resource(name, "deployment")
        self.name, self.cluster = name, cluster_name
        self.status = "deploying"
        self.revisions: list[Revision] = []
        self.requests: list[tuple[str, str]] = []
        self.fleets: dict[str, Fleet] = {}
        self._newest: dict[str, Fleet] = {}
        self._ending: set[asyncio.Future[list[None]]] = set()
        self._site, self._images = site, images
        self._listener = Listener(self._app)
        self._task: asyncio.Task[None] | None = None
        self._serving: Revision | None = None

    @property
    def revision(self) -> Revision:
        """The newest."""
        return self.revisions[-1]

    @property
    def urls(self) -> list[str]:
        """One, once something has answered behind it."""
        return [self._listener.url] if self._serving else []

    def all_fleets(self) -> list[Fleet]:
        """What serves, and what the last rollout has made if that has come to nothing."""
        return list(dict.fromkeys([*self.fleets.values(), *self._newest.values()]))

    # Its way

    def roll_out(self, said: Json, targets: tuple[Target, ...]) -> None:
        """A new revision; what is under way for the last one ends."""
        canary = said.get("canary") or {}
        resource = Resource(f"{self.name}-{len(self.revisions) + 1}", "deployment_revision")
        route_type, route_by = canary.get("route_type") or "random", canary.get("route_by")
        self.revisions.append(Revision(resource, targets, route_type, route_by))
        self.resource.labels = said.get("labels") or []
        self._go(
            "deploying" if self._all_built() else "image-building",
            functools.partial(self._roll_out, self.revision),
        )

    def terminate(self) -> None:
        """Stop everything; the name stays."""
        self._go("terminating", self._terminate)

    def _go(self, state: str, way: Callable[[], Awaitable[None]]) -> None:
        before, self.status = self._task, state
        self.resource.updated_at = now()

        async def go() -> None:
            if before is not None:
                before.cancel()
                await asyncio.gather(before, return_exceptions=True)
            await way()

        self._task = asyncio.create_task(go())
        self._task.add_done_callback(_tell)

    def _become(self, state: str) -> None:
        self.status, self.resource.updated_at = state, now()

    def _all_built(self) -> bool:
        return all(self._images.built(target.bento) for target in self.revision.targets)

    async def _roll_out(self, revision: Revision) -> None:
        made = self._newest = {}
        try:
            images = {one.bento: await self._images.build(one.bento) for one in revision.targets}
            self._become("deploying")
            await self._site.stay("deploying")
            for target in revision.targets:
                made[target.name] = self._fleet(target, images[target.bento].folder)
            for fleet in made.values():
                await fleet.start(late=functools.partial(self._become, "unhealthy"))
        except (BuildFailed, Crashed) as error:
            self._become("failed" if isinstance(error, Crashed) else "image-build-failed")
            await self._end([one for one in made.values() if one not in self.fleets.values()])
            await self._look_after()
            return
        except asyncio.CancelledError:
            await self._end([one for one in made.values() if one not in self.fleets.values()])
            raise
        gone = [fleet for fleet in self.fleets.values() if fleet not in made.values()]
        self.fleets, self._serving = made, revision
        await self._listener.start()
        self._become("running")
        await self._end(gone)
        await self._look_after()

    def _fleet(self, target: Target, image: Path) -> Fleet:
        (service,) = target.config["services"].values()
        bento = self._site.shelf.whole("bento", target.bento)
        environment = bare_environment() | {
            one["name"]: str(one["value"])
            for one in (bento.said.get("manifest") or {}).get("envs") or ()
            if one.get("value") and one.get("stage") != "build"
        }
        for name in target.config.get("secrets") or ():
            content = self._site.secret_items[name]["content"]
            if content["type"] == "env":
                environment |= {item["key"]: item["value"] for item in content["items"]}
        for envs in (target.config.get("envs"), service.get("envs")):
            environment |= {one["name"]: str(one["value"]) for one in envs or ()}
        new = Fleet(self._site, self.name, image, environment, service)
        kept = next((one for one in self.fleets.values() if one.key == new.key), None)
        if kept is None:
            return new
        kept.configure(service)
        return kept

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for fleet in list(self.fleets.values()):
                lost = any(not replica.alive for replica in fleet.replicas)
                if lost and self.status == "running":
                    self._become("unhealthy")
                try:
                    await fleet.look_after()
                except Crashed:
                    continue
                if lost and self.status == "unhealthy":
                    self._become("running")
            asleep = bool(self.fleets) and all(fleet.asleep for fleet in self.fleets.values())
            if asleep != (self.status == "scaled-to-zero") and self.status in ("running", "scaled-to-zero"):
                self._become("scaled-to-zero" if asleep else "running")

    async def _terminate(self) -> None:
        await self._site.stay("terminating")
        self._serving = None
        gone, self.fleets, self._newest = list(self.fleets.values()), {}, {}
        await self._end(gone)
        self._become("terminated")

    async def _end(self, fleets: list[Fleet]) -> None:
        """End them even if who asked for it is stopped."""
        ending = asyncio.gather(*(fleet.end() for fleet in fleets))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)

    async def close(self) -> None:
        """Leave nothing running and nothing listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for fleet in self.all_fleets():
            for replica in fleet.pods:
                replica.kill()
        await self._end(list(self.fleets.values()))
        await asyncio.gather(*self._ending)
        await self._listener.stop()
        self._listener.close()

    # Its URL

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        try:
            revision = self._serving
            if revision is None:
                raise Refusal(404, "the deployment is terminated")
            target = self._chosen(revision, request)
            if target.config.get("access_authorization"):
                scheme, _, token = request.headers.get("authorization", "").partition(" ")
                if scheme.lower() != "bearer" or not self._site.knows(token):
                    raise Refusal(401)
            self.requests.append((target.name, request.url.path))
            return await self.fleets[target.name].ask(request, body)
        except Refusal as refusal:
            return JSONResponse({"error": refusal.message}, refusal.status)

    def _chosen(self, revision: Revision, request: Request) -> Target:
        """By weight: spread evenly, or by the hash of a header or query parameter where there is one."""
        places = {"header": request.headers, "query": request.query_params}
        value = places.get(revision.route_type, {}).get(revision.route_by or "")
        place = (len(self.requests) * _GOLDEN) % 1 * 100
        if value is not None:
            place = zlib.crc32(value.encode()) / 2**32 * 100
        for target in revision.targets:
            if place < target.weight:
                return target
            place -= target.weight
        return revision.targets[0]

    # As the client reads it

    def show(self) -> Json:
        """Everything of it."""
        revision = self.revision
        routing = None
        if len(revision.targets) > 1:
            weights = {target.name: target.weight for target in revision.targets if target.name != MAIN}
            routing = {"route_type": revision.route_type, "route_by": revision.route_by, "weights": weights}
        return {
            **self.resource.base(),
            "status": self.status,
            "kube_namespace": NAMESPACE,
            "creator": USER,
            "cluster": cluster(self.cluster),
            "urls": self.urls,
            "manifest": {"dev": False, "routing": routing},
            "latest_revision": {
                **revision.resource.base(),
                "creator": USER,
                "status": "active" if revision is self._serving else "inactive",
                "targets": [self._target(target) for target in revision.targets],
            },
        }

    def _target(self, target: Target) -> Json:
        name, _, version = target.bento.partition(":")
        artifact = self._site.shelf.artifact("bento", name, version)
        repository = self._site.shelf.repository("bento", name)
        image = self._images.get(target.bento)
        return {
            **Resource(target.name, "deployment_target").base(),
            "creator": USER,
            "config": target.config,
            "bento": {**artifact.answer(image_status=image.status), "repository": repository.answer()},
            "kube_resource_uid": "",
            "kube_resource_version": "",
        }


def _tell(task: asyncio.Task[None]) -> None:
    """Print what went wrong in the emulator itself, which nobody else would."""
    if not task.cancelled() and (error := task.exception()) is not None:
        traceback.print_exception(error)
