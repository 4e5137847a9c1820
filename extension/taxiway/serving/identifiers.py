"""Ids of requests and of predictions."""

from __future__ import annotations

import os
import re
import time

_USABLE = re.compile(rb"[\x21-\x7e]{1,128}")
_AT_ONCE = 64
#: What follows the time in ids that are still to be given.
_endings: list[str] = []
# Two processes must not give the same.
os.register_at_fork(after_in_child=_endings.clear)


def new_request_id() -> str:
    """Give a UUID version 7 (RFC 9562): it sorts by time, so files of predictions stay in order."""
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    while True:
        try:
            return f"{stamp[:8]}-{stamp[8:]}{_endings.pop()}"
        except IndexError:
            _make_endings()


def _make_endings() -> None:
    """Ask the system for the random bits of several ids at once: one by one it is half of an id's cost."""
    random = os.urandom(10 * _AT_ONCE)
    digits = random.hex()
    for place, last in enumerate(random[9::10]):
        one = digits[20 * place : 20 * place + 18]
        _endings.append(f"-7{one[:3]}-{'89ab'[last & 3]}{one[3:6]}-{one[6:]}")


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
