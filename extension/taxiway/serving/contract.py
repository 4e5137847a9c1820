"""The environment contract where a Model is served: is what serves it what it was proven with.

The notebook's whole environment is compared by ``model.check_environment()``; here only what takes part in
an answer counts: Python, the machine's architecture, and the distributions that were pinned.
"""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import orjson


class Contract(NamedTuple):
    """What was found: ``differs`` where another minor version, or nothing, is in place of what was pinned."""

    verdict: Literal["same", "compatible", "differs"]
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join((f"the environment is {_WORDS[self.verdict]}", *self.differences))


_WORDS = {
    "same": "the same as when the Model was packaged",
    "compatible": "compatible with the one in which the Model was packaged",
    "differs": "another than when the Model was packaged",
}


def check(directory: Path) -> Contract:
    """Compare this process with what a Model's folder recorded; a file that is missing records nothing."""
    recorded = _recorded(directory)
    found, serious = [], False
    for name, before, here in recorded:
        if before != here:
            found.append(f"{name}: {before} → {here}")
            serious |= name == "machine" or before.split(".")[:2] != here.split(".")[:2]
    return Contract("differs" if serious else "compatible" if found else "same", tuple(found))


def _recorded(directory: Path) -> list[tuple[str, str, str]]:
    facts = []
    try:
        environment = orjson.loads((directory / "environment.json").read_bytes())
        facts.append(("python", str(environment["python"]), platform.python_version()))
        facts.append(("machine", str(environment["machine"]), platform.machine()))
        pins = (directory / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, KeyError, TypeError):
        return facts
    for pin in pins:
        name, equals, version = pin.partition("==")
        if equals:
            facts.append((name, version, _installed(name)))
    return facts


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
