"""The containers' log lines, from CloudWatch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from taxiway.backends import LogLine
from taxiway_backends.cloud.words import last_of
from taxiway_backends.local.log import parse_line
from taxiway_backends.sagemaker.design import native_name
from taxiway_backends.sagemaker.refusals import is_missing, told
from taxiway_backends.sagemaker.session import Session

FOLLOW_SECONDS = 2.0
#: By which a line may come later than another of a later time.
_LATE = timedelta(minutes=1)
_TAIL_SECONDS = 3600


def group(endpoint: str) -> str:
    """Name the log group of an endpoint."""
    return f"/aws/sagemaker/Endpoints/{native_name(endpoint)}"


def read(session: Session, endpoint: str, since: datetime | None = None) -> Iterator[LogLine]:
    """Give the lines, oldest first; none where there is no log."""
    for event in _events(session, endpoint, since):
        line = _line(event)
        if since is None or line.time is None or line.time >= since:
            yield line


def follow(
    session: Session, endpoint: str, is_there: Callable[[], bool], since: datetime | None = None
) -> Iterator[LogLine]:
    """Give the lines and those that come, until the endpoint is gone.

    Parameters
    ----------
    is_there
        Tells whether the endpoint is there; asked before each look, so that the last lines are seen.
    """
    seen: set[str] = set()
    start = since
    while True:
        goes_on = is_there()
        events = _events(session, endpoint, start)
        for event in events:
            if event["eventId"] in seen:
                continue
            line = _line(event)
            if since is None or line.time is None or line.time >= since:
                yield line
        if not goes_on:
            return
        if events:
            seen = {event["eventId"] for event in events}
            start = max(filter(None, (start, _time(events[-1]) - _LATE)))
        time.sleep(FOLLOW_SECONDS)


def tail(session: Session, endpoint: str) -> str:
    """Give the last things that the containers said, in one line; empty where they said nothing."""
    start = datetime.fromtimestamp(time.time() - _TAIL_SECONDS, UTC)
    return last_of(_line(event).text for event in _events(session, endpoint, start))


def remove(session: Session, endpoint: str) -> None:
    """Delete the log group, where there is one."""
    with told("delete the log"):
        try:
            session.client("logs").delete_log_group(logGroupName=group(endpoint))
        except Exception as error:
            if not is_missing(error):
                raise


def _events(session: Session, endpoint: str, since: datetime | None) -> list[dict[str, Any]]:
    start = {"startTime": int(since.timestamp() * 1000)} if since else {}
    with told("read the log"):
        try:
            pages = (
                session.client("logs")
                .get_paginator("filter_log_events")
                .paginate(logGroupName=group(endpoint), **start)
            )
            events = [event for page in pages for event in page["events"]]
        except Exception as error:
            if is_missing(error):
                return []
            raise
    return sorted(events, key=lambda event: event["timestamp"])


def _line(event: dict[str, Any]) -> LogLine:
    """Take an event apart; a line that is not ours has the time at which CloudWatch got it."""
    parsed = parse_line(event["message"].rstrip("\n"))
    instance = event.get("logStreamName", "").rsplit("/", 1)[-1]
    source = " ".join(part for part in (instance, parsed.source) if part)
    # Of several instances' clocks only CloudWatch's time gives one order.
    return LogLine(_time(event), source, parsed.text)


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
