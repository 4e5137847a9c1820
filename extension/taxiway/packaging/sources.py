"""The source of a model's own modules: code that no released distribution holds goes along with the Model.

What is found is what the process has imported: from the modules of the model's classes on, along their
own import statements, as far as these name local modules. Nothing is imported or run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from taxiway.errors import PackagingError
from taxiway.packaging import distributions

#: More than this is data, or somebody else's code.
MOST_BYTES = 5 * 2**20
MOST_FILES = 1_000
_OWN = frozenset(("taxiway", "taxiway_backends"))


@dataclass(slots=True)
class Sources:
    """Local modules and their files.

    Parameters
    ----------
    files
        Path as Python would import it, such as ``features/text.py`` → the file.
    folders
        Top-level module → the folder that holds it.
    imports
        Other top-level modules that the files import: where they come from is for the caller to find.
    loose
        Module → why its source cannot go along.
    """

    files: dict[str, Path] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    loose: dict[str, str] = field(default_factory=dict)


def collect(modules: Iterable[str]) -> dict[str, bytes]:
    """Give relative path → content of the local modules among ``modules``, and of those they import.

    Parameters
    ----------
    modules
        Names of the modules that the model's classes and functions are defined in. A bare package stands
        for all of it that was imported; ``package.module`` for that module and what it imports.

    Raises
    ------
    PackagingError
        They are too large to go along.
    """
    return {name: path.read_bytes() for name, path in sorted(follow(modules).files.items())}


def follow(modules: Iterable[str]) -> Sources:
    """Find the local modules, without reading more than their import statements.

    Raises
    ------
    PackagingError
        They are too large to go along.
    """
    found = Sources()
    todo = [(name, True) for name in sorted(_with_submodules(frozenset(modules)))]
    seen: set[str] = set()
    size = 0
    while todo:
        name, asked = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if not _is_local(name):
            found.imports.add(name.partition(".")[0])
            continue
        reason = _reason_against(name)
        if reason is not None:
            if asked or name in sys.modules:
                found.loose[name] = reason
            continue
        module = sys.modules[name]
        todo += [(parent, False) for parent in _parents(name)]
        if module.__file__ is None:
            continue
        path = Path(module.__file__)
        found.files[_relative(name, path)] = path
        root = name.partition(".")[0]
        found.folders.setdefault(root, _folder_of(sys.modules[root], path))
        size += path.stat().st_size
        if size > MOST_BYTES or len(found.files) > MOST_FILES:
            raise PackagingError(
                f"The model's own modules are too large to go along: {root!r} and what it imports have more "
                f"than {MOST_BYTES // 2**20} MB or {MOST_FILES:,} files of source.",
                hint="Move the model's classes into a small module of their own, or install it as a package.",
            )
        todo += [(one, False) for one in _imported_by(name, path) if one in sys.modules or "." not in one]
    found.imports -= set(sys.stdlib_module_names)
    return found


def _with_submodules(modules: frozenset[str]) -> set[str]:
    """Add to each bare package all of it that was imported."""
    packages = tuple(f"{name}." for name in modules if "." not in name and _is_local(name))
    return {*modules, *(name for name in tuple(sys.modules) if packages and name.startswith(packages))}


def _is_local(name: str) -> bool:
    root = name.partition(".")[0]
    if root in _OWN or root in sys.stdlib_module_names:
        return False
    holders = distributions.holders(root)
    return not holders or any(map(distributions.private, holders))


def _reason_against(name: str) -> str | None:
    """Say why a module's source cannot go along; None if it can."""
    if name == "__main__":
        return "it is defined in the notebook's own cells"
    module = sys.modules.get(name)
    if module is None:
        return "it is not imported here"
    if not all(part.isidentifier() for part in name.split(".")):
        return "its name is no Python name"
    if module.__file__ is None:
        return None if hasattr(module, "__path__") else "it has no file"
    path = Path(module.__file__)
    if path.suffix != ".py" or not path.is_file():
        return "it has no source file"
    if not path.resolve().is_relative_to(_folder_of(sys.modules[name.partition(".")[0]], path).resolve()):
        return "its file lies outside its folder"
    return None


def _folder_of(root: ModuleType, path: Path) -> Path:
    """Give the folder that a module may not lead out of: its package's, or the one its file is in."""
    entries = [Path(entry) for entry in getattr(root, "__path__", ())]
    for entry in entries:
        if path.is_relative_to(entry):
            return entry
    return entries[0] if entries else path.parent


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _relative(name: str, path: Path) -> str:
    return name.replace(".", "/") + ("/__init__.py" if path.name == "__init__.py" else ".py")


def _imported_by(name: str, path: Path) -> Iterator[str]:
    """Give the modules that a file's import statements may mean, wherever in it they stand."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
