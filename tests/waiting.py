"""Waiting for what happens in other processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(look: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Look until there is something; fail the test, naming what was waited for, if there never is."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)  # who looks often takes the time of what is waited for
    return found
