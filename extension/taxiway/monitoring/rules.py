"""The default rules: what is known of an endpoint goes in, what someone should know comes out.

Drift and performance are judged on complete windows only: a window judged again and again while it fills
would raise more false alarms than its test allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from taxiway.monitoring.context import (
    SEVERITIES,
    Baseline,
    Context,
    Firing,
    LogLosses,
    Severity,
    ShadowHealth,
    Thresholds,
    WindowDrift,
    WindowPerformance,
    WindowReadings,
    fingerprint,
    firing,
)
from taxiway.monitoring.drift import ColumnDrift
from taxiway.monitoring.findings import SchemaFinding
from taxiway.monitoring.performance import SPOKEN, Estimate
from taxiway.monitoring.reading_rules import concept, estimated, multivariate, quality, slices

__all__ = [
    "SEVERITIES",
    "Baseline",
    "Context",
    "Firing",
    "LogLosses",
    "Severity",
    "ShadowHealth",
    "Thresholds",
    "WindowDrift",
    "WindowPerformance",
    "WindowReadings",
    "evaluate",
    "fingerprint",
    "performance_drop_p_value",
]

_SCHEMA_RULES: dict[str, tuple[str, Severity]] = {
    "extra": ("schema_added", "warning"),
    "missing": ("schema_removed", "critical"),
    "renamed": ("schema_renamed", "critical"),
    "retyped": ("schema_retyped", "critical"),
    "reordered": ("schema_reordered", "info"),
    "out_of_range": ("schema_out_of_range", "warning"),
    "null": ("null_share", "critical"),
    "new_category": ("new_category", "info"),
}
_FORMS = {"mae": (".3g", "rose"), "accuracy": (".0%", "fell")}
_TEST_NAMES = {"ks": "KS", "chi2": "χ²", "fisher": "Fisher"}


def evaluate(context: Context) -> list[Firing]:
    """Give every default rule that holds, the most severe first; one firing for a fingerprint."""
    firings = [
        *_losses(context),
        *_ahead(context),
        *_schema(context),
        *_drift(context),
        *_performance(context),
        *_shadow(context),
        *quality(context),
        *multivariate(context),
        *estimated(context),
        *slices(context),
        *concept(context),
    ]
    firings.sort(key=lambda one: -SEVERITIES.index(one.severity))  # stable: rules keep their order
    unique: dict[str, Firing] = {}
    for one in firings:
        unique.setdefault(one.fingerprint, one)
    return list(unique.values())


def _schema(context: Context) -> Iterator[Firing]:
    for finding in context.schema:
        over = context.now is not None and context.now - finding.last_seen > context.thresholds.schema_hold
        if over or finding.kind not in _SCHEMA_RULES:
            continue
        if finding.kind == "out_of_range" and not finding.rejected:
            continue  # a few such rows are expected of any data; of many, the window's profile tells
        rule, severity = _SCHEMA_RULES[finding.kind]
        if not finding.rejected and severity == "critical":
            severity = "warning"  # a policy lets these requests through
        first, last = (f"{time:%Y-%m-%d %H:%M:%S}" for time in (finding.first_seen, finding.last_seen))
        detail = f"First seen {first}, last seen {last} UTC, by {finding.model}."
        title = _schema_title(finding, context.endpoint)
        yield firing(
            context.endpoint, rule, severity, title, detail, finding.column, value=float(finding.requests)
        )


def _schema_title(finding: SchemaFinding, endpoint: str) -> str:
    noun = "request" if finding.requests == 1 else "requests"
    seen = f"{finding.requests} {noun}{' rejected' if finding.rejected else ''}"
    example = f", example {_shown(finding.example)}" if finding.example is not None else ""
    types = (
        f": expected {finding.expected}, found {finding.found}" if finding.expected or finding.found else ""
    )
    where = f"in requests to {endpoint}"
    titles = {
        "extra": f"New column `{finding.column}` {where} ({seen}{example})",
        "missing": f"Column `{finding.column}` is missing {where} ({seen})",
        "retyped": f"Column `{finding.column}` changed type {where}{types} ({seen}{example})",
        "null": f"Column `{finding.column}` has missing values {where} ({seen})",
        "new_category": f"New category of `{finding.column}` {where} ({seen}{example})",
        "renamed": f"Column `{finding.column}` seems to be named `{finding.found}` {where} ({seen})",
        "reordered": f"Columns come in another order {where}, from `{finding.column}` on ({seen})",
        "out_of_range": f"`{finding.column}` is out of range {where} ({seen}{example})",
    }
    return titles[finding.kind]


def _shown(example: Any) -> str:
    text = repr(example)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _drift(context: Context) -> Iterator[Firing]:
    latest: dict[str, tuple[WindowDrift, ColumnDrift]] = {}
    nulls: dict[str, tuple[WindowDrift, ColumnDrift]] = {}
    for window in sorted(context.drift, key=lambda window: window.end):
        if not window.complete or context.model not in (None, window.model):
            continue
        for column in window.columns:
            if column.tested:
                latest[column.column] = window, column
            if column.null_p_value is not None:
                nulls[column.column] = window, column
    for window, column in latest.values():
        if column.drifted:
            yield _drifted(context, window, column)
    for window, column in nulls.values():
        if column.null_drifted:
            old, new = f"{column.null_share_reference:.0%}", f"{column.null_share_window:.0%}"
            yield firing(
                context.endpoint,
                "null_share",
                "warning",
                f"Missing values of `{column.column}` went from {old} to {new} in {window.label}",
                f"{_p(column.null_p_value)} (Fisher's exact test), adjusted for the number of columns.",
                column.column,
                window=window.label,
                value=column.null_share_window,
                threshold=column.null_share_reference,
            )


def _drifted(context: Context, window: WindowDrift, column: ColumnDrift) -> Firing:
    is_output = column.column in context.outputs
    subject = f"Prediction `{column.column}`" if is_output else f"`{column.column}`"
    strength = f"PSI {column.psi:.1f}, {_TEST_NAMES[column.test or 'ks']} {_p(column.p_value)}"
    fresh = f" New categories: {', '.join(column.new_categories[:10])}." if column.new_categories else ""
    return firing(
        context.endpoint,
        "prediction_drift" if is_output else "data_drift",
        "warning",
        f"{subject} drifted in {window.label}: {strength}",
        f"{column.text[:1].upper()}{column.text[1:]}; {column.n_window} values against {column.n_reference} "
        f"of the reference of {window.model}.{fresh}",
        column.column,
        window=window.label,
        value=column.psi,
        threshold=context.thresholds.psi,
    )


def _performance(context: Context) -> Iterator[Firing]:
    limits = context.thresholds
    labelled = [
        window
        for window in sorted(context.performance, key=lambda window: window.end)
        if window.complete
        and context.model in (None, window.model)
        and window.performance.n_labelled >= limits.min_labels
        and window.performance.main is not None
    ]
    baseline = context.baseline
    if baseline is None and labelled:
        first = labelled.pop(0)
        baseline = _as_baseline(first)
    if baseline is None or not labelled:
        return
    window = labelled[-1]
    estimate, n = window.performance.main, window.performance.n_labelled
    assert estimate is not None  # asked for above
    p = performance_drop_p_value(window, baseline)
    error_like = window.performance.metric == "mae"
    drop = estimate.value / max(baseline.value, 1e-300) - 1 if error_like else baseline.value - estimate.value
    if p >= limits.alpha or drop < limits.min_drop:
        return
    form, verb = _FORMS.get(window.performance.metric, (".3g", "fell"))
    name = SPOKEN[window.performance.metric]
    subject = f"{name[:1].upper()}{name[1:]} of {context.endpoint}"
    yield firing(
        context.endpoint,
        "performance_drop",
        "critical",
        f"{subject} {verb} to {estimate.value:{form}} in {window.label}, "
        f"from {baseline.value:{form}} {baseline.source}",
        f"{_p(p)}, one-sided, over {n} outcomes ({window.performance.coverage:.0%} of the predictions); "
        f"95% interval {estimate.low:{form}} to {estimate.high:{form}}.",
        window=window.label,
        value=estimate.value,
        threshold=baseline.value,
    )


def _as_baseline(window: WindowPerformance) -> Baseline:
    measured = window.performance
    estimate: Estimate = measured.metrics[measured.metric]
    return Baseline(estimate.value, measured.n_labelled, measured.spread, f"in {window.label}")


def performance_drop_p_value(window: WindowPerformance, baseline: Baseline) -> float:
    """Give the one-sided p-value that a window is no worse than the baseline.

    Accuracy: Fisher's exact test on the two counts, or the exact binomial test where the baseline has no
    size. Any other metric: Welch's t-test (*Biometrika* 34, 1947), or the one-sample t-test.
    """
    from scipy.stats import binomtest, fisher_exact, t, ttest_ind_from_stats

    measured = window.performance
    value, n = measured.metrics[measured.metric].value, measured.n_labelled
    if measured.metric == "accuracy":
        hits = round(value * n)
        if baseline.n is None:
            return float(binomtest(hits, n, min(max(baseline.value, 0.0), 1.0), alternative="less").pvalue)
        before = round(baseline.value * baseline.n)
        table = [[hits, n - hits], [before, baseline.n - before]]
        return float(fisher_exact(table, alternative="less").pvalue)
    spread = measured.spread or 0.0
    if n < 2 or spread == 0:
        return 1.0
    worse: Literal["greater", "less"] = "greater" if measured.metric == "mae" else "less"
    if baseline.n is None or baseline.spread is None:
        tail = t.sf if worse == "greater" else t.cdf
        return float(tail((value - baseline.value) / (spread / n**0.5), n - 1))
    test = ttest_ind_from_stats(
        value, spread, n, baseline.value, baseline.spread, baseline.n, equal_var=False, alternative=worse
    )
    return float(test.pvalue)


def _shadow(context: Context) -> Iterator[Firing]:
    health, limits = context.shadow, context.thresholds
    if health is None or health.errors < limits.shadow_min_errors:
        return
    share = health.errors / max(health.requests, health.errors)
    if share < limits.shadow_error_share:
        return
    yield firing(
        context.endpoint,
        "shadow_errors",
        "warning",
        f"Shadow {health.model} failed {health.errors} of {health.requests} requests to {context.endpoint}",
        health.reason or "Live responses are not touched by it.",
        value=share,
        threshold=limits.shadow_error_share,
    )


def _losses(context: Context) -> Iterator[Firing]:
    losses = context.losses
    if losses is None:
        return
    if context.now is not None and context.now - losses.last > context.thresholds.loss_hold:
        return
    noun = "record" if losses.count == 1 else "records"
    yield firing(
        context.endpoint,
        "predictions_lost",
        "critical",
        f"The prediction log of {context.endpoint} has no room: {losses.count:,} {noun} lost",
        f"From {losses.first:%Y-%m-%d %H:%M:%S} to {losses.last:%Y-%m-%d %H:%M:%S} UTC. Requests are "
        "answered all the same, but these are not monitored. Free the disk, or give the spool more.",
        value=float(losses.count),
    )


def _ahead(context: Context) -> Iterator[Firing]:
    ahead = context.ahead
    if ahead is None:
        return
    if context.now is not None and context.now - ahead.came > context.thresholds.schema_hold:
        return
    yield firing(
        context.endpoint,
        "clock_ahead",
        "warning",
        f"Predictions of {context.endpoint} have a time that has not come yet",
        ahead.said,
        value=float(ahead.rows),
    )


def _p(p: float | None) -> str:
    if p is None:
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
