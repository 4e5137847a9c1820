"""What a process finds out by the Model's sample before it is ready: threads that pay, and batches that do.

Each is measured on this very machine, and whatever will be run was run once before: on a GPU the first run
of a new number of rows takes longest.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from taxiway.serving.agreement import agree
from taxiway.serving.engines.hardware import processors
from taxiway.serving.runtime import Runtime

#: Threads that answer large requests side by side.
MOST_SIDE_BY_SIDE = 4
ROWS = 32
WAIT_MS = 2.0

#: A model below this many milliseconds a row is answered sooner alone than handed to another thread.
_SMALL_MS = 1.0
#: Beyond that, threads wait for each other and for memory.
_MOST_THREADS = 16
#: More threads, or batches, must give this many times as many rows a second.
_PAYS = 1.5
#: Milliseconds that a trial of a batch may take, unless the model is so slow that few rows take as long.
_TRIAL_MS = 1000.0
_ROWS_COMPARED = 4

_log = logging.getLogger(__name__)


class Batching(NamedTuple):
    """How requests are joined.

    Parameters
    ----------
    rows
        The most rows of one run; below 2 nothing is joined. None lets the sample decide.
    wait_ms
        The longest that a run waits for requests that are expected.
    """

    rows: int | None = None
    wait_ms: float = WAIT_MS


def tune(runtime: Runtime, threads: int | None = None, batching: Batching | None = None) -> None:
    """Choose what was not chosen, and warm up.

    Parameters
    ----------
    runtime
        The Model, its sample checked.
    threads
        What was asked for; where None, a large model gets as many as it is faster with.
    batching
        What was asked for.
    """
    batching = batching or Batching()
    runtime.batch_wait = batching.wait_ms / 1e3
    if not runtime.sample["records"]:
        runtime.batch_rows = _asked(batching)
        return
    if threads is None and runtime.device == "cpu":
        _choose_threads(runtime)
    rows = _asked(batching) if batching.rows is not None else _rows_that_pay(runtime)
    if rows and not _rows_are_independent(runtime, rows):
        _log.warning("requests are not joined: the model answers a row otherwise when others are beside it")
        rows = 0
    if rows:
        _warm_up(runtime, rows)
    runtime.batch_rows = rows
    _log.info(
        "%s runs on %s, %d threads, %.3g ms a row, %s",
        runtime.tag,
        runtime.device,
        runtime.threads,
        runtime.milliseconds_a_row,
        f"requests joined up to {rows} rows" if rows else "requests not joined",
    )


def _asked(batching: Batching) -> int:
    return 0 if batching.rows is None or batching.rows < 2 else batching.rows


def _choose_threads(runtime: Runtime) -> None:
    """Give a large model all processors if it is faster with them."""
    alone, many = runtime.milliseconds_a_row, min(processors(), _MOST_THREADS)
    if alone < _SMALL_MS or many < 2:
        return
    runtime.rethread(many)
    if alone < _PAYS * runtime.milliseconds_a_row:
        runtime.rethread(1)


def _rows_that_pay(runtime: Runtime) -> int:
    """Give ``ROWS`` where they take much less time together than one by one, else 0."""
    if runtime.device != "cpu":
        return ROWS
    alone = runtime.milliseconds_a_row
    if alone < _SMALL_MS:
        return 0
    # without batches, requests run side by side on processors that one run leaves free
    side_by_side = max(1, min(MOST_SIDE_BY_SIDE, processors()) // runtime.threads)
    rows = min(ROWS, max(4 * side_by_side, int(_TRIAL_MS / alone)))
    repeats = 3 if rows * alone < _TRIAL_MS else 1
    gain = rows * alone / runtime.time(rows, repeats) / side_by_side
    return ROWS if gain >= _PAYS else 0


def _rows_are_independent(runtime: Runtime, rows: int) -> bool:
    compared = min(rows, _ROWS_COMPARED)
    columns = runtime.sample_columns(compared)
    together = runtime.predict(columns)
    for row in range(compared):
        alone = runtime.predict({name: [values[row]] for name, values in columns.items()})
        for name, values in together.items():
            if len(values) != compared or not agree(alone[name][0], values[row]):
                return False
    return True


def _warm_up(runtime: Runtime, rows: int) -> None:
    """Run every power of two up to a whole batch; on a CPU, where sizes are alike, only that."""
    sizes = {rows} if runtime.device == "cpu" else {rows, *(2**n for n in range(rows.bit_length()))}
    for size in sorted(size for size in sizes if size <= rows):
        runtime.time(size, repeats=1)
