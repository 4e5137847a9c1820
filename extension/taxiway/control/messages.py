"""What is told of alerts: as text for people, as JSON for programs, and in Alertmanager's form."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

Json = dict[str, Any]

MOST_LINES = 30
_MENTION = re.compile(r"@(?=\w)|<(?=[!@#/a-zA-Z])")
_VERBS = {"opened": "", "worsened": "worse: ", "resolved": "resolved: ", "test": "test: "}


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of one alert, as it is told.

    Attributes
    ----------
    key
        The same each time that this change is told, so that a receiver can leave out what it knows:
        fingerprint, number of the alert, transition.
    transition
        ``opened``, ``worsened``, ``resolved`` or ``test``.
    link
        The endpoint's URL, if it has one.
    """

    key: str
    transition: str
    endpoint: str
    rule: str
    fingerprint: str
    severity: str
    state: str
    title: str
    detail: str
    column: str | None
    window: str | None
    value: float | None
    threshold: float | None
    count: int
    first_seen: datetime
    last_seen: datetime
    link: str | None = None

    def to_dict(self) -> Json:
        """Give the JSON form; times in ISO 8601, UTC; a value that is no finite number is None."""
        return {
            **asdict(self),
            "value": _finite(self.value),
            "threshold": _finite(self.threshold),
            "first_seen": self.first_seen.isoformat(),
            "last_seen": self.last_seen.isoformat(),
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def key(fingerprint: str, alert: int, transition: str, severity: str) -> str:
    """Give the idempotency key of one change of one alert, which can get worse twice."""
    return f"{fingerprint}-{alert}-{transition}{f'-{severity}' if transition == 'worsened' else ''}"


def message_key(notices: Sequence[Notice]) -> str:
    """Give the idempotency key of a message: the same for the same changes."""
    keys = "\n".join(sorted(notice.key for notice in notices))
    return hashlib.sha256(keys.encode()).hexdigest()[:32]


def as_json(notices: Sequence[Notice], sink: str) -> Json:
    """Give the body of a plain JSON webhook."""
    return {
        "version": 1,
        "id": message_key(notices),
        "sink": sink,
        "alerts": [notice.to_dict() for notice in notices],
    }


def as_text(notices: Sequence[Notice]) -> tuple[str, str]:
    """Give a subject and a body for people; of an alert that went to and fro, what became of it."""
    last = {notice.fingerprint: notice for notice in notices}
    shown = list(last.values())
    endpoints = sorted({notice.endpoint for notice in shown if notice.endpoint})
    where = ", ".join(endpoints[:3]) + (f" and {len(endpoints) - 3} more" if len(endpoints) > 3 else "")
    if len(shown) == 1:
        subject = f"[{shown[0].severity}] {_VERBS.get(shown[0].transition, '')}{shown[0].title}"
    else:
        firing = sum(notice.transition != "resolved" for notice in shown)
        parts = [f"{firing} firing"] if firing else []
        parts += [f"{len(shown) - firing} resolved"] if len(shown) > firing else []
        subject = f"{where or 'Taxiway'}: {', '.join(parts)}"
    lines = []
    for notice in shown[:MOST_LINES]:
        lines.append(f"[{notice.severity}] {_VERBS.get(notice.transition, '')}{notice.title}")
        if notice.detail:
            lines.append(f"    {notice.detail}")
    if len(shown) > MOST_LINES:
        lines.append(f"… and {len(shown) - MOST_LINES} more: `taxiway alerts` lists them.")
    return subject[:250], "\n".join(lines)


def unmentioned(text: str) -> str:
    """Give a text in which no name of a column calls anybody: ``@channel``, ``<!here>``, ``<@U1>``.

    A character without width is put in between, so that people read the same.
    """
    return _MENTION.sub("\\g<0>\u200b", text)


def as_alertmanager(notice: Notice, *, ends: datetime) -> Json:
    """Give a ``postableAlert`` of Alertmanager's API v2 (``api/v2/openapi.yaml``).

    Parameters
    ----------
    ends
        When it is over: of one that fires, when Alertmanager is to take it for resolved if nothing more
        comes; what it is repeated for.
    """
    labels = {
        "alertname": notice.rule,
        "severity": notice.severity,
        "endpoint": notice.endpoint,
        "column": notice.column or "",
        "fingerprint": notice.fingerprint,
    }
    begins = min(notice.first_seen, ends)  # an end before it, as of a clock that was set back, is refused
    body: Json = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": notice.title, "description": notice.detail},
        "startsAt": begins.isoformat(),
        "endsAt": ends.isoformat(),
    }
    if notice.link is not None:
        body["generatorURL"] = notice.link
    return body
