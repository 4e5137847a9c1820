"""The log lines of replicas and of builds, over the client's WebSockets."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from taxiway.backends import LogLine
from taxiway_backends.bentocloud.account import Account, Native
from taxiway_backends.bentocloud.refusals import CloudError, MissingError
from taxiway_backends.cloud.words import last_of
from taxiway_backends.local.log import parse_line

LOOK_SECONDS = 2.0
#: How long a pod's first line, and then the next one, is waited for.
FIRST_SECONDS, QUIET_SECONDS = 5.0, 1.0
_CONTAINER, _BUILDER = "main", "builder"
_Pod = tuple[str, str]  # its name, and its container's
#: A line as BentoML itself writes it.
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}) (\[\w+\] .*)")


def read(account: Account, native: Native, since: datetime | None = None) -> list[LogLine]:
    """Give the last lines of the build and of every replica, oldest first.

    BentoCloud's client gives the last 50 of each.
    """
    lines = _last_of(account, native, _pods(account, native))
    # A line without a time goes with the one before it: that of a traceback.
    found, when = [], None
    for line in lines:
        when = line.time or when
        if since is None or (when is not None and when >= since):
            found.append((when, line))
    return [line for _, line in sorted(found, key=lambda pair: pair[0].timestamp() if pair[0] else 0.0)]


def follow(
    account: Account, look: Callable[[], Native | None], since: datetime | None = None
) -> Iterator[LogLine]:
    """Give the lines and those that come, of replicas that come too, until the endpoint is gone.

    Parameters
    ----------
    look
        Describes the live deployment; None once it is gone.
    """
    tails = _Tails(account)
    try:
        due = 0.0
        there: Native | None = None
        while True:
            if time.monotonic() >= due:
                there = look()
                if there is not None:
                    tails.watch(there)
                due = time.monotonic() + LOOK_SECONDS
            try:
                line = tails.lines.get(timeout=LOOK_SECONDS / 4)
            except queue.Empty:
                if there is None:
                    return
                continue
            if line is not None and (since is None or line.time is None or line.time >= since):
                yield line
    finally:
        tails.stop.set()


def tail(account: Account, native: Native) -> str:
    """Give the last things that replicas said, in one line; empty where they said nothing."""
    return last_of(line.text for line in _last_of(account, native, _replicas(account, native)))


def tail_build(account: Account, native: Native) -> str:
    """Give the last things that the build said, in one line."""
    return last_of(line.text for line in _last_of(account, native, _builders(account, native)))


def _pods(account: Account, native: Native) -> list[_Pod]:
    """Name the pods of the build and of the replicas; none where the deployment has just gone."""
    try:
        return [*_builders(account, native), *_replicas(account, native)]
    except MissingError:
        return []


def _builders(account: Account, native: Native) -> list[_Pod]:
    builder = account.builder(native)
    return [(str(builder.name), _BUILDER)] if builder else []


def _replicas(account: Account, native: Native) -> list[_Pod]:
    return [(str(pod.name), _CONTAINER) for pod in account.pods(native)]


def _last_of(account: Account, native: Native, pods: list[_Pod]) -> list[LogLine]:
    """Give what pods have said until now, one after another."""
    return [line for pod in pods for line in _said_by(account, native, pod)]


def _said_by(account: Account, native: Native, pod: _Pod) -> Iterator[LogLine]:
    """Give what a pod has said: the client only follows, so it is left when nothing comes."""
    tails = _Tails(account)
    tails.begin(native, pod)
    seconds = FIRST_SECONDS
    try:
        while (line := tails.lines.get(timeout=seconds)) is not None:
            yield line
            seconds = QUIET_SECONDS
    except queue.Empty:
        return
    finally:
        tails.stop.set()


@dataclass
class _Tails:
    """Follows pods, each in a thread of its own; at a log's end comes None."""

    account: Account
    lines: queue.Queue[LogLine | None] = field(default_factory=queue.Queue)
    stop: threading.Event = field(default_factory=threading.Event)
    _begun: set[_Pod] = field(default_factory=set)

    def watch(self, native: Native) -> None:
        """Follow every pod that is not followed yet."""
        for pod in _pods(self.account, native):
            if pod not in self._begun:
                self.begin(native, pod)

    def begin(self, native: Native, pod: _Pod) -> None:
        """Follow one."""
        self._begun.add(pod)
        threading.Thread(target=self._run, args=(native, pod), daemon=True).start()

    def _run(self, native: Native, pod: _Pod) -> None:
        name, container = pod
        ended = threading.Event()
        # The client sets what it is given when a log ends: that must not end the others.
        threading.Thread(target=_hand_on, args=(self.stop, ended), daemon=True).start()
        try:
            for text in self.account.tail(native, name, container, ended):
                self.lines.put(_line(container if container == _BUILDER else name, text))
        except CloudError:
            self._begun.discard(pod)  # it is tried again at the next look
        finally:
            self.lines.put(None)


def _hand_on(one: threading.Event, other: threading.Event) -> None:
    one.wait()
    other.set()


def _line(source: str, text: str) -> LogLine:
    if match := _LINE.fullmatch(text):
        moment, words = match.groups()
        return LogLine(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z"), source, words)
    parsed = parse_line(text)
    return LogLine(parsed.time, " ".join(part for part in (source, parsed.source) if part), parsed.text)
