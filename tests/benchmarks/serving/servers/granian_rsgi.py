"""A bare RSGI callable, for ``granian --interface rsgi granian_rsgi:app``."""

from __future__ import annotations

from typing import Any

import orjson
from model import Session

session = Session()


async def app(scope: Any, protocol: Any) -> None:
    body = orjson.dumps(session.predict(orjson.loads(await protocol())))
    protocol.response_bytes(200, [("content-type", "application/json")], body)
