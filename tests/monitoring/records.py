"""Records as the serving process writes them to its spool."""

from __future__ import annotations

from datetime import UTC, datetime

AT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def prediction(
    ids, *, inputs=None, outputs=None, times=None, role="live", at=AT, findings=(), model="rain:abc"
):
    return {
        "kind": "prediction",
        "time": at,
        "times": times,
        "model": model,
        "role": role,
        "request": f"r-{ids[0]}",
        "ids": ids,
        "inputs": inputs if inputs is not None else {"wind": [4.5] * len(ids), "kind": ["sun"] * len(ids)},
        "outputs": outputs if outputs is not None else {"label": ["dry"] * len(ids)},
        "latency_ms": 1.5,
        "findings": list(findings),
    }


def rejected(findings, *, at=AT, role="live"):
    return {
        "kind": "rejected",
        "time": at,
        "times": None,
        "model": "rain:abc",
        "role": role,
        "request": "r",
        "rows": 1,
        "findings": findings,
    }


def finding(kind, column, *, example=None, count=1, expected="", found=""):
    return {
        "kind": kind,
        "column": column,
        "row": None,
        "count": count,
        "expected": expected,
        "found": found,
        "example": example,
    }


def outcome(ids, outcomes, *, at=AT, times=None):
    return {"kind": "outcome", "time": at, "ids": ids, "outcomes": outcomes, "times": times}
