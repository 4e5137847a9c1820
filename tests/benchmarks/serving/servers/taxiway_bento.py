"""Taxiway's application in a BentoML service, mounted as ``taxiway.packaging.bento_service`` does."""

from __future__ import annotations

import os
from typing import Any

import bentoml

from taxiway.serving.app import App, create_app


class Endpoint:
    app: App

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = self.app if scope["type"] == "http" else self.inner
        await answer(scope, receive, send)


@bentoml.service(workers=1, traffic={"timeout": 60})
class Service:
    def __init__(self) -> None:
        Endpoint.app = create_app(os.environ["BENCH_FOLDER"], os.environ["BENCH_SPOOL"])


Service.add_asgi_middleware(Endpoint)
