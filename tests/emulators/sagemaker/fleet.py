"""A production variant's instances: started together, asked in turn."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.emulators.sagemaker.instance import Answer, Instance, Launch

INVOCATION_SECONDS = 60.0


class Unhealthy(Exception):
    """No instance of a variant passed its ping."""


class Fleet:
    """The instances of one variant of one endpoint configuration.

    Parameters
    ----------
    variant
        As in the configuration.
    launch
        Makes what an instance of a name starts.
    says
        What containers print before they die, if that is planted.
    """

    def __init__(
        self,
        variant: Mapping[str, Any],
        launch: Callable[[str], Launch],
        says: Callable[[], tuple[str, ...] | None],
    ) -> None:
        self.name = str(variant["VariantName"])
        self.serverless = variant.get("ServerlessConfig")
        self.count = 1 if self.serverless else int(variant.get("InitialInstanceCount", 1))
        self.instances: list[Instance] = []
        self._launch = launch
        self._says = says
        self._turn = itertools.count()
        self._lock = threading.Lock()

    def start(self, seconds: float) -> None:
        """Start every instance and wait for their pings.

        Raises
        ------
        Unhealthy
            One died, or did not answer in time.
        """
        self.scale(self.count, seconds)

    def scale(self, count: int, seconds: float) -> None:
        """Have so many instances; new ones take calls once they are well."""
        new = [self._one() for _ in range(count - len(self.instances))]
        try:
            for instance in new:
                _wait_healthy(instance, seconds)
        except Unhealthy:
            _stop(new)
            raise
        with self._lock:
            kept = [*self.instances, *new]
            self.instances, gone = kept[:count], kept[count:]
        self.count = count
        _stop(gone)

    def _one(self) -> Instance:
        instance = Instance(self._launch(self.name))
        instance.start(self._says())
        return instance

    def ask(self, body: bytes, headers: Mapping[str, str], seconds: float = INVOCATION_SECONDS) -> Answer:
        """POST /invocations to the next instance; one that died or sleeps is started first."""
        with self._lock:
            if not self.instances:
                self.instances = [self._woken()]
            place = next(self._turn) % len(self.instances)
            if not self.instances[place].alive():
                self.instances[place] = self._woken()
            instance = self.instances[place]
        return instance.ask("POST", "/invocations", body, headers, seconds)

    def _woken(self) -> Instance:
        instance = self._one()
        _wait_healthy(instance, INVOCATION_SECONDS)
        return instance

    def sleep(self) -> None:
        """Stop all instances; the next call starts one (what serverless does when nobody asks)."""
        with self._lock:
            gone, self.instances = self.instances, []
        _stop(gone)

    def stop(self) -> None:
        """End all."""
        self.sleep()


def _wait_healthy(instance: Instance, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not instance.healthy():
        if not instance.alive() or time.monotonic() > deadline:
            time.sleep(0.1)  # the last lines are on their way
            raise Unhealthy(instance.name)
        time.sleep(0.05)


def _stop(instances: list[Instance]) -> None:
    if not instances:
        return
    for instance in instances:
        instance.tell_to_leave()
    with ThreadPoolExecutor(len(instances)) as pool:
        list(pool.map(Instance.stop, instances))
