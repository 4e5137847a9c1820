"""The body of an outcomes request: what came true of earlier predictions."""

from __future__ import annotations

from typing import Any

from taxiway.serving.problems import Problem
from taxiway.serving.requests import MAX_ID_LENGTH, load_json, read_times

SHAPE = 'Send {"outcomes": [{"id": "...", "outcome": ...}]}; "time" may be added to each.'


def parse_outcomes(body: bytes, *, max_rows: int) -> dict[str, Any]:
    """Read outcomes into the fields of a spool record.

    Raises
    ------
    Problem
        400 where the body has not the shape, 413 where it has too many outcomes.
    """
    data = load_json(body)
    rows = data.get("outcomes") if type(data) is dict else None
    if type(rows) is not list or not rows:
        raise Problem(400, "The body has no list of outcomes.")
    if len(rows) > max_rows:
        raise Problem(
            413,
            f"The request has {len(rows):,} outcomes; at most {max_rows:,} are taken.",
            hint="Send the outcomes in several requests.",
        )
    for number, row in enumerate(rows):
        if type(row) is not dict or "outcome" not in row:
            raise Problem(400, f"Outcome {number} is not an object with an outcome.")
        if type(row.get("id")) is not str or not 0 < len(row["id"]) <= MAX_ID_LENGTH:
            raise Problem(400, f"Outcome {number} has no id that is a text.")
        if type(row["outcome"]) in (dict, list):
            raise Problem(400, f"Outcome {number} is not a number, a text or a boolean.")
    timed = [number for number, row in enumerate(rows) if row.get("time") is not None]
    if timed and len(timed) != len(rows):
        raise Problem(
            400, "Some outcomes have a time and some have not.", hint="Send a time with each, or with none."
        )
    return {
        "kind": "outcome",
        "ids": [row["id"] for row in rows],
        "outcomes": [row["outcome"] for row in rows],
        "times": read_times([row["time"] for row in rows], len(rows)) if timed else None,
    }
