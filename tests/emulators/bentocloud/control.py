"""Deployments over HTTP: what is asked for is checked at once, and done by the deployment itself."""

from __future__ import annotations

import re
import secrets

from starlette.requests import Request
from starlette.routing import Route

from tests.emulators.bentocloud.deployment import MAIN, Deployment, Target
from tests.emulators.bentocloud.faults import Refusal
from tests.emulators.bentocloud.images import Images
from tests.emulators.bentocloud.shapes import CLUSTERS, INSTANCE_TYPES, Json, page
from tests.emulators.bentocloud.site import Site, routes, text

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_ROUTE_TYPES = (None, "random", "header", "query")


class Control:
    """The routes under ``/api/v2/deployments``."""

    def __init__(self, site: Site, images: Images) -> None:
        self._site, self._images = site, images

    def routes(self) -> list[Route]:
        """Of the API."""
        every = "/api/v2/deployments"
        one = every + "/{name}"
        said = [
            ("GET", every, "list_deployment", self._list),
            ("POST", every, "create_deployment", self._create),
            ("GET", one, "get_deployment", self._get),
            ("PUT", one, "update_deployment", self._update),
            ("POST", one + "/terminate", "terminate_deployment", self._terminate),
            ("DELETE", one, "delete_deployment", self._delete),
        ]
        return routes(self._site, said)

    async def _list(self, request: Request) -> Json:
        asked = request.query_params
        everywhere = asked.get("all", "").lower() == "true"
        cluster = None if everywhere else _cluster(request)
        found = [
            deployment.show()
            for (of, _name), deployment in reversed(self._site.deployments.items())
            if cluster in (None, of)
        ]
        if asked.get("q") == "is:dev":
            found = []
        return page(found, request)

    async def _create(self, request: Request) -> Json:
        said, cluster = await request.json(), _cluster(request)
        name = said.get("name") or f"{said['bento'].partition(':')[0].lower()}-{secrets.token_hex(2)}"
        if not _NAME.fullmatch(name):
            raise Refusal(400, f"{name!r} is no name: up to 63 of a-z, 0-9 and -, a letter first")
        if (cluster, name) in self._site.deployments:
            raise Refusal(409, f"deployment {name} already exists")
        targets = self._targets(said)
        self._check_quota(targets, None)
        made = Deployment(self._site, self._images, name, cluster)
        self._site.deployments[cluster, name] = made
        made.roll_out(said, targets)
        return made.show()

    async def _get(self, request: Request) -> Json:
        return self._named(request).show()

    async def _update(self, request: Request) -> Json:
        deployment, said = self._named(request), await request.json()
        targets = self._targets(said)
        self._check_quota(targets, deployment)
        deployment.roll_out(said, targets)
        return deployment.show()

    async def _terminate(self, request: Request) -> Json:
        deployment = self._named(request)
        if deployment.status not in ("terminating", "terminated"):
            deployment.terminate()
        return deployment.show()

    async def _delete(self, request: Request) -> Json:
        deployment = self._named(request)
        if deployment.status != "terminated":
            raise Refusal(400, f"deployment {deployment.name} is {deployment.status}: terminate it first")
        shown = deployment.show()
        del self._site.deployments[deployment.cluster, deployment.name]
        await deployment.close()
        return {**shown, "latest_revision": None}

    # What is refused

    def _named(self, request: Request) -> Deployment:
        name = text(request, "name")
        try:
            return self._site.deployments[_cluster(request), name]
        except KeyError:
            raise Refusal(404, f"deployment {name}: record not found") from None

    def _targets(self, said: Json) -> tuple[Target, ...]:
        canary = said.get("canary") or {}
        if canary.get("route_type") not in _ROUTE_TYPES:
            raise Refusal(400, f"route_type {canary['route_type']!r} is none of random, header, query")
        versions: dict[str, Json] = canary.get("versions") or {}
        weights = {name: int(version.get("weight") or 0) for name, version in versions.items()}
        rest = 100 - sum(weights.values())
        if rest < 0 or min(weights.values(), default=0) < 0:
            raise Refusal(400, f"the weights {weights} are not shares of 100")
        config = {key: said.get(key) for key in ("access_authorization", "envs", "secrets", "services")}
        targets = [self._target(MAIN, str(said["bento"]), config, rest)]
        for name, version in versions.items():
            own = {key: version.get(key) for key in ("envs", "secrets", "services")}
            own["access_authorization"] = said.get("access_authorization")
            targets.append(self._target(name, str(version["bento"]), own, weights[name]))
        return tuple(targets)

    def _target(self, name: str, bento: str, config: Json, weight: int) -> Target:
        artifact = self._site.shelf.whole("bento", bento)
        entry = (artifact.said.get("manifest") or {}).get("entry_service")
        services = config["services"] or {}
        if list(services) != [entry]:
            raise Refusal(400, f"{bento} has the service {entry}, not {', '.join(services) or 'none'}")
        wanted = services[entry].get("instance_type") or INSTANCE_TYPES[0]
        if wanted not in INSTANCE_TYPES:
            raise Refusal(400, f"instance type {wanted}: record not found")
        for secret in config["secrets"] or ():
            if secret not in self._site.secret_items:
                raise Refusal(400, f"secret {secret} does not exist")
        return Target(name, artifact.tag, config, weight)

    def _check_quota(self, targets: tuple[Target, ...], but: Deployment | None) -> None:
        used = sum(
            _replicas(one.revision.targets)
            for one in self._site.deployments.values()
            if one is not but and one.status != "terminated"
        )
        if used + _replicas(targets) > self._site.replicas_allowed:
            raise Refusal(
                403,
                f"quota exceeded: {used} of {self._site.replicas_allowed} replicas are in use and "
                f"{_replicas(targets)} were asked for",
            )


def _replicas(targets: tuple[Target, ...]) -> int:
    """The most replicas that there may be of these."""
    services = [service for target in targets for service in target.config["services"].values()]
    return sum(int((service.get("scaling") or {}).get("max_replicas") or 1) for service in services)


def _cluster(request: Request) -> str:
    name = request.query_params.get("cluster") or CLUSTERS[0]
    if name not in CLUSTERS:
        raise Refusal(400, f"cluster {name} does not exist")
    return name
