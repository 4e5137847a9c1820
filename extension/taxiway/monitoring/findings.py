"""What requests had that the signature does not say, by kind and column, from the very first one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from taxiway.monitoring.log import Record
from taxiway.monitoring.schema import ALIKE, likeness, pair
from taxiway.signature import JSON_TYPES

_REJECTING = frozenset({"missing", "retyped", "null"})
_CAUSES = {"renamed": "missing"}
_ALONE = 0.4  # how alike the names have to be where one column only is missing, and one only is new
_MOST_PAIRS = 50
_NUMBERS = frozenset({"integer", "number"})


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """What requests had that the signature does not say, for one kind and column.

    Attributes
    ----------
    kind
        ``extra``, ``missing``, ``retyped``, ``null``, ``new_category`` or ``out_of_range``; ``renamed`` (a
        guess: ``column`` is missing and ``found`` is the new name), ``reordered`` (``column`` is the first
        that stands elsewhere).
    model
        The tag of the Model that found it last.
    count, requests
        Rows and requests in which it was found.
    first_seen, last_seen
        Times of receipt, UTC.
    example, expected, found
        Of the last request.
    rejected
        Whether any request was rejected for it.
    """

    kind: str
    column: str
    model: str
    count: int
    first_seen: datetime
    last_seen: datetime
    example: Any = None
    expected: str = ""
    found: str = ""
    rejected: bool = False
    requests: int = 1


def schema_findings(
    records: Iterable[Record], order: Mapping[str, Sequence[str]] | None = None
) -> list[SchemaFinding]:
    """Give the schema findings of live requests, one for each kind and column, earliest first.

    A shadow sees the same requests again, so its findings are not counted.

    Parameters
    ----------
    order
        The input columns of each Model in the signature's order, by tag; of a Model that is not named, no
        order is looked at. It is known of single rows, which are logged as they came, and of Arrow tables.
    """
    known = {tag: tuple(names) for tag, names in (order or {}).items()}
    return merge_findings(
        finding
        for record in records
        if record["kind"] in ("prediction", "rejected") and record["role"] != "shadow"
        for request in _requests_of(record, known.get(record["model"]))
        for finding in _findings_of(request, known.get(record["model"]))
    )


def merge_findings(findings: Iterable[SchemaFinding]) -> list[SchemaFinding]:
    """Add findings up by kind and column: those stored so far and those of a new cycle, say."""
    merged: dict[tuple[str, str], SchemaFinding] = {}
    for new in findings:
        key = new.kind, new.column
        old = merged.get(key)
        if old is None:
            merged[key] = new
            continue
        last = new if new.last_seen >= old.last_seen else old
        merged[key] = replace(
            last,
            count=old.count + new.count,
            requests=old.requests + new.requests,
            first_seen=min(old.first_seen, new.first_seen),
            rejected=old.rejected or new.rejected,
        )
    return sorted(merged.values(), key=lambda finding: (finding.first_seen, finding.kind, finding.column))


def _requests_of(record: Record, order: tuple[str, ...] | None) -> Iterable[Record]:
    """Give the requests of a record; of one that is joined, which has no findings, those out of order."""
    if not record.get("joined"):
        return (record,)
    if order is None or tuple(record["inputs"]) == order:
        return ()
    times = record["time"] if isinstance(record["time"], Sequence) else record["time"].to_pylist()
    return ({**record, "time": time} for time in times)


def _findings_of(record: Record, order: tuple[str, ...] | None) -> list[SchemaFinding]:
    """Give the findings of one request; of a rejected one, only those that rejected it are called so."""
    found: list[dict[str, Any]] = list(record.get("findings") or ())
    if order is not None:
        found += _reordered(tuple(record.get("inputs") or ()), order)
    if not found:
        return []
    found += _renamed(found)
    time = datetime.fromtimestamp(record["time"], UTC)
    rejected = record["kind"] == "rejected"
    causes = {entry["kind"] for entry in found} & _REJECTING
    entries = [
        SchemaFinding(
            kind=entry["kind"],
            column=storable(entry["column"]),
            model=record["model"],
            count=int(entry.get("count") or 1),
            first_seen=time,
            last_seen=time,
            example=entry.get("example"),
            expected=storable(entry.get("expected") or ""),
            found=storable(entry.get("found") or ""),
            rejected=rejected and (not causes or _CAUSES.get(entry["kind"], entry["kind"]) in causes),
        )
        for entry in found
    ]
    return [replace(merged, requests=1) for merged in merge_findings(entries)]


def storable(text: str) -> str:
    """Give a text without NUL, which PostgreSQL does not keep: what is read back has to be the same."""
    return text.replace("\0", r"\x00")


def _renamed(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Guess which columns that a request lacks are those it has too many, by name and type."""
    gone = {one["column"]: one for one in found if one["kind"] == "missing" and one.get("row") is None}
    come = {one["column"]: one for one in found if one["kind"] == "extra" and one.get("row") is None}
    if not gone or not come:
        return []
    bonus = ALIKE - _ALONE if len(gone) == len(come) == 1 else 0.0
    pairs = pair(
        [
            (likeness(old, new) + bonus, old, new)
            for old in list(gone)[:_MOST_PAIRS]
            for new in list(come)[:_MOST_PAIRS]
            if _same_type(gone[old].get("expected") or "", come[new].get("found") or "")
        ]
    )
    return [
        {
            "kind": "renamed",
            "column": old,
            "count": gone[old].get("count") or 1,
            "expected": old,
            "found": new,
            "example": come[new].get("example"),
        }
        for old, new in pairs.items()
    ]


def _same_type(dtype: str, found: str) -> bool:
    """Whether a JSON type, in words, is what values of a signature's dtype are written as."""
    if not dtype or not found or found == "null":
        return True
    expected = JSON_TYPES.get(dtype, dtype)
    return expected == found or {expected, found} <= _NUMBERS


def _reordered(names: tuple[str, ...], order: tuple[str, ...]) -> list[dict[str, Any]]:
    """Tell the first column that does not stand where the signature has it, if the columns are the same."""
    if names == order or len(names) != len(order) or set(names) != set(order):
        return []
    column, instead = next((name, other) for name, other in zip(order, names, strict=True) if name != other)
    place = names.index(column)
    return [
        {
            "kind": "reordered",
            "column": column,
            "count": 1,
            "expected": f"place {order.index(column) + 1}",
            "found": f"place {place + 1}, {instead!r} in its place",
            "example": None,
        }
    ]
