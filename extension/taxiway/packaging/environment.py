"""The environment contract: what a Model was made with, and whether here is the same.

No environment variable's value is recorded but PYTHONHASHSEED's.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from taxiway.packaging import distributions, hardware, sources
from taxiway.packaging.git import Tree, tree_of

Verdict = Literal["same", "compatible", "differs"]

_MOST_NAMED = 5
#: Virtual machines of one size differ by less in what they call their memory.
_MEMORY_TOLERANCE = 0.01


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

    @property
    def serious(self) -> tuple[Difference, ...]:
        """What makes them different."""
        return tuple(difference for difference in self.differences if difference.serious)

    def sentence(self) -> str:
        """Say the verdict in one line, with the first serious differences, or else the first of all."""
        shown = self.serious or self.differences
        more = len(shown) - _MOST_NAMED
        text = "; ".join(map(str, shown[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
        return f"{self.verdict}: {text}" if text else self.verdict

    def __str__(self) -> str:
        return "\n".join([self.verdict, *map(str, self.differences)])


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and with what a Model was made.

    Parameters
    ----------
    cpu_flags
        The CPU's flags as Linux names them; empty on other systems.
    gpus
        Name and memory of each NVIDIA GPU.
    cuda
        Versions of the driver, of CUDA, and what PyTorch and ONNX Runtime were built with, as far as there.
    needed
        Distribution → version, for what the model's code needs.
    imported
        Distribution → version, for all else that the process had imported.
    local
        Modules of the model that no distribution holds; their source goes along.
    loose
        Module of the model → why its source does not go along.
    editable
        Needed distributions that are installed from a folder in development.
    trees
        Local module → the git work tree it lies in.
    seeds
        The random seeds in force.
    """

    python: str
    platform: str
    machine: str
    cpus: int
    cpu_flags: tuple[str, ...]
    memory_bytes: int
    gpus: tuple[str, ...]
    cuda: Mapping[str, str]
    needed: Mapping[str, str]
    imported: Mapping[str, str]
    local: tuple[str, ...] = ()
    loose: Mapping[str, str] = field(default_factory=dict)
    editable: tuple[str, ...] = ()
    trees: Mapping[str, Tree] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form that ``read`` reads."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> Environment:
        """Read what was written from ``to_dict``."""
        body = json.loads(path.read_text(encoding="utf-8"))
        for name in ("cpu_flags", "gpus", "local", "editable"):
            body[name] = tuple(body[name])
        body["trees"] = {name: Tree(**tree) for name, tree in body["trees"].items()}
        return cls(**body)

    def compare(self, other: Environment) -> Comparison:
        """Compare what is recorded here with ``other``.

        Serious is another minor version of Python or of a needed distribution, a needed distribution
        that is missing, and another machine architecture; all else that differs is compatible. Other
        imported distributions count only where both have them.
        """
        found = [*_versions("python", self.python, other.python), *self._machines(other)]
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

    def _machines(self, other: Environment) -> Iterator[Difference]:
        for name in ("machine", "platform", "cpus", "gpus"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                yield Difference(name, _shown(ours), _shown(theirs), name == "machine")
        if abs(self.memory_bytes - other.memory_bytes) > _MEMORY_TOLERANCE * self.memory_bytes:
            yield Difference("memory_bytes", str(self.memory_bytes), str(other.memory_bytes), False)
        ours, theirs = (hardware.KERNEL_FLAGS.intersection(one.cpu_flags) for one in (self, other))
        if ours != theirs and self.cpu_flags and other.cpu_flags:
            yield Difference("cpu_flags", _shown(sorted(ours - theirs)), _shown(sorted(theirs - ours)), False)
        for name in {**self.cuda, **other.cuda}:
            one, two = self.cuda.get(name), other.cuda.get(name)
            # what PyTorch was built with is known only where PyTorch is imported
            if one != two and ((one and two) or " of " not in name):
                yield Difference(name, one or "none", two or "none", False)


def record(
    modules: Iterable[str],
    seeds: Mapping[str, Any],
    *,
    needed: Iterable[str] = (),
    declared: Iterable[str] = (),
) -> Environment:
    """Record this process.

    Parameters
    ----------
    modules
        Modules that the model's classes and functions are defined in.
    seeds
        From ``taxiway.packaging.seeds.in_force``.
    needed
        Names of further distributions to count as needed, as far as they are installed.
    declared
        What the model's author said that it needs: each must be installed.

    Raises
    ------
    InputError
        What was declared is not installed.
    PackagingError
        The model's local modules are too large to go along.
    """
    import psutil

    modules = frozenset(modules)
    own = sources.follow(modules)
    used = {
        **distributions.needed_by(modules | own.imports),
        **distributions.declared(declared),
        **distributions.installed(needed),
    }
    others = {name: version for name, version in distributions.imported().items() if name not in used}
    trees = {name: tree_of(folder) for name, folder in sorted(own.folders.items())}
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        cpu_flags=hardware.cpu_flags(),
        memory_bytes=int(psutil.virtual_memory().total),
        gpus=hardware.gpus(),
        cuda=hardware.cuda(),
        needed=dict(sorted(used.items())),
        imported=others,
        local=tuple(own.folders),
        loose=dict(sorted(own.loose.items())),
        editable=tuple(distributions.editable(used)),
        trees={name: tree for name, tree in trees.items() if tree is not None},
        seeds=dict(seeds),
    )


def hash_seed() -> str:
    """Give PYTHONHASHSEED, or ``random`` where it is not set."""
    return os.environ.get("PYTHONHASHSEED") or "random"


def _versions(name: str, recorded: str, here: str | None) -> Iterator[Difference]:
    if here is None:
        yield Difference(name, recorded, "not installed", True)
    elif here != recorded:
        yield Difference(name, recorded, here, recorded.split(".")[:2] != here.split(".")[:2])


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
