"""What there is of an endpoint, read from its folder and its processes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache, partial

import psutil

from taxiway.backends import Observation, Status
from taxiway.errors import CorruptionError
from taxiway_backends.local.orphans import find_orphans
from taxiway_backends.local.rundir import RunDir
from taxiway_backends.local.spec import Spec


def observe(directory: RunDir) -> Observation:
    """Look at an endpoint: by its master's status if it has a master, else by what runs."""
    seen = partial(
        Observation, time=datetime.now(UTC), spool=directory.spool if directory.spool.is_dir() else None
    )
    try:
        spec = directory.read_spec()
    except CorruptionError as error:
        return seen(Status.UNKNOWN, native="torn", reason=error.message)
    if spec is None or spec.wanted == "destroyed":
        return seen(Status.ABSENT, native="absent")
    master = directory.master_pid()
    if spec.wanted == "stopped":
        if master is not None:
            return seen(Status.STOPPING, native="stopping", reason="The endpoint is being stopped.")
        return seen(Status.ABSENT, native="stopped", reason="The endpoint was stopped.")
    if master is None:
        return _without_master(directory, spec, seen)
    if _is_still(master):
        reason = f"The master (process {master}) is frozen, and cannot say how it is."
        return seen(Status.UNKNOWN, native="frozen", reason=reason, url=spec.url)
    status = directory.read_status()
    if status.get("pid") != master:
        return seen(Status.PENDING, native="starting", reason="The master is starting.", url=spec.url)
    if status["revision"] == spec.revision:
        state, reason = Status(status["status"]), status["reason"]
    else:
        state, reason = Status.PENDING, "The last change has not been taken up yet."
    return seen(
        state,
        native=status["status"],
        reason=reason,
        url=spec.url,
        live=status["live"],
        shadow=status["shadow"],
        notes=tuple(status.get("notes", ())),
        replicas=sum(worker["role"] == "live" for worker in status["workers"]),
    )


def _is_still(pid: int) -> bool:
    try:
        return bool(_process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


_process = lru_cache(maxsize=64)(psutil.Process)  # of whose making, half is to find out when it was started


def _without_master(directory: RunDir, spec: Spec, seen: partial[Observation]) -> Observation:
    orphans = [one for one in find_orphans(directory.spool) if one.role == "live" and one.alive]
    if orphans:
        return seen(
            Status.DEGRADED,
            native="orphaned",
            reason="The master is gone; its serving processes go on. Apply again to take them over.",
            url=spec.url,
            live=orphans[0].model,
            replicas=len(orphans),
        )
    status = directory.read_status()
    reason = "The master is gone, and nothing serves. Apply again to start it."
    if status.get("status") == "FAILED":
        reason = status["reason"]
    return seen(Status.FAILED, native="dead", reason=reason, url=spec.url)
