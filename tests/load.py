"""Clients that keep an endpoint busy and forgive nothing: no retry, every failure is written down."""

from __future__ import annotations

import http.client
import json
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit


def ask(url: str | None, path: str, body: Any = None) -> tuple[int, str]:
    """Ask once, on a connection of its own, and give the status and the text."""
    connection = http.client.HTTPConnection(urlsplit(str(url)).netloc, timeout=20)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body))
        with connection.getresponse() as response:
            return response.status, response.read().decode()
    finally:
        connection.close()


@dataclass
class Clients(ABC):
    """Keep-alive clients and clients that connect anew each time, while the ``with`` block runs."""

    url: str
    rows: list[dict[str, Any]]
    keep_alive: int = 2
    fresh: int = 2

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        kinds = [True] * self.keep_alive + [False] * self.fresh
        self._threads = [
            threading.Thread(target=self._run, args=(number, kept)) for number, kept in enumerate(kinds)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @abstractmethod
    def _run(self, number: int, kept: bool) -> None:
        """Ask until ``_stop`` is set, on one connection if it is to be kept."""


@dataclass
class Load(Clients):
    """Clients who note what was answered, and how long each answer took."""

    pause: float = 0.002
    timeout: float = 20.0
    answered: dict[str, str] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def wait_for(self, count: int, seconds: float = 20.0) -> None:
        """Wait until so many more requests have been answered or have failed."""
        goal = len(self.answered) + len(self.failures) + count
        deadline = time.monotonic() + seconds
        while len(self.answered) + len(self.failures) < goal and time.monotonic() < deadline:
            time.sleep(0.01)

    def _run(self, number: int, kept: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        sent = 0
        while not self._stop.is_set():
            identity = f"{number}-{sent}"
            body = json.dumps({"records": [self.rows[sent % len(self.rows)]], "ids": [identity]})
            sent += 1
            if connection is None:
                connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=self.timeout)
            started = time.monotonic()
            try:
                connection.request("POST", "/predict", body, {} if kept else {"Connection": "close"})
                with connection.getresponse() as response:
                    answer = json.loads(response.read())
                if response.status != 200 or answer["predictions"][0]["id"] != identity:
                    self.failures.append(f"{response.status} {answer}")
                self.answered[identity] = answer.get("model", "")
                self.times.append(time.monotonic() - started)
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.failures.append(f"{'kept' if kept else 'fresh'}: {error!r}")
                connection.close()
                connection = None
            if not kept and connection is not None:
                connection.close()
                connection = None
            time.sleep(self.pause)
        if connection is not None:
            connection.close()
