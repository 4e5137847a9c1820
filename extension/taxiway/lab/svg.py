"""Small pictures for where no script runs: nbconvert, a shared notebook, an e-mail.

Colours are ``currentColor`` and translucent hues, so that they read on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

HOT = "#e8590c"
LINE = "#3b82f6"
PSI_LARGE = 0.25
"""A population stability index from which a shift is called large (Siddiqi, Credit Risk Scorecards, 2006)."""


@dataclass(frozen=True)
class Cell:
    """One column in one window."""

    value: float | None
    marked: bool
    title: str


@dataclass(frozen=True)
class Row:
    """One column in all windows."""

    label: str
    cells: Sequence[Cell]


def heat_map(rows: Sequence[Row], *, title: str, first: str, last: str) -> str:
    """Return an SVG heat map; the heat is the value up to ``PSI_LARGE``, a dot marks a drifted cell."""
    if not rows or not rows[0].cells:
        return ""
    left, cell, height = 130, 18, 18
    width = left + cell * len(rows[0].cells)
    parts = [_open(max(width, left + 140), height * len(rows) + 18, title)]
    for index, row in enumerate(rows):
        top = index * height
        parts.append(
            f'<text x="{left - 6}" y="{top + 13}" text-anchor="end" font-size="11" fill="currentColor">'
            f"{escape(_shorten(row.label, 20))}<title>{escape(row.label)}</title></text>"
        )
        for position, item in enumerate(row.cells):
            parts.append(_heat_cell(item, left + position * cell, top, cell))
    base = height * len(rows) + 13
    parts.append(
        f'<text x="{left}" y="{base}" font-size="10" fill="currentColor">'
        f"{escape(first)} → {escape(last)}</text>"
    )
    return "".join([*parts, "</svg>"])


def sparkline(values: Sequence[float | None], *, title: str) -> str:
    """Return an SVG line of values from 0 to 1; ``None`` breaks the line."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    width, height = max(120, min(360, 12 * len(values))), 40
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = width / max(1, len(values) - 1)
    parts = [_open(width + 8, height + 8, title)]
    for run in _runs(values):
        points = " ".join(
            f"{4 + index * step:.1f},{4 + height * (1 - (value - low) / span):.1f}" for index, value in run
        )
        if len(run) == 1:
            x, y = points.split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="2" fill="{LINE}"/>')
        else:
            parts.append(f'<polyline points="{points}" fill="none" stroke="{LINE}" stroke-width="1.5"/>')
    return "".join([*parts, "</svg>"])


def _open(width: int, height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif"><title>{escape(title)}</title>'
    )


def _heat_cell(cell: Cell, x: int, y: int, size: int) -> str:
    rect = f'<rect x="{x}" y="{y}" width="{size - 1}" height="{size - 1}"'
    if cell.value is None:
        return f'{rect} fill="none" stroke="currentColor" stroke-opacity="0.15"/>'
    heat = min(1.0, max(0.0, cell.value / PSI_LARGE))
    rect += (
        f' fill="{HOT}" fill-opacity="{0.06 + 0.84 * heat:.2f}"><title>{escape(cell.title)}</title></rect>'
    )
    if not cell.marked:
        return rect
    centre = size / 2 - 0.5
    return f'{rect}<circle cx="{x + centre}" cy="{y + centre}" r="2.5" fill="currentColor"/>'


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
