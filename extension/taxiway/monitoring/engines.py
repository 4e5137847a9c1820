"""Where the chunks of a large data set are profiled: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from taxiway.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")
Engine = Literal["local", "ray"]

_AHEAD = 2  # chunks a worker has waiting: what is done is taken in before more is begun


def mapped(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    engine: Engine = "local",
    processes: int = 1,
    address: str | None = None,
) -> Iterator[Result]:
    """Apply a function to every item and give the results as they come, in any order.

    No more than a few results wait at any time. When the caller stops, or is interrupted, what has been
    begun is ended.

    Parameters
    ----------
    processes
        Of the local engine; 1 is this process.
    address
        Of a running Ray cluster; None for the one of the environment (``RAY_ADDRESS``), or one that is
        started here and ends with this process.
    """
    if engine == "ray":
        return _on_ray(function, items, address)
    if engine != "local":
        raise InputError(f"There is no engine {engine!r}.", hint="Use local or ray.")
    if processes <= 1 or len(items) <= 1:
        return map(function, items)
    return _in_processes(function, items, min(processes, len(items)))


def _in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterator[Result]:
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

    # A fork would copy threads' locks: Arrow has threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_leave_interrupts)
    running: set[Future[Result]] = set()
    rest = iter(items)
    try:
        while True:
            while len(running) < _AHEAD * processes and (item := next(rest, None)) is not None:
                running.add(pool.submit(function, item))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()
    finally:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=not running, cancel_futures=True)
        if running:
            for worker in workers:
                worker.terminate()


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; only the first one is to act on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_ray(
    function: Callable[[Item], Result], items: Sequence[Item], address: str | None
) -> Iterator[Result]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before it is imported
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "Ray is not installed here.",
            hint="Install it: pip install 'taxiway[ray]'; or use --engine local.",
        ) from error
    started = not ray.is_initialized()
    if started:
        _connect(ray, address)
    remote: Any = ray.remote(_applied)  # Ray takes a function and no partial one
    shared = ray.put(function)
    running: list[Any] = []
    rest = iter(items)
    most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    try:
        while True:
            while len(running) < most and (item := next(rest, None)) is not None:
                running.append(remote.remote(shared, item))
            if not running:
                break
            done, running = ray.wait(running, num_returns=1)
            for one in done:
                yield _result(ray, one)
    finally:
        for one in running:
            ray.cancel(one, force=True)
        if started:
            ray.shutdown()


def _applied(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def _connect(ray: Any, address: str | None) -> None:
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
    except ValueError:
        # Of a cluster that runs already one may not say what it is to have.
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        raise InputError(
            f"There is no Ray cluster at {address}.",
            hint="Start one (`ray start --head`), or leave --address.",
        ) from error


def _result(ray: Any, reference: Any) -> Any:
    """Give a result, or raise what the function raised there."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
