"""Three BentoML services: an ``async`` API, a plain one, and a mounted ASGI application."""

from __future__ import annotations

from typing import Any

import bentoml
import orjson
from model import Session

#: One worker, and no line of log a request.
OPTIONS: dict[str, Any] = {"workers": 1, "logging": {"access": {"enabled": False}}}


@bentoml.service(**OPTIONS)
class AsyncApi:
    def __init__(self) -> None:
        self.session = Session()

    @bentoml.api
    async def predict(self, rows: list[dict[str, float]]) -> dict[str, Any]:
        return self.session.predict(rows)


@bentoml.service(**OPTIONS)
class SyncApi:
    def __init__(self) -> None:
        self.session = Session()

    @bentoml.api
    def predict(self, rows: list[dict[str, float]]) -> dict[str, Any]:
        return self.session.predict(rows)


_shared: list[Session] = []


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if not _shared:
        _shared.append(Session())
    body = orjson.dumps(_shared[0].predict(orjson.loads((await receive())["body"])))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@bentoml.service(**OPTIONS)
@bentoml.asgi_app(mounted, path="/")
class Mounted:
    pass
