"""Clients that note on which connection each request went, so that its failure can be laid at a door."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.load import Clients

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Failure:
    """A request that got no right answer.

    Attributes
    ----------
    port
        The client's end of its connection; 0 where none was made.
    opened, began, ended
        When the connection was asked for, and the request's own times, by the monotonic clock.
    """

    identity: str
    port: int
    opened: float
    began: float
    ended: float
    what: str


@dataclass(frozen=True)
class Kill:
    """A process that was ended by SIGKILL.

    Attributes
    ----------
    ports
        The clients' ends of the connections that it had accepted.
    frozen, gone
        When it was stopped to look at them, and when it had ended, by the monotonic clock. The kernel may
        close its connections later: with the last of its threads.
    """

    kind: str
    pid: int
    ports: frozenset[int]
    frozen: float
    gone: float


def kill(kind: str, processes: Iterable[psutil.Process], server_port: int) -> list[Kill]:
    """Kill processes at one stroke; they are frozen first, so that what they had in their hands is known."""
    frozen, held = time.monotonic(), []
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
            one.suspend()
            held.append(one)
    for one in held:
        _wait(one, psutil.STATUS_STOPPED)
    had = [_clients_of(one.pid, server_port) for one in held]
    for one in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    for one in held:
        _wait(one)
    gone = time.monotonic()
    return [Kill(kind, one.pid, ports, frozen, gone) for one, ports in zip(held, had, strict=True)]


def _wait(process: psutil.Process, *states: str) -> None:
    """Wait until a process is in one of these states, or has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() not in (*states, psutil.STATUS_ZOMBIE):
            time.sleep(0.001)


def sockets_of(pid: int) -> set[str]:
    """The inodes of a process's sockets, as Linux lists them."""
    found = set()
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(file.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return found
    return found


def listening() -> dict[str, int]:
    """Every socket that listens over TCP: its inode, and its port."""
    return {inode: local for inode, local, _, state in _connections() if state == "0A"}


def _clients_of(pid: int, server_port: int) -> frozenset[int]:
    own = sockets_of(pid)
    return frozenset(
        remote for inode, local, remote, _ in _connections() if local == server_port and inode in own
    )


def _connections() -> list[tuple[str, int, int, str]]:
    """The inode, the local and the remote port, and the state of every TCP socket over IPv4."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [(row[9], int(row[1][-4:], 16), int(row[2][-4:], 16), row[3]) for row in rows]


class _Connection(http.client.HTTPConnection):
    """Knows when it was opened."""

    opened = 0.0

    def connect(self) -> None:
        self.opened = time.monotonic()
        super().connect()


@dataclass
class Traffic(Clients):
    """Keep-alive clients and clients that connect anew each time; a context manager.

    No request is sent twice. Before a kept connection is used again it is looked at, as every HTTP client
    does: one that the server has closed meanwhile is replaced.
    """

    pause: float = 0.02
    answered: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many requests have been answered, or have failed."""
        return len(self.answered) + len(self.failures)

    def _run(self, number: int, kept: bool) -> None:
        connection = self._new()
        sent = 0
        while not self._stop.is_set():
            identity = f"{number}-{sent}"
            sent += 1
            answered = self._ask(connection, identity, kept)
            if not answered or not kept:
                connection.close()
                connection = self._new()
            time.sleep(self.pause if answered else 10 * self.pause)
        connection.close()

    def _new(self) -> _Connection:
        return _Connection(urlsplit(self.url).netloc, timeout=TIMEOUT_SECONDS)

    def _ask(self, connection: _Connection, identity: str, kept: bool) -> bool:
        row = self.rows[len(self.answered) % len(self.rows)]
        body = json.dumps({"records": [row], "ids": [identity]})
        began, port = time.monotonic(), 0
        try:
            if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
                connection.close()
            if connection.sock is None:
                connection.connect()
            port = connection.sock.getsockname()[1]
            connection.request("POST", "/predict", body, {} if kept else {"Connection": "close"})
            with connection.getresponse() as response:
                answer = json.loads(response.read())
            if response.status == 200 and [one["id"] for one in answer["predictions"]] == [identity]:
                self.answered[identity] = answer["model"]
                return True
            what = f"{response.status} {answer}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            what = repr(error)
        self.failures.append(Failure(identity, port, connection.opened, began, time.monotonic(), what))
        return False


def in_flight(failure: Failure, kills: Iterable[Kill]) -> bool:
    """Tell whether a request was on a connection that a killed process had accepted, when it was killed."""
    return any(failure.port in one.ports and failure.opened <= one.frozen <= failure.ended for one in kills)
