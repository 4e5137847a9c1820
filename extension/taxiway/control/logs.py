"""The logs of the agent and the monitor: one JSON object a line, on standard error."""

from __future__ import annotations

import logging


def configure() -> None:
    """Log in JSON, times in UTC; never a row of data."""
    from pythonjsonlogger.json import JsonFormatter

    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            ["asctime", "name", "levelname", "message"],
            rename_fields={"asctime": "time", "name": "logger", "levelname": "level"},
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("whylogs", "alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
