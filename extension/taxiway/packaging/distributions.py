"""Which installed distributions a process uses, and the exact pins that serving needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from taxiway.errors import PackagingError

#: What ``taxiway.serving`` imports.
SERVING = ("numpy", "onnxruntime", "orjson", "uvicorn", "uvloop", "httptools")


def imported() -> dict[str, str]:
    """Give name → version of every distribution that this process has imported a module of."""
    loaded = {name.partition(".")[0] for name in tuple(sys.modules)}
    names = {name for root in loaded for name in _owners().get(root, ())}
    return _versions(names)


def needed_by(modules: Iterable[str]) -> dict[str, str]:
    """Give name → version of the distributions that hold ``modules``, and of all that those require."""
    return _versions(_closure({name for module in modules for name in _owners().get(module, ())}))


def unowned(modules: Iterable[str]) -> list[str]:
    """Give those of ``modules`` that no distribution holds: local files, or a notebook's own code."""
    return sorted(
        module for module in modules if module not in _owners() and module not in sys.stdlib_module_names
    )


def editable(names: Iterable[str]) -> list[str]:
    """Give those distributions that are installed from a folder in development."""
    found = []
    for name in names:
        origin = metadata.distribution(name).read_text("direct_url.json")
        if origin and json.loads(origin).get("dir_info", {}).get("editable"):
            found.append(name)
    return sorted(found)


def pins(names: Iterable[str] = SERVING) -> list[str]:
    """Give ``name==version`` for each of ``names`` and all that they require, as installed here.

    Raises
    ------
    PackagingError
        One of them is not installed.
    """
    names = set(names)
    versions = _versions(_closure(names))
    missing = sorted(canonicalize_name(name) for name in names if canonicalize_name(name) not in versions)
    if missing:
        raise PackagingError(
            f"{', '.join(missing)} must be installed to package a model.",
            hint=f"pip install {' '.join(missing)}",
        )
    return [f"{name}=={version}" for name, version in versions.items()]


@cache
def _owners() -> dict[str, tuple[str, ...]]:
    # reading every distribution's list of files takes a second, and does not change within a process
    return {module: tuple(names) for module, names in metadata.packages_distributions().items()}


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[canonicalize_name(name)] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def _closure(names: Iterable[str]) -> set[str]:
    """Follow what is required without extras, as far as it is installed."""
    seen: set[str] = set()
    todo = [str(canonicalize_name(name)) for name in names]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            required = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        for line in required:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(str(canonicalize_name(requirement.name)))
    return seen


def installed(names: Iterable[str]) -> dict[str, str]:
    """Give name → version for those of ``names`` that are installed."""
    return _versions(names)
