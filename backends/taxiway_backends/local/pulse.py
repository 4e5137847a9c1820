"""Whether a serving process still answers its master, or hangs.

It is asked on the line between the two, which its event loop reads: one that is stopped, deadlocked or in
an endless loop does not answer. A prediction in a thread keeps no answer back. One that has a processor and
computes may be in the midst of something long (a GPU's library that builds a kernel does so for a minute),
so it is given more time than one that does nothing at all. What this process itself slept, with the machine
or for want of a processor, counts for little.
"""

from __future__ import annotations

import time

import psutil

#: Between an answer and the next question.
ASK_SECONDS = 2.0
#: Silence that is told.
SILENT_SECONDS = 4.0
#: Silence after which a process that does nothing hangs, and one that computes.
STILL_SECONDS = 15.0
BUSY_SECONDS = 180.0
#: Of one processor: who has had less meanwhile does nothing.
STILL_SHARE = 0.005
#: The most that counts between two looks.
_MOST_SECONDS = 1.0


class Pulse:
    """Watches one process.

    Parameters
    ----------
    pid
        The process.

    Attributes
    ----------
    silence
        Seconds for which a question is without an answer.
    """

    def __init__(self, pid: int) -> None:
        self.silence = 0.0
        self._pid = pid
        self._asked = False
        self._looked = self._due = time.monotonic()
        self._used: float | None = None

    def look(self) -> bool:
        """Count the time since the last look; tell whether to ask now."""
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        if self._asked:
            self.silence += min(passed, _MOST_SECONDS)
            return False
        if now < self._due:
            return False
        self._asked = True
        self._used = None
        return True

    def answer(self) -> None:
        """Take note that it said something."""
        self._asked = False
        self.silence = 0.0
        self._due = time.monotonic() + ASK_SECONDS

    @property
    def is_silent(self) -> bool:
        """Whether it has been silent for so long that it should be told."""
        return self.silence > SILENT_SECONDS

    @property
    def is_hung(self) -> bool:
        """Whether it has been silent for too long."""
        if not self.is_silent:
            return False
        if self._used is None:
            self._used = self._processor_seconds()
        if self.silence > BUSY_SECONDS:
            return True
        watched = self.silence - SILENT_SECONDS
        done = self._processor_seconds() - self._used
        return self.silence > STILL_SECONDS and done < STILL_SHARE * watched

    def _processor_seconds(self) -> float:
        try:
            times = psutil.Process(self._pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)
