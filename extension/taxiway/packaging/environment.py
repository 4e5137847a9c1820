"""The environment contract: what a Model was made with, and whether here is the same.

No environment variable's value is recorded but PYTHONHASHSEED's.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from taxiway.packaging import distributions

Verdict = Literal["same", "compatible", "differs"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was; ``serious`` if it may change what the model answers."""

    name: str
    recorded: str
    here: str
    serious: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.recorded} → {self.here}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two environments: the same; compatible (nothing serious differs); or different."""

    verdict: Verdict
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        return "\n".join([self.verdict, *map(str, self.differences)])


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and with what a Model was made.

    Parameters
    ----------
    needed
        Distribution → version, for what the model's code needs.
    imported
        Distribution → version, for all else that the process had imported.
    local
        Modules of the model that no distribution holds.
    editable
        Needed distributions that are installed from a folder in development.
    """

    python: str
    platform: str
    machine: str
    cpus: int
    memory_bytes: int
    gpus: tuple[str, ...]
    needed: Mapping[str, str]
    imported: Mapping[str, str]
    local: tuple[str, ...] = ()
    editable: tuple[str, ...] = ()
    seeds: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form that ``read`` reads."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> Environment:
        """Read what was written from ``to_dict``."""
        body = json.loads(path.read_text(encoding="utf-8"))
        for name in ("gpus", "local", "editable"):
            body[name] = tuple(body[name])
        return cls(**body)

    def compare(self, other: Environment) -> Comparison:
        """Compare what is recorded here with ``other``.

        Serious is another minor version of Python or of a needed distribution, a needed distribution
        that is missing, and another machine architecture; all else that differs is compatible. Other
        imported distributions count only where both have them.
        """
        found = list(_versions("python", self.python, other.python))
        for name in ("machine", "platform", "cpus", "memory_bytes", "gpus"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                found.append(Difference(name, _shown(ours), _shown(theirs), name == "machine"))
        theirs = {**other.imported, **other.needed}
        for name, version in self.needed.items():
            found.extend(_versions(name, version, theirs.get(name)))
        for name, version in self.imported.items():
            if theirs.get(name, version) != version:
                found.append(Difference(name, version, theirs[name], False))
        ours_hash, theirs_hash = (one.seeds.get("PYTHONHASHSEED", "random") for one in (self, other))
        if ours_hash != theirs_hash:
            found.append(Difference("PYTHONHASHSEED", ours_hash, theirs_hash, False))
        serious = any(difference.serious for difference in found)
        return Comparison("differs" if serious else "compatible" if found else "same", tuple(found))


def record(modules: Iterable[str], seeds: Mapping[str, Any], *, needed: Iterable[str] = ()) -> Environment:
    """Record this process.

    Parameters
    ----------
    modules
        Top-level modules that the model's code comes from.
    seeds
        From ``taxiway.packaging.seeds.in_force``.
    needed
        Names of further distributions to count as needed, as far as they are installed.
    """
    import psutil

    modules = frozenset(modules)
    used = {**distributions.needed_by(modules), **distributions.installed(needed)}
    others = {name: version for name, version in distributions.imported().items() if name not in used}
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
        gpus=_gpus(),
        needed=dict(sorted(used.items())),
        imported=others,
        local=tuple(distributions.unowned(modules)),
        editable=tuple(distributions.editable(used)),
        seeds=dict(seeds),
    )


def hash_seed() -> str:
    """Give PYTHONHASHSEED, or ``random`` where it is not set."""
    return os.environ.get("PYTHONHASHSEED") or "random"


def _versions(name: str, recorded: str, here: str | None) -> Iterable[Difference]:
    if here is None:
        yield Difference(name, recorded, "not installed", True)
    elif here != recorded:
        yield Difference(name, recorded, here, recorded.split(".")[:2] != here.split(".")[:2])


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _gpus() -> tuple[str, ...]:
    """Give name, driver and memory of each NVIDIA GPU, as nvidia-smi says."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.splitlines() if line.strip())
