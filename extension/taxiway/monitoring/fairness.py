"""Performance within slices of the inputs, and the gap between each of them and all the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from taxiway.monitoring import metrics as measures
from taxiway.monitoring.intervals import Estimate, mean_interval, share_difference, welch, wilson
from taxiway.monitoring.performance import LOWER_IS_BETTER, METRICS, Outputs, SlicePerformance, labelled
from taxiway.monitoring.ranking import rankings
from taxiway.monitoring.statistics import holm

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

ALPHA = 0.01
MIN_ROWS = 20


@dataclass(frozen=True, slots=True)
class _Scores:
    """One score for each row that has one: a hit, an absolute error, or a group's NDCG on its first row."""

    values: NDArray[np.float64]
    known: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    positive: NDArray[np.bool_] | None
    relevant: NDArray[np.bool_] | None


def slice_performance(
    joined: pd.DataFrame, outputs: Outputs, slices: Iterable[tuple[str, str, str, NDArray[np.bool_]]]
) -> tuple[SlicePerformance, ...]:
    """Measure the main metric within each slice, and compare it with that of all other rows.

    Shares are compared by Pearson's χ² or Fisher's exact test, errors and NDCG by Welch's t-test
    (*Biometrika* 34, 1947), where both sides have ``MIN_ROWS`` outcomes; p-values are Holm's over all
    slices. A group of a ranking is in the slice that its first row is in.

    Parameters
    ----------
    joined
        As ``performance.join_outcomes`` gives it.
    slices
        Column, value and name of each, and which rows are in it, (n,).
    """
    scores = _scores(joined, outputs)
    metric = METRICS[outputs.task]
    found = [_slice(scores, metric, *one) for one in slices]
    adjusted = iter(holm([one.p_value for one in found if one.p_value is not None]))
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return tuple(
        replace(one, p_value=(p := next(adjusted)), worse=p < ALPHA and sign * (one.gap or 0.0) < 0)
        if one.p_value is not None
        else one
        for one in found
    )


def _scores(joined: pd.DataFrame, outputs: Outputs) -> _Scores:
    import numpy as np

    rows = joined.reset_index(drop=True)
    known = labelled(rows, outputs)
    where = np.zeros(len(rows), dtype=bool)
    where[known.index] = True
    values = np.full(len(rows), np.nan)
    if outputs.task == "classification":
        label, truth = measures.as_labels(rows[outputs.prediction]), measures.as_labels(rows["outcome"])
        values[where] = (label == truth).to_numpy(dtype=float)[where]
        if len(outputs.classes) == 2:
            positive, relevant = ((part == outputs.classes[1]).to_numpy() for part in (label, truth))
            return _Scores(values, where, where, positive, relevant & where)
        return _Scores(values, where, where, None, None)
    predicted, truth = known[outputs.prediction], known["outcome"]
    if outputs.task == "regression":
        values[where] = (predicted - truth).abs().to_numpy()
        return _Scores(values, where, where, None, None)
    found = rankings(known[outputs.group], predicted.to_numpy(), truth.to_numpy())
    first = known.drop_duplicates(outputs.group).set_index(outputs.group, drop=False).index
    of_group = dict(zip(found.groups, found.ndcg, strict=True))
    values[known.drop_duplicates(outputs.group).index] = [of_group.get(group, np.nan) for group in first]
    return _Scores(values, np.isfinite(values), where, None, None)


def _slice(
    scores: _Scores, metric: str, column: str, value: str, name: str, rows: NDArray[np.bool_]
) -> SlicePerformance:
    n = int(rows.sum())
    n_labelled = int((rows & scores.labelled).sum())
    mine, rest = scores.values[rows & scores.known], scores.values[~rows & scores.known]
    metrics: dict[str, Estimate] = {}
    gap = p_value = None
    if len(mine):
        metrics[metric] = wilson(int(mine.sum()), len(mine)) if metric == "accuracy" else mean_interval(mine)
        metrics |= _fairness(scores, rows)
    if len(mine) and len(rest):
        gap = float(mine.mean() - rest.mean())
    if min(len(mine), len(rest)) >= MIN_ROWS:
        p_value = _p_value(mine, rest, is_share=metric == "accuracy")
    return SlicePerformance(
        column, value, name, n, n_labelled, n_labelled / n if n else 0.0, metrics, gap, p_value, worse=False
    )


def _p_value(mine: NDArray[np.float64], rest: NDArray[np.float64], *, is_share: bool) -> float:
    import numpy as np
    from scipy.stats import chi2_contingency, fisher_exact

    if is_share:
        table = np.array([[part.sum(), len(part) - part.sum()] for part in (mine, rest)])
        if not table.sum(axis=0).all():
            return 1.0  # all are right, or none is
        found = chi2_contingency(table, correction=False)
        return float(fisher_exact(table).pvalue if found.expected_freq.min() < 5 else found.pvalue)
    return welch(mine, rest)


def _fairness(scores: _Scores, rows: NDArray[np.bool_]) -> dict[str, Estimate]:
    """Compare how often a slice is predicted to be positive, and how often rightly, with the rest."""
    if scores.positive is None or scores.relevant is None:
        return {}
    found: dict[str, Estimate] = {}
    selected = [_share(scores.positive, part) for part in (rows, ~rows)]
    recall = [_share(scores.positive, part & scores.relevant) for part in (rows, ~rows)]
    if recall[0] is not None:
        found["recall"] = recall[0]
    for name, (one, other) in {
        "demographic_parity_difference": selected,
        "equal_opportunity_difference": recall,
    }.items():
        if one is not None and other is not None:
            found[name] = share_difference(one, other)
    return found


def _share(hits: NDArray[Any], among: NDArray[Any]) -> Estimate | None:
    n = int(among.sum())
    return wilson(int((hits & among).sum()), n) if n else None
