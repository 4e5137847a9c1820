"""How the fragments of a report are written: HTML without script, every text from outside escaped and cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from taxiway.lab.svg import shorten

MOST_ROWS = 40
MOST_LETTERS = 300
_NAMED = re.compile("`([^`<]+)`")  # escaped: no tag but a line's break is inside
PROSE = ("What", "Found", "Expected", "Example", "Slice", "Column")


def style() -> str:
    """Give the style sheet of the parts."""
    return Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def section(title: str, body: str, *, level: int = 2) -> str:
    """A part with its heading; nothing if it is empty."""
    heading = f"<h{level}>{escape(title)}</h{level}>"
    return f"<section>{heading}{body}</section>" if body else ""


def table(names: Sequence[str], rows: Sequence[Sequence[object]], most: int = MOST_ROWS) -> str:
    """A table of which the first rows are shown and the rest is counted; empty if there is none.

    A column of which every value is a number stands right; one named in ``PROSE`` is as wide as sentences
    need; no other breaks its lines.
    """
    if not rows:
        return ""
    shown = rows[:most]
    kinds = [_kind(name, [row[place] for row in shown]) for place, name in enumerate(names)]
    head = "".join(
        f'<th scope="col"{kind}>{text(name)}</th>' for name, kind in zip(names, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{phrase(value)}</td>" for value, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in shown
    )
    more = f'<p class="quiet">and {len(rows) - most} more</p>' if len(rows) > most else ""
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0">{whole}</div>{more}'


def text(value: object) -> str:
    """Escape a value, cut to what can be read, with its line breaks."""
    told = "" if value is None else shorten(str(value).strip(), MOST_LETTERS)
    return escape(told).replace("\n", "<br>")


def phrase(value: object) -> str:
    """Escape a text in which names stand in backticks, and set those as code."""
    return _NAMED.sub(r"<code>\1</code>", text(value))


def time(value: object) -> str:
    """Write a UTC time to the minute."""
    return str(value or "")[:16].replace("T", " ")


def _kind(name: str, values: Sequence[object]) -> str:
    if name in PROSE:
        return ' class="prose"'
    return ' class="number"' if all(isinstance(value, int | float) for value in values) else ""
