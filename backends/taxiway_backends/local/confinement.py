"""What a serving process may use of the machine: a control group where one can be made, else less.

Without a control group, memory is limited as the process's private data (``RLIMIT_DATA``), and cores by
binding it to as many as there are, rounded up.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taxiway.backends import Resources

PERIOD_MICROSECONDS = 100_000


@dataclass(slots=True)
class Confinement:
    """What holds one process.

    Attributes
    ----------
    words
        What is limited, and how; a sentence for each.
    group
        Its control group.
    """

    words: tuple[str, ...] = ()
    group: Path | None = None

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended it because it wanted more memory."""
        if self.group is None:
            return False
        with contextlib.suppress(OSError, ValueError):
            events = dict(
                line.split() for line in (self.group / "memory.events").read_text().splitlines() if line
            )
            return int(events.get("oom_kill", 0)) > 0
        return False

    def release(self) -> None:
        """Remove the control group of a process that is gone."""
        if self.group is not None:
            with contextlib.suppress(OSError):
                self.group.rmdir()


@dataclass(slots=True)
class Confiner:
    """Confines an endpoint's processes.

    Parameters
    ----------
    folder
        The endpoint's, of which the control groups have their names.
    parents
        The control groups (version 2) under which one may be made, the best first.
    """

    folder: Path
    parents: Sequence[Path] = field(default_factory=lambda: own_groups())
    _made: int = 0

    def __post_init__(self) -> None:
        # What a killed master left; one that still holds a process cannot be removed.
        for parent in self.parents:
            with contextlib.suppress(OSError):
                for left in parent.glob(f"{self._prefix}*"):
                    Confinement(group=left).release()

    @property
    def _prefix(self) -> str:
        return f"taxiway-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]}-"

    def confine(self, pid: int, limits: Resources) -> Confinement:
        """Hold a process that has just been started to its limits."""
        if limits == Resources():
            return Confinement()
        for parent in self.parents:
            group = parent / f"{self._prefix}{pid}"
            try:
                _fill(group, pid, limits)
            except OSError:
                with contextlib.suppress(OSError):
                    group.rmdir()
                continue
            return Confinement(_words(limits, "by its control group"), group)
        self._made += 1
        return Confinement(_bound(pid, limits, self._made))


def can_limit() -> bool:
    """Tell whether processes can be limited on this system at all."""
    return hasattr(resource, "prlimit") or bool(own_groups())


def own_groups(
    mounts: Path = Path("/proc/self/mountinfo"), membership: Path = Path("/proc/self/cgroup")
) -> list[Path]:
    """List the control groups that this process may be able to divide: those above it, then its own."""
    try:
        root = next(
            Path(line.split()[4])
            for line in mounts.read_text().splitlines()
            if line.partition(" - ")[2].startswith("cgroup2 ")
        )
        own = next(
            line.removeprefix("0::/")
            for line in membership.read_text().splitlines()
            if line.startswith("0::")
        )
    except (OSError, StopIteration):
        return []
    # A group that has processes of its own cannot be divided, so its parent comes first.
    groups = [root / own, *(root / own).parents]
    groups = [group for group in groups if group == root or root in group.parents]
    return [group for group in [*groups[1:], groups[0]] if os.access(group, os.W_OK)]


def _fill(group: Path, pid: int, limits: Resources) -> None:
    """Make a control group with limits and put a process into it; OSError where that is not allowed."""
    wanted = {"cpu": limits.cpus is not None, "memory": limits.memory_bytes is not None}
    given = (group.parent / "cgroup.subtree_control").read_text().split()
    if lacking := [name for name, needed in wanted.items() if needed and name not in given]:
        (group.parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in lacking))
    group.mkdir()
    if limits.cpus is not None:
        quota = max(1000, round(limits.cpus * PERIOD_MICROSECONDS))
        (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
    if limits.memory_bytes is not None:
        (group / "memory.max").write_text(str(limits.memory_bytes))
        with contextlib.suppress(OSError):  # there is no swap
            (group / "memory.swap.max").write_text("0")
    (group / "cgroup.procs").write_text(str(pid))


def _bound(pid: int, limits: Resources, number: int) -> tuple[str, ...]:
    words: list[str] = []
    with contextlib.suppress(ProcessLookupError):
        if limits.memory_bytes is not None and hasattr(resource, "prlimit"):
            resource.prlimit(pid, resource.RLIMIT_DATA, (limits.memory_bytes, limits.memory_bytes))
            words += _words(Resources(memory_bytes=limits.memory_bytes), "by its resource limit (data)")
        if limits.cpus is not None and hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            count = min(len(cores), math.ceil(limits.cpus))
            # Side by side, so that several processes are not on the same cores.
            first = number * count
            os.sched_setaffinity(pid, {cores[(first + more) % len(cores)] for more in range(count)})
            words += _words(Resources(cpus=count), "by binding it to them")
    return tuple(words) or ("Limits cannot be kept on this system.",)


def _words(limits: Resources, how: str) -> tuple[str, ...]:
    words = []
    if limits.memory_bytes is not None:
        words.append(f"Each process may use {limits.memory_bytes / 2**20:.0f} MiB of memory, {how}.")
    if limits.cpus is not None:
        words.append(f"Each process may use {limits.cpus:g} cores, {how}.")
    return tuple(words)
