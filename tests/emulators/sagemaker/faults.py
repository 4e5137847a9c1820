"""What a test makes go wrong at AWS."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.emulators.sagemaker.calls import AwsError, Call

_STATUS = {"ThrottlingException": 400, "InternalFailure": 500, "ServiceUnavailable": 503, "SlowDown": 503}


@dataclass
class _Failure:
    operation: str
    code: str
    message: str
    status: int
    left: int


@dataclass
class Faults:
    """All that is planted; nothing at first.

    Parameters
    ----------
    stuck
        The states that an endpoint never leaves.
    log_lines
        What containers print before they die; None while they live.
    stale
        Seconds by which SageMaker's describe and list answers lag.
    pause
        Seconds that every call to a container takes more.
    quotas
        Instances by type; a type that is not named has 20.
    denied
        IAM actions that the caller may not do.
    """

    stuck: set[str] = field(default_factory=set)
    log_lines: tuple[str, ...] | None = None
    stale: float = 0.0
    pause: float = 0.0
    quotas: dict[str, int] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    _failures: list[_Failure] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plant(self, operation: str, code: str, times: int, message: str | None, status: int | None) -> None:
        """Let the next calls of an operation fail; ``*`` is any."""
        said = message or ("Rate exceeded" if code == "ThrottlingException" else f"Planted: {code}")
        with self._lock:
            self._failures.append(_Failure(operation, code, said, status or _STATUS.get(code, 400), times))

    def end(self) -> None:
        """Nothing is planted any more."""
        with self._lock:
            self._failures.clear()
        self.stuck.clear()
        self.quotas.clear()
        self.denied.clear()
        self.log_lines, self.stale, self.pause = None, 0.0, 0.0

    def check(self, call: Call) -> None:
        """Raise what is planted for this call."""
        action = f"{call.service}:{call.operation}"
        if action in self.denied:
            raise denial(action)
        with self._lock:
            for failure in self._failures:
                if failure.left > 0 and failure.operation in ("*", call.operation, action):
                    failure.left -= 1
                    raise AwsError(failure.code, failure.message, failure.status)

    def allow(self, action: str, resource: str = "*") -> None:
        """Raise if the caller may not do this beside what it asked for (``iam:PassRole``)."""
        if action in self.denied:
            raise denial(action, resource)

    def wait_while_stuck(self, state: str, ended: threading.Event) -> None:
        """Stay in a state for as long as that is planted."""
        while state in self.stuck and not ended.is_set():
            time.sleep(0.02)


def denial(action: str, resource: str = "*") -> AwsError:
    """As IAM words it."""
    return AwsError(
        "AccessDeniedException",
        f"User: arn:aws:iam::123456789012:user/taxiway is not authorized to perform: {action} on resource: "
        f"{resource} because no identity-based policy allows the {action} action",
        403 if action.startswith(("s3:", "iam:", "sts:")) else 400,
    )
