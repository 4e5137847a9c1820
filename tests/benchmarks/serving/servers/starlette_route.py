"""A starlette route; ``starlette_route.py PORT``."""

from __future__ import annotations

import sys

import orjson
import uvicorn
from model import Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

session = Session()


async def predict(request: Request) -> Response:
    return Response(
        orjson.dumps(session.predict(orjson.loads(await request.body()))), media_type="application/json"
    )


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/predict", predict, methods=["POST"])]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
