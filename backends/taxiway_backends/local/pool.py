"""As many serving processes of one definition as there should be, started again when they die."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable

from taxiway_backends.local.bake import Totals
from taxiway_backends.local.confinement import Confiner
from taxiway_backends.local.gpu import GpuError
from taxiway_backends.local.placement import find_place
from taxiway_backends.local.rundir import RunDir
from taxiway_backends.local.worker import Definition, State, Worker

MODEL_FAILED = 3
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
HEALTHY_SECONDS = 30.0
MEASURE_SECONDS = 0.5

Start = Callable[[Definition], Worker]


class Pool:
    """The serving processes of one definition.

    Parameters
    ----------
    definition
        What they serve.
    size
        How many there should be.
    start
        Starts one.

    Attributes
    ----------
    failures
        Deaths in a row, each sooner than ``HEALTHY_SECONDS`` after the start.
    reason
        Why the last one died.
    proven
        Whether it has been live before, and was set aside.
    """

    def __init__(self, definition: Definition, size: int, start: Start) -> None:
        self.definition = definition
        self.size = size
        self.workers: list[Worker] = []
        self.failures = 0
        self.hopeless = False
        self.reason = ""
        self.proven = False
        self._gone = Totals()
        self._measured = 0.0
        self._start = start
        self._not_before = 0.0
        self._stopping = False

    @property
    def accepting(self) -> list[Worker]:
        """Those that answer requests."""
        return [worker for worker in self.workers if worker.state is State.ACCEPTING]

    @property
    def complete(self) -> bool:
        """Whether all that there should be answer requests."""
        return len(self.accepting) >= self.size

    @property
    def prepared(self) -> bool:
        """Whether all that there should be could answer requests."""
        return (
            sum(worker.state in (State.READY, State.TOLD, State.ACCEPTING) for worker in self.workers)
            >= self.size
        )

    @property
    def silent(self) -> list[Worker]:
        """Those that should answer, and have not for a while."""
        return [worker for worker in self.workers if worker.silent]

    @property
    def failing(self) -> bool:
        """Whether it is no longer a matter of waiting."""
        return self.hopeless or self.failures > 0

    def tick(self) -> None:
        """Bury the dead, start what is missing, and let go what is too many."""
        now = time.monotonic()
        for worker in list(self.workers):
            expected = worker.state is State.DRAINING
            worker.poll()
            if worker.state is State.GONE:
                self.workers.remove(worker)
                if not expected and not self._stopping:
                    self._mourn(worker, now)
        if self._stopping:
            return
        running = [worker for worker in self.workers if worker.running]
        for worker in running[self.size :]:
            worker.drain(self.definition.drain_seconds)
        if now >= self._not_before:
            for _ in range(self.size - len(running)):
                if not self._begin(now):
                    break
        healthy = self.complete and not self.silent
        if healthy and all(now - (worker.accepted or now) > HEALTHY_SECONDS for worker in self.accepting):
            self.failures = 0
            self.hopeless = False

    def _begin(self, now: float) -> bool:
        try:
            self.workers.append(self._start(self.definition))
        except (GpuError, OSError) as error:
            self.failures += 1
            self.reason = str(error)
            self._not_before = now + self._pause()
            return False
        return True

    def _mourn(self, worker: Worker, now: float) -> None:
        self.failures += 1
        self.reason = worker.reason()
        self._gone += worker.totals
        self.hopeless = worker.exit_status == MODEL_FAILED
        if worker.accepted is not None and self.failures == 1:
            self._not_before = now
        elif self.hopeless:
            self._not_before = now + LONGEST_PAUSE
        else:
            self._not_before = now + self._pause()

    def _pause(self) -> float:
        doublings = min(self.failures - 1, 10)  # a float cannot take those of a night
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**doublings)

    def accept(self) -> None:
        """Tell those that are ready to accept."""
        for worker in self.workers:
            if worker.state is State.READY:
                worker.accept()

    def pause(self) -> None:
        """Take all off the traffic, and keep them ready."""
        self.proven = True
        for worker in self.workers:
            worker.pause()

    def measure(self) -> None:
        """Ask all what they have done; ``totals`` knows when they have answered."""
        now = time.monotonic()
        if now - self._measured >= MEASURE_SECONDS:
            self._measured = now
            for worker in self.workers:
                worker.measure()

    @property
    def totals(self) -> Totals:
        """What they had done when they were last asked."""
        return sum((worker.totals for worker in self.workers), self._gone)

    def direct_mirror(self, path: str) -> None:
        """Tell all where the shadow is."""
        for worker in self.workers:
            if worker.state in (State.READY, State.TOLD, State.ACCEPTING):
                worker.direct_mirror(path)

    def stop(self, seconds: float) -> None:
        """Let all go, and start none again."""
        self._stopping = True
        for worker in self.workers:
            worker.drain(seconds)

    def kill(self) -> None:
        """End all at once."""
        self._stopping = True
        for worker in self.workers:
            worker.kill()


def starter(directory: RunDir, listener: socket.socket) -> Start:
    """Give the function that starts this endpoint's serving processes."""
    number = 0
    confiner = Confiner(directory.path)
    starting: list[Worker] = []

    def start(definition: Definition) -> Worker:
        nonlocal number
        number += 1
        starting[:] = [worker for worker in starting if worker.state is State.STARTING]
        promised: Counter[str] = Counter()
        for other in starting:
            if other.place.gpu is not None:
                promised[other.place.gpu.uuid] += other.place.need
        place = find_place(definition.model, definition.device, promised)
        worker = Worker(definition, directory, listener, number, place, confiner)
        starting.append(worker)
        return worker

    return start
