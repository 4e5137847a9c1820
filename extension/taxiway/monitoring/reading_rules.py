"""Default rules on the shape of the data, all columns together, estimates, slices and concept drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from taxiway.monitoring.context import Context, Firing, Severity, WindowReadings, firing
from taxiway.monitoring.performance import LOWER_IS_BETTER, SPOKEN

_QUALITY_RULES: dict[str, tuple[str, Severity]] = {
    "added": ("schema_added", "warning"),
    "removed": ("schema_removed", "critical"),
    "renamed": ("schema_renamed", "warning"),
    "retyped": ("schema_retyped", "critical"),
    "reordered": ("schema_reordered", "info"),
    "rescaled": ("schema_rescaled", "critical"),
    "constant": ("schema_constant", "warning"),
    "out_of_range": ("schema_out_of_range", "warning"),
    "new_category": ("new_category", "info"),
    "null_share": ("null_share", "warning"),
}
#: What more rows may still disprove is told of windows that are complete.
_WHEN_COMPLETE = frozenset({"constant", "out_of_range", "null_share"})
_METHODS = {
    "cbpe": "confidence-based estimation",
    "dle": "direct loss estimation",
    "adwin": "ADWIN",
    "page_hinkley": "Page–Hinkley",
}


def readings_of(context: Context) -> list[WindowReadings]:
    """Give the readings of the live Model, oldest first."""
    mine = [window for window in context.readings if context.model in (None, window.model)]
    return sorted(mine, key=lambda window: window.end)


def quality(context: Context) -> Iterator[Firing]:
    """Tell how the shape of the data differs from the reference, by the newest window."""
    windows = readings_of(context)
    newest = windows[-1] if windows else None
    complete = next((window for window in reversed(windows) if window.complete), None)
    for window, settled in ((newest, False), (complete, True)):
        for change in window.quality if window is not None else ():
            kind = str(change["kind"])
            if kind not in _QUALITY_RULES or (kind in _WHEN_COMPLETE) is not settled:
                continue
            rule, severity = _QUALITY_RULES[kind]
            assert window is not None
            yield firing(
                context.endpoint,
                rule,
                severity,
                f"{_sentence(str(change['text']))} in {window.label}",
                _expected(change),
                str(change["column"]) or None,
                window=window.label,
                value=change.get("value"),
            )


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return text[:1].upper() + text[1:]


def _expected(change: Mapping[str, Any]) -> str:
    expected, found, example = change.get("expected"), change.get("found"), change.get("example")
    parts = [f"Expected {expected}, found {found}."] if expected or found else []
    if example is not None:
        parts.append(f"Example: {str(example)[:80]!r}.")
    return " ".join(parts) or "By the window's profile, against the reference."


def multivariate(context: Context) -> Iterator[Firing]:
    """Tell of all columns that moved together, by the newest complete window that was tested."""
    window = next(
        (one for one in reversed(readings_of(context)) if one.complete and one.multivariate is not None), None
    )
    if window is None or window.multivariate is None or not window.multivariate.get("drifted"):
        return
    found = window.multivariate
    names = ", ".join(f"`{entry['column']}`" for entry in (found.get("columns") or [])[:3])
    yield firing(
        context.endpoint,
        "multivariate_drift",
        "warning",
        f"The columns of {context.endpoint} moved together in {window.label}"
        f"{f', most of all {names}' if names else ''} (AUC {found['auc']:.2f})",
        _sentence(str(found.get("text") or found.get("method") or "")) + ".",
        window=window.label,
        value=found["auc"],
        threshold=0.5,
    )


def estimated(context: Context) -> Iterator[Firing]:
    """Tell of a drop that is estimated, unless enough outcomes are there to measure it."""
    measured = {
        (window.start, window.model)
        for window in context.performance
        if window.performance.n_labelled >= context.thresholds.min_labels
    }
    window = next(
        (one for one in reversed(readings_of(context)) if one.complete and one.estimated is not None), None
    )
    if window is None or window.estimated is None or (window.start, window.model) in measured:
        return
    found = window.estimated
    baseline, value, metric = found.get("baseline"), found["value"], str(found["metric"])
    if baseline is None or value is None or None in (found["low"], found["high"]):
        return
    least = context.thresholds.min_drop
    if metric in LOWER_IS_BETTER:
        holds = found["low"] > baseline and value / max(baseline, 1e-300) - 1 >= least
        form, verb = ".3g", "rose"
    else:
        holds = found["high"] < baseline and baseline - value >= least
        form, verb = ".1%", "fell"
    if not holds:
        return
    yield firing(
        context.endpoint,
        "estimated_drop",
        "warning",
        f"Estimated {SPOKEN[metric]} of {context.endpoint} {verb} to {value:{form}} in {window.label}, "
        f"from {baseline:{form}}",
        f"By {_METHODS[found['method']]} over {found['n']} predictions, without outcomes; "
        f"95% interval {found['low']:{form}} to {found['high']:{form}}.",
        window=window.label,
        value=value,
        threshold=baseline,
    )


def slices(context: Context) -> Iterator[Firing]:
    """Tell of each slice that fares worse than the rest, by the newest complete window with outcomes."""
    window = next((one for one in reversed(readings_of(context)) if one.complete and one.slices), None)
    for entry in window.slices if window is not None else ():
        if not entry.get("worse"):
            continue
        assert window is not None
        gap, p = entry.get("gap"), entry.get("p_value")
        name = str(entry.get("name") or f"{entry['column']} = {entry['value']}")
        by = f" by {abs(gap):.3g}" if gap is not None else ""
        yield firing(
            context.endpoint,
            "slice_gap",
            "warning",
            f"{context.endpoint} fares worse where {name}{by} in {window.label}",
            f"Over {entry.get('n_labelled', 0)} outcomes of the slice"
            f"{f', p = {p:.2g}' if p is not None else ''}.",
            f"{entry['column']}={entry['value']}",
            window=window.label,
            value=gap,
        )


def concept(context: Context) -> Iterator[Firing]:
    """Tell that the Model's errors changed for good."""
    found = context.concept
    if found is None or not found.get("drifted"):
        return
    changes = found.get("changes") or []
    last = changes[-1] if changes else None
    yield firing(
        context.endpoint,
        "concept_drift",
        "critical",
        f"What {context.endpoint} learnt no longer holds: {found['text']}",
        f"Found by {_METHODS[found['method']]} over {found['n']} outcomes.",
        value=last["after"] if last else None,
        threshold=last["before"] if last else None,
    )
