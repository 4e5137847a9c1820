"""The logs of the agent and the monitor: one JSON object a line, as the serving processes write them."""

from __future__ import annotations

import json
import logging
import os
import traceback
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """Writes one JSON object a line.

    Parameters
    ----------
    role
        ``agent`` or ``monitor``.
    quoting
        Write an exception's message too; it may quote a row of data where rows are read.
    """

    def __init__(self, role: str, *, quoting: bool) -> None:
        super().__init__()
        self.role = role
        self.quoting = quoting

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "role": self.role,
            "pid": os.getpid(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and (error := record.exc_info[1]) is not None:
            line["exception"] = self._exception(error)
        return json.dumps(line, ensure_ascii=False, default=str)

    def _exception(self, error: BaseException) -> str:
        if self.quoting:
            return "".join(traceback.format_exception(error)).rstrip()
        place = "".join(traceback.format_tb(error.__traceback__))
        return (
            f"Traceback (most recent call last):\n{place}{type(error).__module__}.{type(error).__qualname__}"
        )


def configure(role: str = "monitor") -> None:
    """Log on standard error, times in UTC; never a row of data.

    Parameters
    ----------
    role
        What this process is. The agent reads no row, so that its exceptions are written with their messages.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(role, quoting=role == "agent"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a log that cannot be written, as on a full disk, stops nothing
    for chatty in ("whylogs", "alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
