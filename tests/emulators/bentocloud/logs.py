"""Pods and their logs over WebSockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.emulators.bentocloud.fleet import Fleet
from tests.emulators.bentocloud.images import Image, Images
from tests.emulators.bentocloud.shapes import CLUSTERS, NAMESPACE, Json
from tests.emulators.bentocloud.site import TOKEN_HEADER, Site

_BUILDER = "yatai.ai/is-bento-image-builder"
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class _Pod:
    """What the client calls one: a builder of images, or a replica.

    Parameters
    ----------
    alive
        Whether more may come to its log.
    """

    name: str
    log: Path
    status: str
    ready: bool
    labels: dict[str, str]
    alive: Callable[[], bool]

    def show(self) -> Json:
        """As the client reads it."""
        return {
            "name": self.name,
            "namespace": NAMESPACE,
            "labels": self.labels,
            "pod_status": {"status": self.status, "reason": ""},
            "status": {"phase": self.status, "ready": self.ready},
            "runner_name": self.labels.get("yatai.ai/bento-repository", ""),
        }


class Logs:
    """The routes under ``/ws``."""

    def __init__(self, site: Site, images: Images) -> None:
        self._site, self._images = site, images

    def routes(self) -> list[WebSocketRoute]:
        """Of the API."""
        return [
            WebSocketRoute("/ws/v1/clusters/{cluster}/pods", self._builders),
            WebSocketRoute("/ws/v2/deployments/{name}/pods", self._pods),
            WebSocketRoute("/ws/v1/clusters/{cluster}/tail", self._tail),
        ]

    async def _builders(self, socket: WebSocket) -> None:
        """The pods that match a selector: of those that have one, only builders of images."""
        asked = dict(one.partition("=")[::2] for one in socket.query_params.get("selector", "").split(","))
        tag = f"{asked.get('yatai.ai/bento-repository')}:{asked.get('yatai.ai/bento')}"
        found = [one for one in self._images.all() if one.tag == tag and one.log.exists()]
        await self._answer(socket, [_builder(image).show() for image in found])

    async def _pods(self, socket: WebSocket) -> None:
        cluster = socket.query_params.get("cluster") or CLUSTERS[0]
        deployment = self._site.deployments.get((cluster, socket.path_params["name"]))
        fleets = deployment.all_fleets() if deployment else []
        await self._answer(socket, [pod.show() for fleet in fleets for pod in _replicas(fleet)])

    async def _answer(self, socket: WebSocket, pods: list[Json]) -> None:
        if await self._accepted(socket):
            await socket.send_json({"type": "success", "message": "", "payload": pods})
            await socket.close()

    async def _accepted(self, socket: WebSocket) -> bool:
        self._site.calls.append("websocket")
        if self._site.knows(socket.headers.get(TOKEN_HEADER)):
            await socket.accept()
            return True
        await socket.close()  # before it is accepted: 403
        return False

    async def _tail(self, socket: WebSocket) -> None:
        """The last lines, then what comes, until the pod has ended or the client has gone."""
        if not await self._accepted(socket):
            return
        name = socket.query_params["pod_name"]
        pod = next((pod for pod in self._all() if pod.name == name), None)
        with suppress(WebSocketDisconnect):
            asked = await self._asked(socket)
            if pod is None:
                await socket.send_json({"type": "error", "message": f"pod {name} not found", "payload": None})
                return
            hears = asyncio.create_task(_hear(socket))
            try:
                await _follow(socket, pod, asked, hears)
            finally:
                hears.cancel()
                await asyncio.gather(hears, return_exceptions=True)

    @staticmethod
    async def _asked(socket: WebSocket) -> Json:
        while True:
            said: Json = await socket.receive_json()
            if said["type"] == "data":
                return dict(said["payload"])

    def _all(self) -> list[_Pod]:
        deployments = self._site.deployments.values()
        replicas = [pod for one in deployments for fleet in one.all_fleets() for pod in _replicas(fleet)]
        return [*replicas, *(_builder(image) for image in self._images.all())]


async def _hear(socket: WebSocket) -> None:
    """Take in heartbeats until the client goes."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive_json()


async def _follow(socket: WebSocket, pod: _Pod, asked: Json, hears: asyncio.Task[None]) -> None:
    begun, place = False, 0
    while not hears.done():
        ended = not pod.alive()  # before the log is read: what it printed last is read too
        text = pod.log.read_bytes()[place:] if pod.log.exists() else b""
        whole = text if ended else text[: text.rfind(b"\n") + 1]
        place += len(whole)
        lines = whole.splitlines(keepends=True)
        if not begun and (tail := asked.get("tail_lines")) is not None:
            lines = lines[-int(tail) :]
        begun = True
        if lines:
            items = [base64.b64encode(line).decode() for line in lines]
            payload = {"items": items, "type": "append"}
            await socket.send_json({"type": "data", "message": "", "payload": payload})
        if ended or not asked.get("follow"):
            await socket.send_json({"type": "success", "message": "EOF", "payload": None})
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _builder(image: Image) -> _Pod:
    repository, _, version = image.tag.partition(":")
    status = {"building": "Running", "success": "Succeeded"}.get(image.status, "Failed")
    labels = {"yatai.ai/bento-repository": repository, "yatai.ai/bento": version, _BUILDER: "true"}
    return _Pod(image.pod, image.log, status, False, labels, lambda: image.status == "building")


def _replicas(fleet: Fleet) -> list[_Pod]:
    return [
        _Pod(
            one.name, one.log, "Running" if one.alive else "Failed", one.ready,
            {"yatai.ai/bento-repository": one.deployment}, lambda one=one: one.alive,  # type: ignore[misc]
        )
        for one in fleet.pods
    ]  # fmt: skip
