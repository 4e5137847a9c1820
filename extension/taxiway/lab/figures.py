"""The pictures of a report: drift per column and window, one column over its reference, performance.

Each takes an endpoint's JSON (``taxiway.control.views.endpoint_detail``) and gives a fragment of HTML with
inline SVG, or an empty text where there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from taxiway.lab import svg
from taxiway.lab.attention import amount, interval, live_windows, when
from taxiway.lab.markup import phrase, table, text
from taxiway.lab.svg import shorten

Json = Mapping[str, Any]

MOST_COLUMNS = 30
MOST_WINDOWS = 60
MOST_NAMES = 100
MOST_CATEGORIES = 12
TESTS = {"ks": "Kolmogorov–Smirnov", "chi2": "χ²", "fisher": "Fisher"}
STILL = '<span class="key still"></span>reference'
WINDOW = '<span class="key line"></span>window'
HEAT = (
    'PSI against the reference: <span class="key heat none"></span>0 <span class="key heat some"></span>0.1 '
    '<span class="key heat full"></span>0.25 or more; ● drifted'
)


def drift_map(detail: Json, *, choose: bool = False, columns: int = MOST_COLUMNS) -> str:
    """The drift of columns × windows; with ``choose``, each cell has a key that a widget is told."""
    windows = [window for window in live_windows(detail) if window.get("drift")]
    shown = windows[-MOST_WINDOWS:]
    names = [str(one["column"]) for one in moved(detail)]
    if not shown or not names:
        return ""
    drifts = [{one["column"]: one for one in window["drift"]} for window in shown]
    places = [when(detail, window["start"]) for window in shown]
    rows = [
        svg.Row(
            name,
            [
                _cell(name, place, drift.get(name), f"{column}:{position}" if choose else "")
                for position, (place, drift) in enumerate(zip(places, drifts, strict=True))
            ],
        )
        for column, name in enumerate(names[:columns])
    ]
    note = "; ".join(
        f"{shorten(row.label, 40)} drifted {sum(cell.marked for cell in row.cells)} times in {len(shown)}"
        for row in rows[:12]
    )
    title = "Heat map of drift per column and window"
    picture = svg.heat_map(rows, title=title, places=places, note=note)
    left = [shorten(name, 40) for name in names[columns:]]
    more = _more(left, "columns, which moved less") if left else ""
    if len(windows) > len(shown):
        more += f'<p class="quiet">{len(windows) - len(shown)} earlier windows are not drawn.</p>'
    return f'<p class="quiet">{HEAT}</p><div class="wide newest" tabindex="0">{picture}</div>{more}'


def moved(detail: Json) -> list[Json]:
    """Every column's newest drift, those that moved most first; times of drifting under ``times``."""
    found: dict[str, dict[str, Any]] = {}
    for window in live_windows(detail):
        for one in window.get("drift") or ():
            before = found.get(one["column"], {"peak": 0.0, "times": 0, "windows": 0, "at": None})
            psi = one.get("psi") or 0.0
            higher = psi > before["peak"]
            found[one["column"]] = {
                "column": one["column"],
                "times": before["times"] + bool(one.get("drifted")),
                "windows": before["windows"] + 1,
                "peak": psi if higher else before["peak"],
                "at": window if higher else before["at"],
            }
    for one in detail.get("columns") or ():
        known = {"column": one["column"], "times": int(one.get("ever") or 0), "windows": 0, "at": None}
        found.setdefault(one["column"], known | {"peak": one.get("peak") or 0.0})
    return sorted(found.values(), key=lambda one: (not one["times"], -one["peak"], str(one["column"])))


def column(detail: Json, found: Json) -> str:
    """One column in a window over the reference, as ``taxiway.control.column_detail`` gives it."""
    name, place = str(found["column"]), when(detail, found["window"])
    picture = distribution(found["distribution"], f"{shorten(name, 60)}, {place}, over the reference")
    drift = found.get("drift") or {}
    figures = [
        "drifted" if drift.get("drifted") else "not drifted" if drift else "",
        *(
            f"{label} {drift[key]:.3g}"
            for key, label in (
                ("psi", "PSI"),
                ("jensen_shannon", "Jensen–Shannon"),
                ("wasserstein", "Wasserstein"),
            )
            if drift.get(key) is not None
        ),
        f"{TESTS.get(str(drift.get('test')), '')} {_p(drift['p_value'])}"
        if drift.get("p_value") is not None
        else "",
        str(drift.get("text") or ""),
    ]
    for key, label in (("new_categories", "new"), ("vanished_categories", "vanished")):
        if drift.get(key):
            listed = ", ".join(shorten(str(one), 30) for one in drift[key][:8])
            rest = len(drift[key]) - 8
            figures.append(f"{label}: {listed}" + (f" and {rest} more" if rest > 0 else ""))
    said = phrase("; ".join(figure for figure in figures if figure))
    rows = f"{found.get('rows') or 0:,} rows"
    return (
        f'<figure style="margin:0"><h3>{text(shorten(name, 80))}</h3>'
        f'<p class="quiet">{text(place)}, {rows}</p>{picture}'
        f'<figcaption class="quiet">{said}</figcaption></figure>'
    )


def distribution(found: Json, title: str) -> str:
    """A column's distribution over the reference's."""
    notes = f'<p class="quiet">{text(found["text"])}</p>' if found.get("text") else ""
    if found["kind"] == "categorical" and found["categories"]:
        kept = found["categories"][:MOST_CATEGORIES]
        rows = [(_category(one), one["reference"], one["window"]) for one in kept]
        left = len(found["categories"]) - len(kept)
        more = f'<p class="quiet">and {left} more categories</p>' if left else ""
        return f'{svg.bars(rows, title=title)}<p class="quiet">{STILL}{WINDOW}</p>{more}{notes}'
    if found["kind"] in ("numeric", "datetime") and len(found["edges"]) > 1:
        ends = (_edge(found, 0), _edge(found, -1))
        sides = (found["reference"], found["window"])
        picture = svg.histogram(found["edges"], *sides, title=title, labels=ends)
        return f'{picture}<p class="quiet">{STILL}{WINDOW}</p>{notes}'
    return notes


def performance(detail: Json) -> str:
    """The metric of every window with its interval beside the estimate; coverage by outcomes; a table."""
    windows = [one for one in live_windows(detail) if one.get("performance") or one.get("estimated")]
    shown = windows[-MOST_WINDOWS:]
    if not shown:
        return ""
    metric = next((one["performance"]["metric"] for one in reversed(shown) if one.get("performance")), "")
    metric = metric or str((shown[-1].get("estimated") or {}).get("metric", ""))
    chart = [_point(detail, one, metric) for one in shown]
    form = ".0%" if amount(0.5, metric).endswith("%") else ".3g"
    title = f"Line of {metric or 'performance'} per window with its 95% interval, and as estimated"
    note = "; ".join(f"{one.label}: {amount(one.value, metric)}" for one in chart[-12:])
    picture = svg.line_chart(chart, title=title, form=form, note=note)
    key = (
        f'<span class="key line"></span>{text(metric)} with its 95% interval'
        '<span class="key hot"></span>dashed: estimated without outcomes'
    )
    coverages = [(one.get("performance") or {}).get("coverage") for one in shown]
    bars = svg.shares(
        coverages,
        title="Share of the predictions that have an outcome, per window",
        marked=[(c or 0) < 0.5 for c in coverages],
    )
    rows = [
        (
            when(detail, one["start"]),
            one.get("model"),
            interval(one["performance"]) if one.get("performance") else "no outcomes",
            (one.get("performance") or {}).get("n"),
            f"{(one.get('performance') or {}).get('coverage') or 0:.0%}",
            _estimate(one.get("estimated")),
        )
        for one in reversed(shown)
    ]
    listed = table(("Window", "Model", metric.capitalize(), "Outcomes", "Coverage", "Estimated"), rows)
    return (
        f'<div class="wide newest" tabindex="0">{picture}</div><p class="quiet">{key}</p>'
        f'<p>Predictions with an outcome:</p><div class="wide newest">{bars}</div>'
        f"<details><summary>As a table</summary>{listed}</details>"
    )


def multivariate(detail: Json) -> str:
    """How well a classifier tells a window from the reference by all columns together."""
    windows = [one for one in live_windows(detail) if one.get("multivariate")][-MOST_WINDOWS:]
    if not windows:
        return ""
    found = [one["multivariate"] for one in windows]
    chart = [
        svg.Point(when(detail, window["start"]), one.get("auc"), one.get("low"), one.get("high"))
        for window, one in zip(windows, found, strict=True)
    ]
    picture = svg.line_chart(chart, title="AUC of telling a window from the reference", form=".2f")
    listed = ", ".join(str(one["column"]) for one in (found[-1].get("columns") or ())[:8])
    by = f" It tells them apart most by {listed}." if listed else ""
    said = f"In {chart[-1].label}: {found[-1].get('text') or amount(found[-1].get('auc'))}.{by}"
    scale = '<p class="quiet">0.5: alike; 1: nothing in common.</p>'
    return f'{scale}<div class="wide newest">{picture}</div><p>{text(said)}</p>'


def _cell(name: str, place: str, drift: Json | None, key: str) -> svg.Cell:
    if drift is None:
        return svg.Cell(None, False, "")
    psi = drift.get("psi")
    shown = "not tested" if psi is None else f"PSI {psi:.3f}"
    marked = bool(drift.get("drifted"))
    told = f"{shorten(name, 40)}, {place}: {shown}{', drifted' if marked else ''}"
    return svg.Cell(psi, marked, told, key)


def _more(names: Sequence[str], what: str) -> str:
    listed = escape(", ".join(names[:MOST_NAMES]))
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"<details><summary>and {len(names)} more {what}</summary><p>{listed}{rest}</p></details>"


def _point(detail: Json, window: Json, metric: str) -> svg.Point:
    found, guess = window.get("performance") or {}, window.get("estimated") or {}
    same = guess.get("metric") == metric
    return svg.Point(
        when(detail, window["start"]),
        found.get("value"),
        found.get("low"),
        found.get("high"),
        guess.get("value") if same else None,
    )


def _estimate(found: Json | None) -> str:
    if not found:
        return ""
    return interval(found) if found.get("value") is not None else str(found.get("text") or "")


def _category(one: Json) -> str:
    mark = " (new)" if one.get("new") else " (gone)" if one.get("vanished") else ""
    return f"{shorten(str(one['value']) or '(empty text)', 20 - len(mark))}{mark}"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _edge(found: Json, place: int) -> str:
    value = float(found["edges"][place])
    if found["kind"] != "datetime":
        return f"{value:.4g}"
    from datetime import UTC, datetime

    try:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return f"{value:.4g}"
