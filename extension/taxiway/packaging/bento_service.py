"""The service of a Bento. Copied into each Bento, with its tag filled in; never imported from here."""

# mypy: ignore-errors
# ruff: noqa
from __future__ import annotations

import logging
import os
import tempfile

import bentoml

from taxiway.serving.app import create_app

TAG = "@TAG@"


class Endpoint:
    """Stands before BentoML's own routes, so that a Bento answers every path as the local runtime does."""

    app = None

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        answer = self.app if scope["type"] == "http" else self.inner
        await answer(scope, receive, send)


@bentoml.service(name="@NAME@", workers=1, traffic={"timeout": 60})
class Service:
    """Answers predictions with the Model of exactly this Bento."""

    model = bentoml.models.BentoModel(TAG)

    def __init__(self) -> None:
        spool = os.environ.get("TAXIWAY_SPOOL")
        if not spool:
            spool = tempfile.mkdtemp(prefix="taxiway-spool-")
            logging.getLogger("taxiway.serving").warning(
                "the prediction log goes to %s, which is new at each start and read by nobody: "
                "set TAXIWAY_SPOOL to a folder that stays",
                spool,
            )
        Endpoint.app = create_app(self.model.path, spool, token=os.environ.get("TAXIWAY_TOKEN") or None)


Service.add_asgi_middleware(Endpoint)
