"""Preflight: the named checks that a Model has passed or failed, each with its reason and remedy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from taxiway.errors import InputError, PreflightError

Level = Literal["blocking", "warning", "note"]
Result = Literal["passed", "failed", "waived", "skipped"]

#: Every check there is, in the order in which they are shown.
LEVELS: dict[str, Level] = {
    "format_safe": "blocking",
    "parity": "blocking",
    "signature_complete": "blocking",
    "environment_locked": "blocking",
    "target_leakage": "blocking",
    "seeds_recorded": "warning",
    "reference_size": "warning",
    "class_balance": "warning",
    "latency": "note",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found, and what to do about it (empty when nothing is to be done)."""

    name: str
    level: Level
    result: Result
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Preflight:
    """All checks of one Model."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no blocking check failed."""
        return not self.blocking

    @property
    def blocking(self) -> tuple[Check, ...]:
        """The blocking checks that failed: these stop a deploy."""
        return tuple(check for check in self.checks if check.level == "blocking" and check.result == "failed")

    def require(self, tag: str, override: Sequence[str] = ()) -> None:
        """Insist that no blocking check failed, but for those that are overridden by name.

        Raises
        ------
        PreflightError
            One did; the hint says what mends it.
        """
        failed = [check for check in self.blocking if check.name not in override]
        if failed:
            names = [check.name for check in failed]
            raise PreflightError(
                f"{tag} did not pass {', '.join(names)}: {failed[0].reason}",
                hint=f"{failed[0].remedy} Or override by name: override={names!r}.",
            )

    def count(self, result: Result) -> int:
        """How many checks had this result."""
        return sum(check.result == result for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def __str__(self) -> str:
        marks = {"passed": "ok", "failed": "FAILED", "waived": "waived", "skipped": "skipped"}
        lines = []
        for check in self.checks:
            lines.append(f"{marks[check.result]:<8} {check.name:<20} {check.reason} {check.remedy}".rstrip())
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form: ``{"ok", "checks": [...]}``."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}

    def to_counts(self) -> dict[str, Any]:
        """Give ``{"ok", "passed", "failed", "waived"}``."""
        return {"ok": self.ok, **{result: self.count(result) for result in ("passed", "failed", "waived")}}

    @classmethod
    def read(cls, path: Path) -> Preflight:
        """Read what was written from ``to_dict``."""
        return cls(tuple(Check(**check) for check in json.loads(path.read_text(encoding="utf-8"))["checks"]))


def passed(name: str, reason: str) -> Check:
    """Make a passed check."""
    return Check(name, LEVELS[name], "passed", reason)


def failed(name: str, reason: str, remedy: str) -> Check:
    """Make a failed check."""
    return Check(name, LEVELS[name], "failed", reason, remedy)


def skipped(name: str, reason: str) -> Check:
    """Make a check that does not apply."""
    return Check(name, LEVELS[name], "skipped", reason)


def gather(checks: Iterable[Check], waived: Iterable[str]) -> Preflight:
    """Put checks in their order; those that failed and were waived by name are recorded as waived."""
    order = list(LEVELS)
    names = set(waived)
    settled = [
        replace(check, result="waived") if check.result == "failed" and check.name in names else check
        for check in checks
    ]
    return Preflight(tuple(sorted(settled, key=lambda check: order.index(check.name))))


def check_names(waive: Iterable[str]) -> tuple[str, ...]:
    """Give the names of checks to waive, sorted.

    Raises
    ------
    InputError
        One of them is not a check.
    """
    if isinstance(waive, str):
        waive = (waive,)
    names = tuple(sorted(set(waive)))
    for name in names:
        if name not in LEVELS:
            raise InputError(
                f"There is no check named {name!r}.", hint=f"The checks are: {', '.join(LEVELS)}."
            )
    return names
