"""The parts that a report, its static form and the live widget are made of: what is told in words and tables.

Every part takes an endpoint's JSON (``taxiway.control.views.endpoint_detail``) and gives a fragment of HTML,
or an empty text where there is nothing to show; the pictures are in ``taxiway.lab.figures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taxiway.lab.attention import amount, attention, interval, when
from taxiway.lab.figures import drift_map, performance
from taxiway.lab.markup import phrase, section, table, text, time
from taxiway.lab.svg import shorten

Json = Mapping[str, Any]

FEW_COLUMNS = 20
MOST_ALERTS = 10


def overview(detail: Json, *, choose: bool = False) -> dict[str, str]:
    """What a notebook shows of an endpoint, part by part; with ``choose``, for a widget."""
    drift = drift_map(detail, choose=choose, columns=FEW_COLUMNS)
    return {
        "state": f"<h1>Endpoint {text(detail.get('name'))}</h1>{points(detail)}{facts(detail)}",
        "drift": section("Drift per column and window", drift),
        "column": "",
        "performance": section("Performance", performance(detail)),
        "schema": section("Schema changes", schema(detail)),
        "alerts": section("Alerts", alerts(detail)),
    }


def points(detail: Json) -> str:
    """What needs attention."""
    listed = "".join(f'<li class="{one.level}">{phrase(one.text)}</li>' for one in attention(detail))
    return f'<ul class="points">{listed}</ul>'


def facts(detail: Json) -> str:
    """The endpoint's state."""
    accuracy = detail.get("accuracy")
    given = {
        "Status": detail.get("status"),
        "Live": detail.get("live"),
        "Shadow": detail.get("shadow") or "none",
        "Predictions": f"{detail.get('requests') or 0:,}",
        "Outcomes": f"{detail.get('outcomes') or 0:,}",
        "Accuracy": interval(accuracy, "accuracy") if accuracy else "no outcomes yet",
        "Open alerts": detail.get("open_alerts"),
        "URL": detail.get("url"),
        "Notes": " ".join(detail.get("notes") or ()) or None,
    }
    listed = "".join(
        f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>"
        for name, value in given.items()
        if value is not None
    )
    return f"<dl>{listed}</dl>"


def alerts(detail: Json) -> str:
    """The alerts, open ones first."""
    rows = [
        (
            one.get("severity"),
            str(one.get("state")) + (", silenced" if one.get("silenced_until") else ""),
            f"{one.get('title') or ''}\n{one.get('detail') or ''}",
            time(one.get("first_seen")),
            time(one.get("last_seen")),
            one.get("count"),
        )
        for one in detail.get("alerts") or ()
    ]
    names = ("Severity", "State", "What", "First seen, UTC", "Last seen, UTC", "Times")
    left = rows[MOST_ALERTS:]
    more = f"<details><summary>and {len(left)} more alerts</summary>{table(names, left)}</details>"
    return table(names, rows[:MOST_ALERTS]) + (more if left else "")


def slices(detail: Json) -> str:
    """The performance within slices of the newest window that has any, the worst first."""
    found = detail.get("slices") or {}
    metric = found.get("metric", "")
    ranked = sorted(
        found.get("slices") or (), key=lambda one: (not one.get("worse"), one.get("p_value") or 1.0)
    )
    rows = [
        (
            one.get("name"),
            interval((one.get("metrics") or {}).get(metric) or {}, metric),
            one.get("n_labelled"),
            "" if one.get("gap") is None else f"{one['gap']:+.3g}",
            "" if one.get("p_value") is None else f"{one['p_value']:.2g}",
            "worse" if one.get("worse") else "",
        )
        for one in ranked
    ]
    if not rows:
        return ""
    place = f"<p>{text(when(detail, found.get('window')))}; the gap is to all other rows.</p>"
    return place + table(("Slice", metric.capitalize(), "Outcomes", "Gap", "p", ""), rows)


def concept(detail: Json) -> str:
    """What the change detector says of the error."""
    found = detail.get("concept") or {}
    if not found:
        return ""
    rows = [
        (time(one.get("time")), f"{one['before']:.3g}", f"{one['after']:.3g}", one.get("n"))
        for one in found.get("changes") or ()
    ]
    told = str(found.get("text") or "no change of the error")
    said = f"<p>{phrase(told[:1].upper() + told[1:])}</p>"
    return said + table(("Since, UTC", "Error before", "After", "Outcomes after"), rows)


def schema(detail: Json) -> str:
    """How requests, and the windows' profiles, differ from the signature, by name."""
    rows = [
        (
            one.get("column"),
            str(one.get("kind", "")).replace("_", " "),
            one.get("expected"),
            f"{one.get('found') or ''}{', refused' if one.get('rejected') else ''}",
            _example(one),
            one.get("count"),
            time(one.get("first_seen")),
            time(one.get("last_seen")),
        )
        for one in detail.get("schema") or ()
    ]
    rows += [
        (
            one.get("column"),
            str(one.get("kind", "")).replace("_", " "),
            one.get("expected"),
            one.get("text"),
            _example(one),
            f"{one.get('windows')} window{'' if one.get('windows') == 1 else 's'}",
            when(detail, one.get("first")),
            when(detail, one.get("last")),
        )
        for one in detail.get("quality") or ()
    ]
    names = ("Column", "Change", "Expected", "Found", "Example", "Times", "First seen, UTC", "Last seen, UTC")
    return table(names, rows)


def shadow(detail: Json) -> str:
    """What the comparison with the shadow says."""
    found = detail.get("shadow_report") or {}
    if not found:
        return ""
    reasons = "".join(f"<li>{phrase(reason)}</li>" for reason in found.get("reasons") or ())
    rows = [
        (
            one.get("name"),
            amount((one.get("difference") or {}).get("live"), found.get("metric")),
            amount((one.get("difference") or {}).get("shadow"), found.get("metric")),
            (one.get("difference") or {}).get("n"),
            "worse" if one.get("worse") else "",
        )
        for one in found.get("slices") or ()
    ]
    counted = f"{found.get('n_pairs') or 0:,} rows answered by both, {found.get('n_labelled') or 0:,} judged"
    verdict = f"{text(detail.get('shadow'))}: {text(found.get('verdict'))}"
    return f"<p><b>{verdict}</b> ({counted})</p><ul>{reasons}</ul>" + table(
        ("Slice", "Live", "Shadow", "Outcomes", ""), rows
    )


def timeline(detail: Json) -> str:
    """What happened, newest first."""
    rows = [
        (
            time(one.get("time")),
            str(one.get("event", "")).replace("_", " "),
            one.get("text"),
            one.get("actor"),
        )
        for one in reversed(detail.get("timeline") or ())
    ]
    return table(("Time, UTC", "Event", "What", "By"), rows)


def _example(one: Json) -> str:
    value = one.get("example")
    return "" if value is None else shorten(repr(value), 60)
