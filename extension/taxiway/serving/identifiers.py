"""Ids of requests and of predictions."""

from __future__ import annotations

import os
import re
import time

_USABLE = re.compile(rb"[\x21-\x7e]{1,128}")


def new_request_id() -> str:
    """Give a UUID version 7 (RFC 9562): it sorts by time, so files of predictions stay in order."""
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    random = os.urandom(10)
    digits = random.hex()
    variant = "89ab"[random[9] & 3]
    return f"{stamp[:8]}-{stamp[8:]}-7{digits[:3]}-{variant}{digits[3:6]}-{digits[6:18]}"


def request_id(given: bytes | None) -> str:
    """Take the client's ``X-Request-Id`` where it can stand in a header and a log, else make one."""
    if given is not None and _USABLE.fullmatch(given):
        return given.decode("ascii")
    return new_request_id()


def prediction_ids(request: str, ids: list[str] | None, rows: int) -> list[str]:
    """Name each row: by the client's ids, or after the request."""
    if ids is not None:
        return ids
    return [request] if rows == 1 else [f"{request}-{row}" for row in range(rows)]
