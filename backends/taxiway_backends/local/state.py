"""What a master's endpoint is like, in the words of the back end protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taxiway_backends.local.pool import Pool

if TYPE_CHECKING:
    from taxiway_backends.local.master import Master

HOPEFUL_FAILURES = 2


def describe_state(master: Master) -> dict[str, Any]:
    """Give the status file's content, but for the master's own identity."""
    spec, serving, shadow = master.spec, master.serving, master.shadow
    status, reason = _live(master)
    if status == "READY" and _mixed(master):
        status, reason = "PENDING", "A serving process that leaves may still take connections."
    if status == "READY" and master.baking.refused is not None:
        status, reason = "DEGRADED", master.baking.refused.fault
    if status == "READY" and serving is not None and serving.silent:
        status, reason = "DEGRADED", _does_not_answer("", serving)
    if status == "READY" and shadow is not None and shadow.failing and not shadow.complete:
        status, reason = "DEGRADED", _does_not_stay("The shadow ", shadow)
    if status == "READY" and shadow is not None and shadow.silent:
        status, reason = "DEGRADED", _does_not_answer("The shadow ", shadow)
    live = serving.definition.model.tag if serving is not None and serving.accepting else _of_orphans(master)
    pools = [serving, master.incoming, master.aside, shadow, *master.leaving]
    workers = [worker.describe() for pool in pools if pool is not None for worker in pool.workers]
    workers += [
        {
            "pid": orphan.process.pid,
            "create_time": orphan.process.create_time(),
            "role": "orphan",
            "model": orphan.model,
        }
        for orphan in master.orphans
        if orphan.alive
    ]
    return {
        "status": status,
        "reason": reason,
        "url": spec.url,
        "port": spec.port,
        "live": live,
        "shadow": shadow.definition.model.tag if shadow is not None and shadow.accepting else None,
        "workers": workers,
        "revision": spec.revision,
        "notes": _notes(master),
    }


def _mixed(master: Master) -> bool:
    """Whether a new connection may get a Model, or policies, that are no longer wanted."""
    pools = [master.aside, *master.leaving]
    return any(
        worker.open and worker.definition.role == "live" for pool in pools if pool for worker in pool.workers
    )


def _notes(master: Master) -> list[str]:
    notes: list[str] = []
    watch = master.baking.watching
    if watch is not None:
        notes.append(f"{watch.model.tag} is watched; {watch.before.tag} is kept ready to serve again.")
    for worker in master.serving.workers[:1] if master.serving is not None else []:
        notes += [*worker.confinement.words, *filter(None, [worker.place.words])]
    return notes


def _live(master: Master) -> tuple[str, str]:
    serving, incoming = master.serving, master.incoming
    old = serving.definition.model.tag if serving is not None and serving.accepting else _of_orphans(master)
    if incoming is not None:
        tag = incoming.definition.model.tag
        keeps = f" {old} keeps serving." if old else ""
        if not incoming.failing:
            return "PENDING", f"{tag} is starting.{keeps}"
        reason = _does_not_stay("", incoming) + keeps
        if old:
            return "DEGRADED", reason
        lost = incoming.hopeless or incoming.failures > HOPEFUL_FAILURES
        return ("FAILED" if lost else "PENDING"), reason
    if serving is None:
        return "PENDING", "Nothing runs yet."
    if serving.complete and serving.failures <= HOPEFUL_FAILURES:
        return "READY", ""
    if not serving.failing:
        return "PENDING", f"Of {serving.size} serving processes {len(serving.accepting)} accept."
    return "DEGRADED", _does_not_stay("", serving)


def _does_not_stay(who: str, pool: Pool) -> str:
    times = f" ({pool.failures} times in a row)" if pool.failures > 1 else ""
    return f"{who}{pool.definition.model.tag} does not stay up{times}: {pool.reason.rstrip('.')}."


def _does_not_answer(who: str, pool: Pool) -> str:
    pids = ", ".join(str(worker.pid) for worker in pool.silent)
    tag = pool.definition.model.tag
    return f"{who}{tag} does not answer (process {pids}); it is started again if that goes on."


def _of_orphans(master: Master) -> str | None:
    for orphan in master.orphans:
        if orphan.role == "live" and orphan.alive:
            return orphan.model
    return None
