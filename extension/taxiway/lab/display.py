"""How a Model and an endpoint show themselves in a notebook.

JupyterLab with the extension draws the live widget from the first entry of the bundle; everything
else (nbconvert, another front end, a notebook opened elsewhere) shows the static HTML of the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from taxiway.lab.svg import Cell, Row, heat_map, sparkline

MODEL_MIME = "application/vnd.taxiway.model+json"
ENDPOINT_MIME = "application/vnd.taxiway.endpoint+json"
MAX_WINDOWS = 24
MAX_COLUMNS = 12
MAX_ROWS = 20
CHECK_TITLES = ("Check", "Level", "Result", "Reason", "What to do")

Detail = Mapping[str, Any]
"""JSON as the REST routes give it."""


def model_bundle(detail: Detail) -> dict[str, object]:
    """Return the MIME bundle of a Model.

    Parameters
    ----------
    detail
        A ``ModelDetail`` as ``GET models/{name}/{version}`` gives it.
    """
    return {MODEL_MIME: dict(detail), "text/html": _model_html(detail), "text/plain": _model_text(detail)}


def preflight_html(preflight: Detail) -> str:
    """Return the table of a Model's checks.

    Parameters
    ----------
    preflight
        ``{"ok", "checks": [...]}``.
    """
    return _card(
        "Preflight",
        _preflight_text({"preflight": preflight}),
        (),
        _table("", CHECK_TITLES, _checks(preflight)),
    )


def endpoint_bundle(detail: Detail) -> dict[str, object]:
    """Return the MIME bundle of an endpoint.

    Parameters
    ----------
    detail
        An ``EndpointDetail`` as ``GET endpoints/{name}`` gives it.
    """
    return {
        ENDPOINT_MIME: dict(detail),
        "text/html": _endpoint_html(detail),
        "text/plain": _endpoint_text(detail),
    }


def _model_text(detail: Detail) -> str:
    return f"Model {detail.get('tag', '')} ({_preflight_text(detail)})"


def _preflight_text(detail: Detail) -> str:
    preflight = detail.get("preflight") or {}
    checks = _list(preflight, "checks")
    failed = [str(check.get("name", "")) for check in checks if check.get("result") == "failed"]
    if not preflight.get("ok"):
        return f"preflight failed: {', '.join(failed)}" if failed else "preflight failed"
    passed = sum(check.get("result") == "passed" for check in checks)
    verdict = (
        "preflight passed" if preflight.get("replayed", True) else "preflight passed, but not replayed yet"
    )
    return f"{verdict}, {passed} checks" if checks else verdict


def _endpoint_text(detail: Detail) -> str:
    text = f"Endpoint {detail.get('name', '')} {detail.get('status', 'UNKNOWN')}"
    text += f" at {detail.get('url') or 'no URL'}, live {detail.get('live') or 'none'}"
    return text + (f", shadow {detail['shadow']}" if detail.get("shadow") else "")


def _model_html(detail: Detail) -> str:
    facts = [
        ("Framework", detail.get("framework")),
        ("Task", detail.get("task")),
        ("Created", detail.get("created")),
        ("Live on", ", ".join(map(str, _list(detail, "live_on"))) or "no endpoint"),
    ]
    signature = detail.get("signature") or {}
    inputs = [
        (column.get("name"), column.get("dtype"), "yes" if column.get("nullable") else "no")
        for column in _list(signature, "inputs")
    ]
    return _card(
        f"Model {detail.get('tag', '')}",
        _preflight_text(detail),
        facts,
        _table("Preflight", CHECK_TITLES, _checks(detail.get("preflight") or {})),
        _table("Signature", ("Input", "Type", "Nullable"), inputs),
    )


def _checks(preflight: Detail) -> list[tuple[object, ...]]:
    return [
        (
            check.get("name"),
            check.get("level"),
            check.get("result"),
            check.get("reason"),
            "" if check.get("result") == "passed" else check.get("remedy"),
        )
        for check in _list(preflight, "checks")
    ]


def _endpoint_html(detail: Detail) -> str:
    accuracy = detail.get("accuracy")
    facts = [
        ("URL", detail.get("url") or "none"),
        ("Live", detail.get("live") or "none"),
        ("Shadow", detail.get("shadow") or "none"),
        ("Requests", detail.get("requests")),
        ("Accuracy", _interval(accuracy) if accuracy else "no outcomes yet"),
        ("Drifted", ", ".join(map(str, _list(detail, "drifted_columns"))) or "no column"),
        *(("Note", note) for note in _list(detail, "notes")),
    ]
    alerts = [
        (alert.get("severity"), alert.get("title"), alert.get("last_seen"))
        for alert in _list(detail, "alerts")
        if alert.get("state") == "firing"
    ]
    windows = [window for window in _list(detail, "windows") if window.get("role") == "live"][-MAX_WINDOWS:]
    status = str(detail.get("status", "UNKNOWN"))
    return _card(
        f"Endpoint {detail.get('name', '')}",
        f"{status}: {detail['reason']}" if detail.get("reason") else status,
        facts,
        _section("Drift per column (PSI against the reference; a dot: drifted)", _drift_svg(windows)),
        _section("Performance per window", _performance_svg(windows)),
        _table("Firing alerts", ("Severity", "Alert", "Last seen"), alerts),
    )


def _drift_svg(windows: Sequence[Detail]) -> str:
    columns: dict[str, float] = {}
    for window in windows:
        for item in _list(window, "drift"):
            name = str(item.get("column", ""))
            columns[name] = max(columns.get(name, 0.0), _number(item.get("psi")) or 0.0)
    if not columns:
        return ""
    chosen = sorted(columns, key=lambda name: -columns[name])[:MAX_COLUMNS]
    rows = [Row(name, [_drift_cell(window, name) for window in windows]) for name in chosen]
    return heat_map(rows, title="Drift per column and window", first=_day(windows[0]), last=_day(windows[-1]))


def _drift_cell(window: Detail, column: str) -> Cell:
    for item in _list(window, "drift"):
        if item.get("column") == column:
            psi = _number(item.get("psi"))
            shown = "unknown" if psi is None else f"{psi:.3f}"
            return Cell(psi, bool(item.get("drifted")), f"{column}, {_day(window)}: PSI {shown}")
    return Cell(None, False, "")


def _performance_svg(windows: Sequence[Detail]) -> str:
    values = [_number((window.get("performance") or {}).get("value")) for window in windows]
    known = [value for value in values if value is not None]
    if not known:
        return ""
    span = f"{min(known):.3g} to {max(known):.3g}"
    return f"{sparkline(values, title=f'Performance per window, {span}')}<div>{span}</div>"


def _card(title: str, subtitle: str, facts: Sequence[tuple[str, object]], *sections: str) -> str:
    listed = "".join(
        f'<span style="margin-right:1.5em"><b>{escape(name)}</b> {_text(value)}</span>'
        for name, value in facts
    )
    return (
        '<div style="font-family:sans-serif;font-size:13px;line-height:1.6;max-width:60em">'
        f'<div style="font-size:15px"><b>{escape(title)}</b> '
        f'<span style="opacity:.75">{escape(subtitle)}</span></div>'
        f"<div>{listed}</div>{''.join(sections)}</div>"
    )


def _section(title: str, body: str) -> str:
    heading = f"<b>{escape(title)}</b>" if title else ""
    return f'<div style="margin-top:.6em">{heading}<div>{body}</div></div>' if body else ""


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{_text(value)}</td>' for value in row) + "</tr>"
        for row in rows[:MAX_ROWS]
    )
    more = f"<div>and {len(rows) - MAX_ROWS} more</div>" if len(rows) > MAX_ROWS else ""
    return _section(title, f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}")


def _interval(score: Detail) -> str:
    value, low, high = (_number(score.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return "unknown"
    bounds = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{value:.3f}{bounds}, {score.get('n', 0)} outcomes"


def _text(value: object) -> str:
    return "" if value is None else escape(str(value))


def _day(window: Detail) -> str:
    return str(window.get("start", ""))[:16].replace("T", " ")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def _list(detail: Detail, key: str) -> list[Any]:
    value = detail.get(key)
    return list(value) if isinstance(value, list | tuple) else []
