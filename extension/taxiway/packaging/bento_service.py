"""The service of a Bento. Copied into each Bento, with its tag filled in; never imported from here."""

# mypy: ignore-errors
# ruff: noqa
from __future__ import annotations

import logging
from pathlib import Path

import bentoml

from taxiway.serving.service import BentoService

TAG = "@TAG@"


class Endpoint:
    """Stands before BentoML's own routes, so that a Bento answers every path as the local runtime does."""

    app = None

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        answer = self.app if scope["type"] == "http" else self.inner
        await answer(scope, receive, send)


# A line for each request would bury all others, and the prediction log has every one of them
QUIET = {"access": {"enabled": False}}


@bentoml.service(name="@NAME@", workers=1, traffic={"timeout": 60}, logging=QUIET)
class Service:
    """Answers predictions with the Model of exactly this Bento."""

    model = bentoml.models.BentoModel(TAG)

    def __init__(self) -> None:
        self._service = BentoService(Path(self.model.path))
        Endpoint.app = self._service.app

    @bentoml.on_startup
    async def start(self) -> None:
        await self._service.start()
        # Of all loggers, BentoML shows only its own below a warning
        logging.getLogger("bentoml.taxiway").info("%s is ready as %s", TAG, self._service.app.role)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        await self._service.stop()


Service.add_asgi_middleware(Endpoint)
