"""What a test makes go wrong at BentoCloud."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

#: What BentoCloud words its refusals with, where it is known; else as HTTP does.
_WORDS = {
    401: "unauthorized: the API token is not valid",
    403: "forbidden: the API token lacks the permission",
    404: "record not found",
    409: "conflict",
    429: "too many requests",
    500: "internal server error",
    503: "service unavailable",
}


class Refusal(Exception):
    """An answer other than 200.

    Parameters
    ----------
    status
        Of HTTP.
    message
        Under ``error`` in the answer.
    """

    def __init__(self, status: int, message: str | None = None) -> None:
        self.status, self.message = status, message or _WORDS.get(status, "refused")
        super().__init__(self.message)


@dataclass
class _Planted:
    operation: str
    left: int
    status: int = 0
    message: str | None = None


@dataclass
class Faults:
    """All that is planted; nothing at first. Operations are named as the methods of bentoml's REST client.

    Parameters
    ----------
    forbidden
        Operations that the token may not do.
    pauses
        Seconds that an operation (``*``: each) takes longer.
    answers
        What the next call of an operation is answered with, whatever it asks for.
    bytes_per_second
        How fast uploads are taken in; 0 for as fast as they come.
    build_log
        What builds of images print before they fail; None while they succeed.
    never_ready
        Seconds after which what is started now is called unhealthy, and it passes no probe before or after;
        None where it may pass.
    cold_start
        Seconds that waking from zero takes at least.
    stuck
        The states that a deployment never leaves.
    """

    forbidden: set[str] = field(default_factory=set)
    pauses: dict[str, float] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    bytes_per_second: float = 0.0
    build_log: tuple[str, ...] | None = None
    never_ready: float | None = None
    cold_start: float = 0.0
    stuck: set[str] = field(default_factory=set)
    _failures: list[_Planted] = field(default_factory=list)
    _lost: list[_Planted] = field(default_factory=list)
    _cuts: list[float | None] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plant(self, operation: str, status: int, times: int, message: str | None) -> None:
        """Let the next calls of an operation fail; ``*`` is any."""
        with self._lock:
            self._failures.append(_Planted(operation, times, status, message))

    def lose(self, operation: str, times: int) -> None:
        """Do what the next calls say, and cut the connection instead of the answer."""
        with self._lock:
            self._lost.append(_Planted(operation, times))

    def cut(self, at: float, after: int) -> None:
        """Cut an upload after that share of its bytes, and so many whole ones before it."""
        with self._lock:
            self._cuts += [*[None] * after, at]

    def end(self) -> None:
        """Nothing is planted any more."""
        with self._lock:
            for planted in (self._failures, self._lost, self._cuts):
                planted.clear()
        for kept in (self.forbidden, self.pauses, self.answers, self.stuck):
            kept.clear()
        self.build_log = self.never_ready = None
        self.bytes_per_second = self.cold_start = 0.0

    def check(self, operation: str) -> None:
        """Raise what is planted for this call."""
        if operation in self.forbidden:
            raise Refusal(403)
        if (found := self._take(self._failures, operation)) is not None:
            raise Refusal(found.status, found.message)

    def pause(self, operation: str) -> float:
        """Seconds that this call takes longer."""
        return self.pauses.get(operation, self.pauses.get("*", 0.0))

    def is_lost(self, operation: str) -> bool:
        """Whether this call's answer never arrives."""
        return self._take(self._lost, operation) is not None

    def next_cut(self) -> float | None:
        """The share of its bytes after which this upload is cut; None where it is not."""
        with self._lock:
            return self._cuts.pop(0) if self._cuts else None

    def _take(self, planted: list[_Planted], operation: str) -> _Planted | None:
        with self._lock:
            for one in planted:
                if one.left > 0 and one.operation in ("*", operation):
                    one.left -= 1
                    return one
        return None
