"""How a Model and an endpoint show themselves in a notebook.

JupyterLab with the extension draws the live widget from the first entry of the bundle; everything
else (nbconvert, another front end, a notebook opened elsewhere) shows the static HTML of the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from taxiway.lab.markup import style
from taxiway.lab.sections import overview

MODEL_MIME = "application/vnd.taxiway.model+json"
ENDPOINT_MIME = "application/vnd.taxiway.endpoint+json"
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
    return f"<style>{style()}</style><div class='tw'>{''.join(overview(detail).values())}</div>"


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


def _text(value: object) -> str:
    return "" if value is None else escape(str(value))


def _list(detail: Detail, key: str) -> list[Any]:
    value = detail.get(key)
    return list(value) if isinstance(value, list | tuple) else []
