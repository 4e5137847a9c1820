"""Which installed distributions a process uses, and the exact pins that serving needs."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from taxiway.errors import InputError, PackagingError

#: What ``taxiway.serving`` imports.
SERVING = ("numpy", "onnxruntime", "orjson", "uvicorn", "uvloop", "httptools")
#: What engines need beyond that.
ENGINES = (
    *("pandas", "scikit-learn", "skops", "tokenizers"),
    *("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
)

_HEADER = re.compile(r"^(Name|Version|Requires-Dist): *(.+?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution.

    Parameters
    ----------
    folders
        Where its modules lie: site-packages, or for an editable install the folders in development.
    origin
        The folder that it was installed from, if that is still there: conda's packages name one that was
        on another machine.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    folders: tuple[Path, ...]
    editable: bool
    origin: Path | None = None


@dataclass(frozen=True, slots=True)
class _Index:
    """All distributions by name, and those that hold each top-level module."""

    named: Mapping[str, Distribution]
    holders: Mapping[str, tuple[Distribution, ...]]


def imported() -> dict[str, str]:
    """Give name → version of every distribution that this process has imported a module of."""
    roots = {name.partition(".")[0] for name in tuple(sys.modules)}
    return _versions(one.name for root in roots for one in holders(root))


def needed_by(modules: Iterable[str]) -> dict[str, str]:
    """Give name → version of the distributions that hold ``modules``, and of all that those require."""
    return _versions(_closure(one.name for module in modules for one in holders(module)))


def unowned(modules: Iterable[str]) -> list[str]:
    """Give those of ``modules`` that no distribution holds: local files, or a notebook's own code."""
    roots = {module.partition(".")[0] for module in modules}
    return sorted(root for root in roots if root not in sys.stdlib_module_names and not holders(root))


def holders(module: str) -> tuple[Distribution, ...]:
    """Give the distributions that a module comes from: none for a local file, even of the same name."""
    root = module.partition(".")[0]
    if root in sys.stdlib_module_names:
        return ()
    file = getattr(sys.modules.get(root), "__file__", None)
    if file is None:
        return _index().holders.get(root, ())
    path, resolved = Path(file), Path(file).resolve()
    declared = _index().holders.get(root, ())
    found = tuple(one for one in declared if any(map(path.is_relative_to, one.folders)))
    if found or "site-packages" in path.parts:
        return found or declared
    editables = (one for one in _index().named.values() if one.editable)
    return tuple(one for one in editables if any(map(resolved.is_relative_to, one.folders)))


def editable(names: Iterable[str]) -> list[str]:
    """Give those distributions that are installed from a folder in development."""
    return sorted(one.name for name in names if (one := _find(name)) is not None and one.editable)


def private(one: Distribution) -> bool:
    """Whether it is the user's own: its name on an index, if it is there, would be another's."""
    return one.editable or (one.origin is not None and one.name not in expected())


def installed(names: Iterable[str]) -> dict[str, str]:
    """Give name → version for those of ``names`` that are installed."""
    return _versions(names)


def declared(requires: Iterable[str]) -> dict[str, str]:
    """Give name → version of what a model's author said that its code needs, and of all that those require.

    Parameters
    ----------
    requires
        Names of distributions, each with or without a version: ``"lifelines"``, ``"lifelines>=0.29"``.

    Raises
    ------
    InputError
        One of them is not installed here, or in another version.
    """
    found = []
    for line in (requires,) if isinstance(requires, str) else requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            raise InputError(
                f"requires has {line!r}, which names no distribution.",
                hint="Write it as pip takes it, such as 'lifelines' or 'lifelines>=0.29'.",
            ) from error
        one = _find(requirement.name)
        if one is None:
            holds = [holder.name for holder in holders(requirement.name)]
            raise InputError(
                f"requires has {line!r}, which is not installed here.",
                hint=f"The module comes from {holds[0]!r}: name that."
                if holds
                else f"Mend the name, or install it: pip install {line!r}.",
            )
        if not requirement.specifier.contains(one.version, prereleases=True):
            raise InputError(
                f"requires has {line!r}, and here is {one.name} {one.version}.",
                hint="Package the model where it was made, or mend the version.",
            )
        found.append(one.name)
    return _versions(_closure(found))


def pins(names: Iterable[str] = SERVING) -> list[str]:
    """Give ``name==version`` for each of ``names`` and all that they require, as installed here.

    What is installed from a folder is left out, for no index has it; what it requires is not.

    Raises
    ------
    PackagingError
        One of them is not installed.
    """
    names = set(names)
    missing = sorted(canonicalize_name(name) for name in names if _find(name) is None)
    if missing:
        raise PackagingError(
            f"{', '.join(missing)} must be installed to package a model.",
            hint=f"pip install {' '.join(missing)}",
        )
    found = [one for name in sorted(_closure(names)) if (one := _find(name)) is not None]
    return [f"{one.name}=={one.version}" for one in found if not private(one)]


def expected() -> frozenset[str]:
    """Name what may be pinned for serving: what engines need, and what that requires as installed here."""
    return frozenset(_closure((*SERVING, *ENGINES)))


def _find(name: str) -> Distribution | None:
    return _index().named.get(canonicalize_name(name))


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {one.name: one.version for name in names if (one := _find(name)) is not None}
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
        one = _find(name)
        for line in one.requires if one is not None else ():
            required = _required(line)
            if required is not None:
                todo.append(required)
    return seen


@lru_cache(maxsize=4096)
def _required(line: str) -> str | None:
    """Give the name that a Requires-Dist line asks for here, None if it does not apply."""
    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
    return str(canonicalize_name(requirement.name))


def _index() -> _Index:
    stamps = []
    for entry in sys.path:
        try:
            stamps.append((entry, Path(entry or ".").stat().st_mtime_ns))
        except OSError:
            continue
    return _read(tuple(stamps))


@lru_cache(maxsize=1)
def _read(_stamps: tuple[tuple[str, int], ...]) -> _Index:
    """Read what is installed, again only after an installation: a tenth of what importlib.metadata takes."""
    named: dict[str, Distribution] = {}
    held: defaultdict[str, list[Distribution]] = defaultdict(list)
    for found in metadata.distributions():
        text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
        fields = _HEADER.findall(text.partition("\n\n")[0])
        facts = dict(fields)
        name = canonicalize_name(facts.get("Name", ""))
        if not name or name in named or "Version" not in facts:
            continue  # the first on the path is the one that is imported
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        sources = _sources(found, origin)
        one = Distribution(
            name,
            facts["Version"],
            tuple(value for field, value in fields if field == "Requires-Dist"),
            sources or (Path(str(found.locate_file(""))),),
            bool(sources),
            _folder(origin),
        )
        named[name] = one
        for module in set(_modules(found)):
            held[module].append(one)
    return _Index(named, {module: tuple(holding) for module, holding in held.items()})


def _folder(origin: Mapping[str, Any]) -> Path | None:
    """Give the folder that direct_url.json names, if it is one and is there."""
    if "dir_info" not in origin:
        return None
    folder = Path(url2pathname(urlsplit(origin["url"]).path))
    return folder.resolve() if folder.is_dir() else None


def _sources(found: metadata.Distribution, origin: Mapping[str, Any]) -> tuple[Path, ...]:
    """Give the folders of an editable install: those its .pth file names, else the whole project's."""
    if not origin.get("dir_info", {}).get("editable"):
        return ()
    folders = []
    for line in (found.read_text("RECORD") or "").splitlines():
        name = line.partition(",")[0]
        if name.endswith(".pth"):
            text = Path(str(found.locate_file(name))).read_text(encoding="utf-8")
            folders += [Path(entry).resolve() for entry in text.splitlines() if Path(entry).is_dir()]
    return tuple(folders) or (Path(url2pathname(urlsplit(origin["url"]).path)).resolve(),)


def _modules(found: metadata.Distribution) -> Iterator[str]:
    """Give the top-level modules of a distribution: as it declares them, else as its files are named."""
    declared = (found.read_text("top_level.txt") or "").split()
    if declared:
        yield from declared
        return
    for line in (found.read_text("RECORD") or "").splitlines():
        first, slash, _ = line.partition(",")[0].partition("/")
        name = first if slash else first.partition(".")[0]
        if name.isidentifier() and (slash or first.endswith((".py", ".so", ".pyd"))):
            yield name
