"""``taxiway.serving`` that notes the time which the log takes of its requests.

Takes the same arguments as ``python -m taxiway.serving``, and keeps the nanoseconds and the rows so far in
the file that ``BENCH_LOG_COST`` names. The difference of two servers, with the log and without it, would be
that of two figures ten times as large, and drown in what else the machine does. The clock is the one that
costs no system call: that of processor time would, three times a row, and take as long as the log.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from taxiway.serving import __main__
from taxiway.serving.predictor import Predictor

_EVERY = 1000


def _measured() -> None:
    write, clock, note = Predictor._write_row, time.perf_counter_ns, Path(os.environ["BENCH_LOG_COST"])
    rows = spent = 0

    def write_and_note(self: Predictor, *row: Any) -> None:
        nonlocal rows, spent
        before, begun = clock(), clock()
        write(self, *row)
        # Less what it takes to look at the clock, in the same place.
        spent += clock() - begun - (begun - before)
        rows += 1
        if rows % _EVERY == 0:
            note.write_text(f"{spent} {rows}")

    Predictor._write_row = write_and_note  # type: ignore[method-assign]


if __name__ == "__main__":
    _measured()
    sys.exit(__main__.main())
