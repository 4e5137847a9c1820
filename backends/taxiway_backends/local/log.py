"""The lines of an endpoint's log, which is bounded: the older half is kept in a second file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from taxiway.backends import LogLine

POLL_SECONDS = 0.25
MOST_BYTES = 8 * 2**20
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
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
    shown = since is None
    for text in _texts(path, follow):
        line = parse_line(text)
        if line.time is not None and since is not None:
            shown = line.time >= since
        if shown:
            yield line


def _texts(path: Path, follow: bool) -> Iterator[str]:
    """Give the lines of the older file and of the newer, and follow the newer through its cuts."""
    with contextlib.suppress(FileNotFoundError), older(path).open("rb") as log:
        for piece in log:
            yield piece.rstrip(b"\n").decode(errors="replace")
    try:
        log = path.open("rb")
    except FileNotFoundError:
        return
    rest = b""
    with log:
        while True:
            while piece := log.readline():
                rest += piece
                if rest.endswith(b"\n"):
                    yield rest.rstrip(b"\n").decode(errors="replace")
                    rest = b""
            if not follow or not path.exists():
                return
            time.sleep(POLL_SECONDS)
            if os.fstat(log.fileno()).st_size < log.tell():
                log.seek(0)
                rest = b""


def older(path: Path) -> Path:
    """Name the file that holds what was before."""
    return path.with_name(f"{path.name}.1")


def bound_log(path: Path, most: int = MOST_BYTES) -> None:
    """Move a log that has grown too long to the older file.

    It is emptied, not renamed, because serving processes hold it open and append; a line that they write
    in this very moment is lost.
    """
    try:
        if path.stat().st_size <= most:
            return
        staged = older(path).with_suffix(".new")
        with path.open("rb") as log, os.fdopen(os.open(staged, _WRITE, 0o600), "wb") as copy:
            shutil.copyfileobj(log, copy, 2**20)
        staged.replace(older(path))
        os.truncate(path, 0)
    except OSError:
        # A full disk, or a folder that was removed: it is tried again.
        return


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
