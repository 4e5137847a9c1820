"""The service of a Bento. Copied into each Bento, with its tag filled in; never imported from here."""

# mypy: ignore-errors
# ruff: noqa
from __future__ import annotations

import os
import tempfile

import bentoml

from taxiway.serving.app import create_app

TAG = "@TAG@"


class Mounted:
    """The ASGI application of the Model, made when a worker starts rather than when the Bento is built."""

    app = None

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


mounted = Mounted()


@bentoml.asgi_app(mounted, path="/")
@bentoml.service(name="@NAME@", workers=1, traffic={"timeout": 60})
class Service:
    """Answers predictions with the Model of exactly this Bento."""

    model = bentoml.models.BentoModel(TAG)

    def __init__(self) -> None:
        spool = os.environ.get("TAXIWAY_SPOOL") or tempfile.mkdtemp(prefix="taxiway-spool-")
        mounted.app = create_app(self.model.path, spool, token=os.environ.get("TAXIWAY_TOKEN") or None)
