"""Named things with a past, so that a reader may see them as they were."""

from __future__ import annotations

import copy
import threading
import time
from typing import Any


class Shelf:
    """Models, configurations or endpoints of one region: what describe answers, by name."""

    def __init__(self) -> None:
        self._past: dict[str, list[tuple[float, dict[str, Any] | None]]] = {}
        self._lock = threading.Lock()

    def put(self, name: str, value: dict[str, Any]) -> None:
        """Set what is answered from now on."""
        with self._lock:
            self._past.setdefault(name, []).append((time.monotonic(), copy.deepcopy(value)))

    def drop(self, name: str) -> None:
        """Remove it; later reads may still see it for a while."""
        with self._lock:
            self._past[name].append((time.monotonic(), None))

    def get(self, name: str, lag: float = 0.0) -> dict[str, Any] | None:
        """As it was ``lag`` seconds ago; None where there was none."""
        moment = time.monotonic() - lag
        with self._lock:
            seen = [value for when, value in self._past.get(name, ()) if when <= moment]
        return copy.deepcopy(seen[-1]) if seen else None

    def all(self, lag: float = 0.0) -> dict[str, dict[str, Any]]:
        """Everything, by name."""
        with self._lock:
            names = list(self._past)
        found = {name: self.get(name, lag) for name in names}
        return {name: value for name, value in found.items() if value is not None}
