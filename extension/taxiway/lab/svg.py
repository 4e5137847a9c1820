"""Small pictures for where no script runs: nbconvert, a shared notebook, an e-mail.

Colours are ``currentColor`` and translucent hues, so that they read on a light and on a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

HOT = "#e8590c"  # what drifts
LINE = "#3b82f6"
STILL = "#868e96"
PSI_LARGE = 0.25
"""A population stability index from which a shift is called large (Siddiqi, Credit Risk Scorecards, 2006)."""


@dataclass(frozen=True)
class Cell:
    """One column in one window; ``key`` is what a widget chooses it by."""

    value: float | None
    marked: bool
    title: str
    key: str = ""


@dataclass(frozen=True)
class Row:
    """One column in all windows."""

    label: str
    cells: Sequence[Cell]


def heat_map(rows: Sequence[Row], *, title: str, places: Sequence[str], note: str = "") -> str:
    """Return an SVG heat map; the heat is the value up to ``PSI_LARGE``, a dot marks a drifted cell.

    Parameters
    ----------
    places
        What the cells of every row are called; those that there is room for are written.
    """
    if not rows or not places:
        return ""
    left, height = 170, 18
    cell = max(8, min(44, 720 // len(places)))
    step = int(-(-(12 + max(_width(place, 10) for place in places)) // cell))
    named = {position: places[position] for position in range(0, len(places), step)}
    last = max(named)
    width = int(left + max(cell * len(places), cell * last + _width(places[last], 10)))
    role = "group" if any(item.key for row in rows for item in row.cells) else "img"
    parts = [_open(max(width, left + 190), height * len(rows) + 18, title, note, role)]
    for index, row in enumerate(rows):
        top = index * height
        parts.append(
            f'<text x="{left - 6}" y="{top + 13}" text-anchor="end" font-size="11" fill="currentColor">'
            f"{escape(fit(row.label, left - 8, 11))}<title>{escape(shorten(row.label, 200))}</title></text>"
        )
        for position, item in enumerate(row.cells):
            parts.append(_heat_cell(item, left + position * cell, top, cell, height))
    for position, place in named.items():
        parts.append(_label(left + position * cell, height * len(rows) + 13, place, "start"))
    return "".join([*parts, "</svg>"])


def histogram(
    edges: Sequence[float],
    reference: Sequence[float] | None,
    window: Sequence[float] | None,
    *,
    title: str,
    labels: tuple[str, str],
) -> str:
    """Return the shares in n bins of both sides, one over the other, between n + 1 edges.

    Parameters
    ----------
    labels
        How the first and the last edge are written.
    """
    width, height = 340, 110
    shares = [share for side in (reference, window) for share in side or ()]
    top = max(shares, default=0.0) or 1.0
    span = (edges[-1] - edges[0]) or 1.0
    at = [10 + (width - 20) * (edge - edges[0]) / span for edge in edges]
    parts = [_open(width, height + 16, title)]
    for side, colour, opacity in ((reference, STILL, 0.45), (window, LINE, 0.4)):
        if side is None:
            continue
        heights = [(height - 6) * share / top for share in side]
        steps = " ".join(
            f"{a:.1f},{height - h:.1f} {b:.1f},{height - h:.1f}"
            for a, b, h in zip(at, at[1:], heights, strict=False)
        )
        parts.append(
            f'<polygon points="{at[0]:.1f},{height} {steps} {at[-1]:.1f},{height}" fill="{colour}" '
            f'fill-opacity="{opacity}" stroke="{colour}" stroke-width="1.5"/>'
        )
    parts.append(f'<path d="M10 {height}H{width - 10}" stroke="currentColor" stroke-opacity="0.4"/>')
    parts.append(f'<path d="M10 6H{width - 10}" stroke="currentColor" stroke-opacity="0.15"/>')
    parts.append(_label(width - 10, 15, f"{top:.0%}" if top >= 0.01 else f"{top:.2g}", "end", 9))
    parts += [
        _label(10, height + 13, labels[0], "start"),
        _label(width - 10, height + 13, labels[1], "end"),
    ]
    return "".join([*parts, "</svg>"])


def bars(rows: Sequence[tuple[str, float | None, float | None]], *, title: str) -> str:
    """Return a pair of bars a category: its share, 0 to 1, in the reference above that in the window."""
    left, width, step = 140, 360, 26
    top = max((share or 0.0 for _, *both in rows for share in both), default=0.0) or 1.0
    parts = [_open(width, step * len(rows) + 4, title)]
    for index, (name, reference, window) in enumerate(rows):
        y = index * step + 3
        parts.append(_label(left - 6, y + 14, fit(name, left - 8, 11), "end", 11))
        for share, colour, down in ((reference, STILL, 0), (window, LINE, 10)):
            length = (width - left - 50) * (share or 0.0) / top
            parts.append(
                f'<rect x="{left}" y="{y + down}" width="{max(length, 0.5):.1f}" height="9" fill="{colour}" '
                f'fill-opacity="0.75"/>'
            )
            shown = "–" if share is None else f"{share:.1%}"
            parts.append(_label(left + length + 4, y + down + 8, shown, "start", 9))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Point:
    """A measured value with its interval, and the one that was estimated without outcomes."""

    label: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    estimate: float | None = None


def line_chart(points: Sequence[Point], *, title: str, form: str, note: str = "") -> str:
    """Return a line in its band, and the estimate as a dashed line; ``form`` formats the axis' numbers."""
    given = [x for p in points for x in (p.value, p.low, p.high, p.estimate) if x is not None]
    if not given:
        return ""
    left, right, height = 52, 712, 130
    low, high = min(given), max(given)
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = low - pad, high + pad
    step = (right - left) / max(1, len(points) - 1)

    def y(value: float) -> float:
        return 6 + (height - 6) * (1 - (value - low) / (high - low))

    parts = [_open(right + 10, height + 20, title, note)]
    for tick in _ticks(low, high):
        parts.append(
            f'<path d="M{left} {y(tick):.1f}H{right}" stroke="currentColor" stroke-opacity="0.15"/>'
            + _label(left - 6, y(tick) + 3, f"{tick:{form}}", "end")
        )
    for run in _runs([p.value for p in points]):
        places = [index for index, _ in run]
        uppers = [(i, points[i].high if points[i].high is not None else points[i].value) for i in places]
        lowers = [(i, points[i].low if points[i].low is not None else points[i].value) for i in places]
        around = " ".join(f"{left + i * step:.1f},{y(v or 0.0):.1f}" for i, v in [*uppers, *lowers[::-1]])
        if len(run) > 1:
            parts.append(f'<polygon points="{around}" fill="{LINE}" fill-opacity="0.15"/>')
        parts.append(_line([(left + i * step, y(v)) for i, v in run], LINE))
    for run in _runs([p.estimate for p in points]):
        parts.append(_line([(left + i * step, y(v)) for i, v in run], HOT, dashed=True))
    parts.append(_label(left, height + 15, points[0].label, "start"))
    if len(points) > 1:
        parts.append(_label(right, height + 15, points[-1].label, "end"))
    return "".join([*parts, "</svg>"])


def shares(values: Sequence[float | None], *, title: str, marked: Sequence[bool] = ()) -> str:
    """Return one bar a window, of a share from 0 to 1; a marked one is hot."""
    width, height = max(4, min(18, 660 // max(1, len(values)))), 46
    parts = [_open(max(60, width * len(values) + 2), height, title)]
    for index, value in enumerate(values):
        hot = index < len(marked) and marked[index]
        size = (height - 4) * min(1.0, max(0.0, value or 0.0))
        parts.append(
            f'<rect x="{1 + index * width}" y="{height - 2 - size:.1f}" width="{width - 1}" '
            f'height="{max(size, 0.5):.1f}" fill="{HOT if hot else LINE}" fill-opacity="0.7"/>'
        )
    return "".join([*parts, "</svg>"])


def shorten(text: str, length: int) -> str:
    """Cut a text that has no room."""
    return text if len(text) <= length else text[: length - 1] + "…"


def fit(text: str, room: float, size: float) -> str:
    """Cut a text to what has room in so many pixels, in letters of that size."""
    text = shorten(text, 100)
    if _width(text, size) <= room:
        return text
    kept = len(text)
    while kept and _width(text[:kept], size) + size > room:
        kept -= 1
    return text[:kept] + "…"


def _width(text: str, size: float) -> float:
    """Say how wide a text is about, in pixels: the font is the reader's, a wide one is assumed."""
    return size * sum(
        1.0 if ord(one) > 0x2E7F or one in "mwMW@%<>=+" else 0.4 if one in "iljtfr.,:;'|! ()[]" else 0.68
        for one in text
    )


def _ticks(low: float, high: float) -> list[float]:
    """Give two to five round numbers between two."""
    step = 10.0 ** math.floor(math.log10(high - low))
    step *= next(part for part in (5, 2, 1, 0.5, 0.2) if (high - low) / (step * part) >= 3)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _open(width: int, height: int, title: str, note: str = "", role: str = "img") -> str:
    said = escape(shorten(title, 300))
    described = f"<desc>{escape(shorten(note, 1000))}</desc>" if note else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="{role}" aria-label="{said}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'style="max-width:100%;height:auto"><title>{said}</title>{described}'
    )


def _heat_cell(cell: Cell, x: int, y: int, width: int, height: int) -> str:
    rect = f'<rect x="{x}" y="{y}" width="{width - 1}" height="{height - 1}"'
    if cell.key:
        rect += (
            f' data-key="{escape(cell.key)}" role="button" tabindex="-1" aria-label="{escape(cell.title)}"'
        )
    if cell.value is None:
        return f'{rect} fill="none" stroke="currentColor" stroke-opacity="0.15"/>'
    heat = min(1.0, max(0.0, cell.value / PSI_LARGE))
    rect += (
        f' fill="{HOT}" fill-opacity="{0.06 + 0.84 * heat:.2f}"><title>{escape(cell.title)}</title></rect>'
    )
    if not cell.marked:
        return rect
    right, down = x + width / 2 - 0.5, y + height / 2 - 0.5
    return f'{rect}<circle cx="{right}" cy="{down}" r="2.5" fill="currentColor" pointer-events="none"/>'


def _label(x: float, y: float, text: str, anchor: str, size: int = 10) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="currentColor">'
        f"{escape(text)}</text>"
    )


def _line(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    if len(points) == 1:
        [(x, y)] = points
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{told}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]
