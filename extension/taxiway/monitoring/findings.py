"""What requests had that the signature does not say, by kind and column, from the very first one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from taxiway.monitoring.log import Record

_REJECTING = frozenset({"missing", "retyped", "null"})


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """What requests had that the signature does not say, for one kind and column.

    Attributes
    ----------
    kind
        ``extra``, ``missing``, ``retyped``, ``null``, ``new_category`` or ``out_of_range``.
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


def schema_findings(records: Iterable[Record]) -> list[SchemaFinding]:
    """Give the schema findings of live requests, one for each kind and column, earliest first.

    A shadow sees the same requests again, so its findings are not counted.
    """
    return merge_findings(
        finding
        for record in records
        if record["kind"] in ("prediction", "rejected") and record["role"] != "shadow"
        for finding in _findings_of(record)
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


def _findings_of(record: Record) -> list[SchemaFinding]:
    """Give the findings of one request; of a rejected one, only those that rejected it are called so."""
    found: list[dict[str, Any]] = record.get("findings") or []
    if not found:
        return []
    time = datetime.fromtimestamp(record["time"], UTC)
    rejected = record["kind"] == "rejected"
    causes = {entry["kind"] for entry in found} & _REJECTING
    entries = [
        SchemaFinding(
            kind=entry["kind"],
            column=entry["column"],
            model=record["model"],
            count=int(entry.get("count") or 1),
            first_seen=time,
            last_seen=time,
            example=entry.get("example"),
            expected=entry.get("expected") or "",
            found=entry.get("found") or "",
            rejected=rejected and (not causes or entry["kind"] in causes),
        )
        for entry in found
    ]
    return [replace(merged, requests=1) for merged in merge_findings(entries)]
