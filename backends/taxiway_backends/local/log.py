"""The lines of an endpoint's log."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from taxiway.backends import LogLine

POLL_SECONDS = 0.25
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\w+\[\d+\]) (.*)")


def read_log(path: Path, *, since: datetime | None, follow: bool) -> Iterator[LogLine]:
    """Give the log's lines, oldest first.

    Parameters
    ----------
    path
        The log.
    since
        Leave out what is older; a line without a time goes with the one before it.
    follow
        Go on as the log grows, until it is removed.
    """
    try:
        log = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    shown, rest = since is None, ""
    with log:
        while True:
            while text := log.readline():
                rest += text
                if not rest.endswith("\n"):
                    continue
                line, rest = parse_line(rest.rstrip("\n")), ""
                if line.time is not None and since is not None:
                    shown = line.time >= since
                if shown:
                    yield line
            if not follow or not path.exists():
                return
            time.sleep(POLL_SECONDS)


def parse_line(text: str) -> LogLine:
    """Take a line of either form apart; one that is not ours, such as of a traceback, has no time."""
    match = _LINE.fullmatch(text)
    if match is not None:
        moment, source, words = match.groups()
        return LogLine(datetime.fromisoformat(moment), source, words)
    try:
        told = json.loads(text) if text.startswith("{") else {}
        source = f"{told['role']}[{told['pid']}]"
        return LogLine(datetime.fromisoformat(told["time"]), source, told["message"])
    except (ValueError, KeyError, TypeError):
        return LogLine(None, "", text)
