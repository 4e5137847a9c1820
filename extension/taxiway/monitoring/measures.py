"""What a rule can measure of an endpoint: one name a metric, one value a column (or one for all)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

from taxiway.monitoring.context import Context, WindowDrift, WindowPerformance, WindowReadings
from taxiway.monitoring.drift import ColumnDrift
from taxiway.monitoring.reading_rules import readings_of

Span = timedelta | Literal["latest", "current"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One value; ``n`` is how many rows, or outcomes, it rests on."""

    value: float
    n: int
    column: str | None = None
    label: str | None = None
    labelled: bool = False


def _statistic(test: str) -> Callable[[ColumnDrift], float | None]:
    return lambda column: column.statistic if column.test == test else None


#: Of a column: from its drift.
COLUMN_METRICS: dict[str, Callable[[ColumnDrift], float | None]] = {
    "psi": lambda column: column.psi,
    "ks": _statistic("ks"),
    "chi2": _statistic("chi2"),
    "jensen_shannon": lambda column: getattr(column, "jensen_shannon", None),
    "hellinger": lambda column: getattr(column, "hellinger", None),
    "wasserstein": lambda column: getattr(column, "wasserstein", None),
    "contribution": lambda column: getattr(column, "contribution", None),
    "null_share": lambda column: column.null_share_window,
    "new_categories": lambda column: float(len(column.new_categories)),
}
#: Of a whole window, beside the metrics of outcomes.
WINDOW_METRICS = ("rows", "drifted_columns", "multivariate", "estimated", "coverage", "labelled")
#: Of outcomes; any other that is measured is ``performance.NAME``.
OUTCOME_METRICS = (
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "log_loss", "brier", "roc_auc"),
    *("mae", "rmse", "mape", "bias", "r2", "ndcg", "mrr", "map", "gap"),
    *("demographic_parity_difference", "equal_opportunity_difference"),
)
METRICS = (*COLUMN_METRICS, *WINDOW_METRICS, "findings", "lost_records", *OUTCOME_METRICS)
_COUNTS = frozenset({"rows", "labelled", "new_categories"})


def measure(
    context: Context, metric: str, *, column: str | None, slice_: str | None, span: Span
) -> list[Measure]:
    """Measure one metric.

    Parameters
    ----------
    column
        None is each column that has it.
    slice_
        ``column=value``, for metrics of outcomes.
    span
        The newest complete window, the newest of all, or all complete ones that end within that time before
        the end of the newest.

    Returns
    -------
    list of Measure
        Empty where nothing has been measured.
    """
    if metric == "findings":
        return _findings(context, column)
    if metric == "lost_records":
        return [Measure(float(context.losses.count), context.losses.count)] if context.losses else []
    found = [one for one in _of_windows(context, metric, slice_) if column in (None, one[1].column)]
    found.sort(key=lambda pair: (pair[1].column or "", pair[0].end))
    measured = []
    for _, group in groupby(found, key=lambda pair: pair[1].column):
        chosen = _chosen(list(group), span)
        if chosen:
            measured.append(_pooled(metric, chosen))
    return measured


Window = WindowDrift | WindowPerformance | WindowReadings
Reading = tuple[Window, Measure]


def _chosen(found: Sequence[Reading], span: Span) -> list[Reading]:
    """Choose the readings of one column, oldest first, that a span names."""
    if span == "current":
        return list(found[-1:])
    complete = [pair for pair in found if pair[0].complete]
    if isinstance(span, timedelta) and complete:
        first: datetime = complete[-1][0].end - span
        return [pair for pair in complete if pair[0].start >= first] or complete[-1:]
    return complete[-1:]


def _pooled(metric: str, chosen: Sequence[Reading]) -> Measure:
    (first, one), (last, newest) = chosen[0], chosen[-1]
    if len(chosen) == 1:
        return one
    n = sum(pair[1].n for pair in chosen)
    if metric in _COUNTS:
        value = sum(pair[1].value for pair in chosen)
    else:
        value = sum(pair[1].value * pair[1].n for pair in chosen) / max(n, 1)
    return Measure(value, n, one.column, f"{first.label} to {last.label}", newest.labelled)


def _of_windows(context: Context, metric: str, slice_: str | None) -> Iterator[Reading]:
    if metric in COLUMN_METRICS:
        yield from _of_columns(context, COLUMN_METRICS[metric])
        return
    if metric == "drifted_columns":
        for drift in context.drift:
            if context.model in (None, drift.model):
                n = max((column.n_window for column in drift.columns), default=0)
                count = sum(column.drifted for column in drift.columns)
                yield drift, Measure(float(count), n, None, drift.label)
        return
    if metric in ("rows", "multivariate", "estimated"):
        for window in readings_of(context):
            yield from _of_reading(window, metric)
        return
    name = metric.removeprefix("performance.")
    for performance in context.performance:
        if context.model in (None, performance.model):
            yield from _of_performance(performance, name, slice_)


def _of_columns(context: Context, read: Callable[[ColumnDrift], float | None]) -> Iterator[Reading]:
    for window in context.drift:
        if context.model not in (None, window.model):
            continue
        for column in window.columns:
            if (value := read(column)) is not None:
                yield window, Measure(value, column.n_window, column.column, window.label)


def _of_reading(window: WindowReadings, metric: str) -> Iterator[Reading]:
    value: float | None
    if metric == "rows":
        value, n = float(window.rows), window.rows
    elif metric == "multivariate":
        found = window.multivariate or {}
        value, n = found.get("auc"), found.get("n_window") or window.rows
    else:
        found = window.estimated or {}
        value, n = found.get("value"), found.get("n") or window.rows
    if value is not None:
        yield window, Measure(value, n, None, window.label)


def _of_performance(window: WindowPerformance, name: str, slice_: str | None) -> Iterator[Reading]:
    measured = window.performance
    if slice_ is not None:
        column, _, wanted = slice_.partition("=")
        for one in measured.slices:
            if (one.column, str(one.value)) != (column, wanted):
                continue
            value = one.gap if name == "gap" else getattr(one.metrics.get(name), "value", None)
            if value is not None:
                yield window, Measure(value, one.n_labelled, None, window.label, labelled=True)
        return
    if name == "coverage":
        yield window, Measure(measured.coverage, measured.n_predictions, None, window.label)
    elif name == "labelled":
        yield window, Measure(float(measured.n_labelled), measured.n_predictions, None, window.label)
    elif (estimate := measured.metrics.get(name)) is not None and estimate.value is not None:
        yield window, Measure(estimate.value, measured.n_labelled, None, window.label, labelled=True)


def _findings(context: Context, column: str | None) -> list[Measure]:
    """Count the requests with a finding, by column, while the last such request is not long ago."""
    hold, counts = context.thresholds.schema_hold, dict[str, int]()
    for finding in context.schema:
        over = context.now is not None and context.now - finding.last_seen > hold
        if not over and column in (None, finding.column):
            counts[finding.column] = counts.get(finding.column, 0) + finding.requests
    return [Measure(float(count), count, name) for name, count in sorted(counts.items())]
