"""Ids of requests and of predictions."""

from __future__ import annotations

import os
import re
import time

_USABLE = re.compile(rb"[\x21-\x7e]{1,128}")


def new_request_id() -> str:
    """Give a UUID version 7 (RFC 9562): it sorts by time, so files of predictions stay in order."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


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
