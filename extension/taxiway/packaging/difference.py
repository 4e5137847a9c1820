"""What differs between two Models, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from taxiway.packaging.model import REFERENCE, REQUIREMENTS, Model
from taxiway.packaging.reference_rows import FILE as REFERENCE_ROWS

if TYPE_CHECKING:
    from taxiway.signature import Column

Kind = Literal["added", "removed", "changed"]

_RANGE = ("minimum", "maximum")
_SHORT = 12  # of a digest or a commit, enough to tell two apart


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not the same in both.

    Parameters
    ----------
    about
        What it belongs to: model, input, output, metric, environment, pin, parity, lineage or file.
    name
        Its name, such as a column's or a distribution's.
    kind
        Whether only the second has it, only the first, or both in another form.
    before, after
        What the first and the second say, in words.
    difference
        The second less the first, for a figure.
    """

    about: str
    name: str
    kind: Kind
    before: str
    after: str
    difference: float | None = None

    def __str__(self) -> str:
        if self.kind == "added":
            return f"{self.about} {self.name} added: {self.after}"
        if self.kind == "removed":
            return f"{self.about} {self.name} removed: {self.before}"
        return f"{self.about} {self.name}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between the Models ``before`` and ``after``."""

    before: str
    after: str
    changes: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.changes

    def __str__(self) -> str:
        if self.same:
            return f"Nothing differs between {self.before} and {self.after}."
        return "\n".join([f"{self.before} → {self.after}", *map(str, self.changes)])

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form: ``{"before", "after", "same", "changes": [...]}``."""
        return {**asdict(self), "same": self.same}


def between(before: Model, after: Model) -> Difference:
    """Compare two Models; what differs in every two versions (version, digest, time) does not count."""
    changes = [
        *_facts(before, after),
        *_inputs(before.signature.inputs, after.signature.inputs),
        *_values(
            "output",
            {one.name: one.dtype for one in before.signature.outputs},
            {one.name: one.dtype for one in after.signature.outputs},
        ),
        *_values("metric", before.metrics, after.metrics),
        *_values("parity", _figures(before.parity.to_dict()), _figures(after.parity.to_dict())),
        *_environment(before, after),
        *_values("pin", _pins(before), _pins(after)),
        *_values("lineage", asdict(before.lineage), asdict(after.lineage)),
        *_values("file", _own_files(before), _own_files(after)),
    ]
    return Difference(before.tag, after.tag, tuple(changes))


def _facts(before: Model, after: Model) -> Iterator[Change]:
    names = ("name", "framework", "task", "classes", "target", "description", "size_bytes")
    more = ("runtime", "engine", "slices", "latency_ms", "importances", "reference_rows")
    said = [
        {
            **{name: getattr(one, name) for name in names},
            **{name: getattr(one.manifest, name) for name in more},
        }
        for one in (before, after)
    ]
    return _values("model", *said)


def _inputs(before: Sequence[Column], after: Sequence[Column]) -> Iterator[Change]:
    ours, theirs = ({column.name: column for column in columns} for columns in (before, after))
    for name, column in ours.items():
        if name not in theirs:
            yield Change("input", name, "removed", _column(column), "")
        else:
            yield from _column_changes(column, theirs[name])
    for name, column in theirs.items():
        if name not in ours:
            yield Change("input", name, "added", "", _column(column))
    orders = [[name for name in one if name in ours.keys() & theirs.keys()] for one in (ours, theirs)]
    if orders[0] != orders[1]:
        yield Change("input", "order", "changed", ", ".join(orders[0]), ", ".join(orders[1]))


def _column_changes(before: Column, after: Column) -> Iterator[Change]:
    for part in fields(before):
        ours, theirs = getattr(before, part.name), getattr(after, part.name)
        if ours == theirs or part.name in _RANGE:
            continue
        if part.name == "categories" and ours is not None and theirs is not None:
            yield from _categories(before.name, ours, theirs)
        else:
            yield Change("input", f"{before.name}, {part.name}", "changed", _shown(ours), _shown(theirs))
    if (before.minimum, before.maximum) != (after.minimum, after.maximum):
        yield Change("input", f"{before.name}, range", "changed", _range(before), _range(after))


def _categories(name: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Change]:
    gained = [value for value in after if value not in before]
    lost = [value for value in before if value not in after]
    if gained:
        yield Change("input", f"{name}, categories", "added", "", _shown(gained))
    if lost:
        yield Change("input", f"{name}, categories", "removed", _shown(lost), "")


def _environment(before: Model, after: Model) -> Iterator[Change]:
    for found in before.environment.compare(after.environment).differences:
        yield Change("environment", found.name, "changed", found.recorded, found.here)


def _values(about: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in [*before, *(name for name in after if name not in before)]:
        ours, theirs = before.get(name), after.get(name)
        if ours == theirs:
            continue
        kind: Kind = "added" if name not in before else "removed" if name not in after else "changed"
        yield Change(about, name, kind, _shown(ours), _shown(theirs), _less(theirs, ours))


def _less(after: Any, before: Any) -> float | None:
    """Give the difference of two figures, None for anything else."""
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in (after, before)):
        return None
    return float(after) - float(before)


def _figures(parity: Mapping[str, Any]) -> dict[str, Any]:
    """Give what can be compared of a parity report: its figures and words, not its rows."""
    return {name: value for name, value in parity.items() if not isinstance(value, dict | list)}


def _pins(model: Model) -> dict[str, str]:
    lines = (model.path / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if line.strip())
    return {name.strip(): version.strip() for name, _, version in pairs}


def _own_files(model: Model) -> dict[str, str]:
    """Give the digests of the exported model and its sources; what the other files say is told in words."""
    return {
        name: value
        for name, value in model.manifest.files.items()
        if name not in (REFERENCE, REFERENCE_ROWS) and not name.endswith((".json", ".txt"))
    }


def _column(column: Column) -> str:
    parts: Iterable[str] = (
        column.dtype,
        "may be missing" if column.nullable else "",
        _range(column) if column.minimum is not None else "",
        _shown(column.categories) if column.categories else "",
    )
    return ", ".join(part for part in parts if part)


def _range(column: Column) -> str:
    if column.minimum is None or column.maximum is None:
        return "none"
    return f"{column.minimum:g} to {column.maximum:g}"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(one) for one in value) or "none"
    text = str(value)
    hexadecimal = len(text) >= 40 and all(sign in "0123456789abcdef" for sign in text)
    return text[:_SHORT] if hexadecimal else text
