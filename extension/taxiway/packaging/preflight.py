"""Preflight: the named checks that a Model has passed or failed, each with its reason and remedy."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from taxiway.errors import InputError, PreflightError
from taxiway.packaging import digest

if TYPE_CHECKING:
    from taxiway.packaging.model import Model

Level = Literal["blocking", "warning", "note"]
Result = Literal["passed", "failed", "waived", "skipped"]
#: Told what is being done, and each check when it is made.
Progress = Callable[["str | Check"], None]

#: Every check there is, in the order in which they are shown.
LEVELS: dict[str, Level] = {
    "format_safe": "blocking",
    "parity": "blocking",
    "signature_complete": "blocking",
    "environment_locked": "blocking",
    "clean_replay": "blocking",
    "target_leakage": "blocking",
    "identifier_columns": "warning",
    "seeds_recorded": "warning",
    "reference_size": "warning",
    "class_balance": "warning",
    "latency_budget": "warning",
    "size_and_memory": "warning",
    "slices_declared": "warning",
    "environment_here": "note",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found, and what to do about it (empty when nothing is to be done)."""

    name: str
    level: Level
    result: Result
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = {"passed": "ok", "failed": "FAILED" if self.level == "blocking" else self.level}.get(
            self.result, self.result
        )
        remedy = "" if self.result == "passed" else self.remedy
        return f"{mark:<8} {self.name:<20} {self.reason} {remedy}".rstrip()


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

    @property
    def replayed(self) -> bool:
        """Whether the Bento was tried in a fresh environment, whatever came of it."""
        return any(check.name == "clean_replay" and check.result != "skipped" for check in self.checks)

    @property
    def names(self) -> tuple[str, ...]:
        """The checks' names, in order."""
        return tuple(check.name for check in self.checks)

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
        return "\n".join(map(str, self.checks))

    def _repr_html_(self) -> str:
        from taxiway.lab.display import preflight_html

        return preflight_html(self.to_dict())

    def updated(self, later: Preflight) -> Preflight:
        """Give these checks, with those of ``later`` in the place of the same names."""
        return gather({check.name: check for check in (*self.checks, *later.checks)}.values())

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form: ``{"ok", "checks": [...]}``."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}

    def to_counts(self) -> dict[str, Any]:
        """Give ``{"ok", "replayed", "passed", "failed", "waived"}``."""
        counts = {result: self.count(result) for result in ("passed", "failed", "waived")}
        return {"ok": self.ok, "replayed": self.replayed, **counts}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Preflight:
        """Read what ``to_dict`` gave."""
        return cls(tuple(Check(**check) for check in body["checks"]))

    @classmethod
    def read(cls, path: Path) -> Preflight:
        """Read a file that was written from ``to_dict``."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))


def passed(name: str, reason: str) -> Check:
    """Make a passed check."""
    return Check(name, LEVELS[name], "passed", reason)


def failed(name: str, reason: str, remedy: str) -> Check:
    """Make a failed check."""
    return Check(name, LEVELS[name], "failed", reason, remedy)


def skipped(name: str, reason: str, remedy: str = "") -> Check:
    """Make a check that does not apply, or was not made."""
    return Check(name, LEVELS[name], "skipped", reason, remedy)


def gather(checks: Iterable[Check], waived: Iterable[str] = ()) -> Preflight:
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


def run(model: Model, progress: Progress, *, waive: Iterable[str] = ()) -> Preflight:
    """Make the checks that can be made of a stored Model, clean replay among them, and record them.

    Parameters
    ----------
    model
        A Model in the store; its Bento is built if it is not there.
    progress
        Called with a line per stage, and with each check.
    waive
        Names of checks that may fail; those that were waived before still are.

    Returns
    -------
    Preflight
        All checks on record, these among them.

    Raises
    ------
    CorruptionError
        The Model's files are not what was packaged.
    PackagingError
        Its Bento cannot be built.
    """
    # of an imported Model only what was waived here counts
    known = model.checks if model.origin is None else record(model) or Preflight(())
    waived = {*check_names(waive), *(check.name for check in known if check.result == "waived")}
    made = []
    with closing(_made(model, progress)) as checks:  # whatever stops us, the replay is ended first
        for check in checks:
            [settled] = gather([check], waived)
            made.append(settled)
            progress(settled)
    _write(model, gather(made))
    return model.checks


def _made(model: Model, tell: Callable[[str], None]) -> Generator[Check, None, None]:
    from taxiway.packaging import bento, checks, replay
    from taxiway.settings import settings

    tell("comparing with what was recorded")
    model.manifest.verify(model.path)
    yield checks.environment_here(model.check_environment())
    yield checks.format_safe(model.path, model.manifest.runtime, model.manifest.engine)
    if not bento.exists(model.tag):
        tell("building the Bento")
        bento.ensure(model.path, model.tag)
    yield from replay.replay(model, settings().bentoml_home / "bentos" / model.name / model.version, tell)


def untried(tag: str) -> Preflight:
    """Give what counts of an imported Model until its preflight was run here, whatever it says of itself."""
    reason = "It was imported, and has not been replayed in this place."
    return Preflight((failed("clean_replay", reason, f"Run `taxiway preflight {tag}`."),))


def record(model: Model) -> Preflight | None:
    """Give what the last run of the preflight found; None if there was none, or its file was damaged."""
    from taxiway.packaging.registry import preflight_of

    try:
        body = json.loads(preflight_of(model.name, model.version).read_text(encoding="utf-8"))
        if body.pop("seal") != digest.of_value(body) or body["digest"] != model.digest:
            return None
        return Preflight.from_dict(body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(model: Model, found: Preflight) -> None:
    from taxiway.packaging.registry import preflight_of

    path = preflight_of(model.name, model.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {**found.to_dict(), "digest": model.digest}
    body["seal"] = digest.of_value(body)
    handle, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(body, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
