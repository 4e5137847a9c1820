"""How long answers take: the sizes that are timed, the budget, and the timing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import cycle

#: What one row may take at the 99th percentile unless ``package`` was told otherwise, in milliseconds.
LATENCY_MS = 100.0
MANY_ROWS = 100
_WARM_UPS = 3
_FEWEST = 10
_MOST = 200


def times(asks: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Ask in turn, some ten times at least and then for as long as is given; give the seconds of each.

    Parameters
    ----------
    asks
        What is called, one after the other and then again from the first.
    seconds
        How long to go on.
    """
    taken: list[float] = []
    begun = time.perf_counter()
    for number, ask in enumerate(cycle(asks)):
        start = time.perf_counter()
        ask()
        end = time.perf_counter()
        if number >= _WARM_UPS:
            taken.append(end - start)
        if len(taken) == _MOST or (len(taken) >= _FEWEST and end - begun > seconds):
            break
    return taken
