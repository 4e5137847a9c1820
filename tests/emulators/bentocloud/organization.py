"""Who one is, where one may deploy and on what, and the organization's secrets."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Route

from tests.emulators.bentocloud.faults import Refusal
from tests.emulators.bentocloud.shapes import (
    CLUSTERS,
    USER,
    Json,
    Resource,
    cluster,
    instance_types,
    organization,
    page,
)
from tests.emulators.bentocloud.site import Handler, Site, routes, text


class Organization:
    """The routes of all that is neither a store nor a deployment."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Of the API."""
        one = "/api/v1/org_secrets/{name}"
        said: list[tuple[str, str, str, Handler]] = [
            ("GET", "/api/v1/auth/current", "get_current_user", self._user),
            ("GET", "/api/v1/current_org", "get_current_organization", self._organization),
            ("GET", "/api/v1/clusters", "get_cluster_list", self._clusters),
            ("GET", "/api/v1/instance_types", "list_instance_types", self._instance_types),
            ("GET", "/api/v1/org_secrets", "list_secrets", self._secrets),
            ("POST", "/api/v1/org_secrets", "create_secret", self._add_secret),
            ("GET", one, "get_secret", self._secret),
            ("PATCH", one, "update_secret", self._update_secret),
            ("DELETE", one, "delete_secret", self._delete_secret),
        ]
        return routes(self._site, said)

    async def _user(self, request: Request) -> Json:
        return USER

    async def _organization(self, request: Request) -> Json:
        return organization()

    async def _clusters(self, request: Request) -> Json:
        return page([cluster(name) for name in CLUSTERS], request)

    async def _instance_types(self, request: Request) -> list[Json]:
        return instance_types()

    async def _secrets(self, request: Request) -> Json:
        return page([_hidden(one) for one in self._site.secret_items.values()], request)

    async def _add_secret(self, request: Request) -> Json:
        said = await request.json()
        name = said["name"]
        if name in self._site.secret_items:
            raise Refusal(409, f"secret {name} already exists")
        self._site.secret_items[name] = {
            **Resource(name, "secret").base(),
            "description": said.get("description") or "",
            "creator": USER,
            "content": said["content"],
            "cluster": cluster(request.query_params.get("cluster") or CLUSTERS[0]),
        }
        return _hidden(self._site.secret_items[name])

    async def _secret(self, request: Request) -> Json:
        return _hidden(self._stored(request))

    async def _update_secret(self, request: Request) -> Json:
        stored = self._stored(request)
        said = await request.json()
        stored["content"] = said["content"]
        stored["description"] = said.get("description") or stored["description"]
        return _hidden(stored)

    async def _delete_secret(self, request: Request) -> Json:
        return _hidden(self._site.secret_items.pop(self._stored(request)["name"]))

    def _stored(self, request: Request) -> Json:
        name = text(request, "name")
        if name not in self._site.secret_items:
            raise Refusal(404, f"secret {name}: record not found")
        return self._site.secret_items[name]


def _hidden(secret: Json) -> Json:
    """As the API shows it: keys without their values."""
    content = secret["content"]
    items = [{**item, "value": ""} for item in content["items"]]
    return {**secret, "content": {**content, "items": items}}
