"""The process's own log: lines for people, or one JSON object a line for what collects them.

No value of a request is ever written. An exception's message may quote one, so of an exception only its
class and where it was raised are written; the client that sent the value has the message in its answer,
under the request id that stands in the line.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any, Literal

import orjson

from taxiway.serving.tracing import CURRENT

Format = Literal["text", "json"]
FORMATS: tuple[Format, ...] = ("text", "json")
#: The environment variable that names the format where no flag does.
VARIABLE = "TAXIWAY_LOG_FORMAT"
MOST_ALIKE = 20
ALIKE_SECONDS = 60.0

_LINE = "{0} {1}[{2}] {3}"


class Lines(logging.Formatter):
    """Writes ``TIME ROLE[PID] MESSAGE``, and on further lines where an exception was raised.

    Parameters
    ----------
    role
        ``live`` or ``shadow``.
    model
        The tag of the Model that is served, empty while it is not known.
    """

    def __init__(self, role: str, model: str = "") -> None:
        super().__init__()
        self.role = role
        self.model = model
        self.pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        about = "".join(f" {name}={value}" for name, value in _about().items())
        line = _LINE.format(_time(record), self.role, self.pid, _message(record) + about)
        raised = _raised(record)
        return f"{line}\n{raised}" if raised else line


class JsonLines(Lines):
    """Writes one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "role": self.role,
            "pid": self.pid,
            "model": self.model or None,
            "message": _message(record),
            **_about(),
        }
        raised = _raised(record)
        if raised:
            line["exception"] = raised
        return orjson.dumps(line, default=str).decode()


class Throttle(logging.Filter):
    """Lets a few records of one kind through a minute, so that bad requests cannot fill a disk.

    Parameters
    ----------
    most
        How many of one message.
    seconds
        In how long.
    """

    def __init__(self, most: int = MOST_ALIKE, seconds: float = ALIKE_SECONDS) -> None:
        super().__init__()
        self._most = most
        self._seconds = seconds
        self._begun = 0.0
        self._counts: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; the last that is says that no more of its kind are."""
        now = time.monotonic()
        if now - self._begun > self._seconds:
            self._begun = now
            self._counts.clear()
        kind = (record.name, str(record.msg).partition("\n")[0])
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count == self._most:
            record.msg = f"{record.msg} (more like this are left out for {self._seconds:.0f} s)"
        return count <= self._most


def set_up(role: str, kind: Format, model: str = "") -> None:
    """Send all that this process logs to standard error.

    Parameters
    ----------
    role
        ``live`` or ``shadow``.
    kind
        The form of a line.
    model
        The Model's tag.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonLines if kind == "json" else Lines)(role, model))
    handler.addFilter(Throttle())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # A standard error that is gone, or a record that cannot be written, is no reason to write about it.
    logging.raiseExceptions = False
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _about() -> dict[str, str]:
    """Name the request in whose task something is logged."""
    request, trace = CURRENT.get()
    if trace is not None:
        return {"request": request, "trace": trace.trace, "span": trace.span}
    return {"request": request} if request else {}


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    # What asyncio says after the first line shows the exception, message and all.
    return message.partition("\n")[0] if record.name == "asyncio" else message


def _raised(record: logging.LogRecord) -> str:
    """Say where an exception and its causes were raised, the first cause first."""
    error = record.exc_info[1] if record.exc_info else None
    parts: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        place = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{place}{kind.__module__}.{kind.__qualname__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))


def _uncaught(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("taxiway.serving").critical("the process ends", exc_info=(kind, error, place))


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        logging.getLogger("taxiway.serving").error("a thread ended", exc_info=given.exc_value)
