"""Columns of a whylogs profile, built from counted values rather than by whylogs' own tracking.

whylogs copies its whole configuration for every column (3 ms each) and gives every single text to its
sketches; here each distinct value is given once, with its count, and what comes out is the same.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taxiway.monitoring.columns import Cells

_LONGEST_ITEM = 128  # whylogs' max_frequent_item_size
_TYPES = ("integral", "fractional", "boolean", "string", "object")


@cache
def _parts() -> Any:
    """Import whylogs' metrics: after ``profiles`` has mended it."""
    from types import SimpleNamespace

    import whylogs.core.metrics.metric_components as components
    import whylogs.core.metrics.metrics as metrics
    from whylogs.core.metrics.column_metrics import ColumnCountsMetric, TypeCountersMetric
    from whylogs.core.view.column_profile_view import ColumnProfileView

    return SimpleNamespace(
        view=ColumnProfileView,
        config=metrics.MetricConfig(),
        counts=ColumnCountsMetric,
        types=TypeCountersMetric,
        ints=metrics.IntsMetric,
        distribution=metrics.DistributionMetric,
        cardinality=metrics.CardinalityMetric,
        frequent_items=metrics.FrequentItemsMetric,
        integral=components.IntegralComponent,
    )


def column(cells: Cells) -> Any:
    """Build the column of a profile; which metrics it has is whylogs' choice for such a type.

    Returns
    -------
    whylogs.core.view.ColumnProfileView
    """
    parts = _parts()
    metrics: dict[str, Any] = {"counts": _counts(cells), "types": _types(cells)}
    metrics["distribution"] = _distribution(cells)
    metrics["cardinality"] = _cardinality(cells)
    if cells.type == "integral":
        metrics["ints"] = _ints(cells)
    if cells.type in ("integral", "string"):
        metrics["frequent_items"] = _frequent_items(cells)
    return parts.view(metrics=metrics, success_count=cells.rows)


def _counts(cells: Cells) -> Any:
    metric = _parts().counts.zero()
    metric.n.set(cells.rows)
    metric.null.set(cells.nulls)
    metric.nan.set(cells.nans)
    metric.inf.set(cells.infinities)
    if hasattr(metric, "true"):  # whylogs 1.1 does not count them
        metric.true.set(0 if cells.booleans is None else int(cells.booleans.sum()))
    return metric


def _types(cells: Cells) -> Any:
    metric = _parts().types.zero()
    arrays = (cells.integers, cells.fractions, cells.booleans)
    sizes = [0 if array is None else len(array) for array in arrays]
    for name, size in zip(_TYPES, [*sizes, sum(cells.texts.values()), cells.objects], strict=True):
        getattr(metric, name).set(size)
    return metric


def _distribution(cells: Cells) -> Any:
    import numpy as np

    metric = _parts().distribution.zero(_parts().config)
    arrays = (cells.fractions, cells.integers, cells.booleans)
    given = [array.astype(float, copy=False) for array in arrays if array is not None and len(array)]
    if given:
        values = given[0] if len(given) == 1 else np.concatenate(given)
        metric.kll.value.update(array=np.ascontiguousarray(values))
        with np.errstate(all="ignore"):
            mean = float(values.mean())
            metric.mean.set(mean)
            metric.m2.set(float(np.square(values - mean).sum()))
    return metric


def _ints(cells: Cells) -> Any:
    metric = _parts().ints.zero()
    if cells.integers is not None and len(cells.integers):
        metric.min.set(int(cells.integers.min()))
        metric.max.set(int(cells.integers.max()))
    return metric


def _cardinality(cells: Cells) -> Any:
    metric = _parts().cardinality.zero(_parts().config)
    sketch = metric.hll.value
    for array in (cells.integers, cells.fractions):
        if array is not None and len(array):
            sketch.update_np(array)
    if cells.texts:
        sketch.update_str_list(list(cells.texts))
    if cells.booleans is not None and len(cells.booleans):
        sketch.update_int_list([one for one in (1, 0) if (cells.booleans == bool(one)).any()])
    return metric


def _frequent_items(cells: Cells) -> Any:
    import numpy as np

    metric = _parts().frequent_items.zero(_parts().config)
    sketch = metric.frequent_strings.value
    if cells.fractions is not None and len(cells.fractions):
        sketch.update_np(cells.fractions)
    if cells.integers is not None and len(cells.integers):
        values, counts = np.unique(cells.integers, return_counts=True)
        _add(sketch, dict(zip(map(str, values.tolist()), counts.tolist(), strict=True)))
    if cells.booleans is not None and len(cells.booleans):
        true = int(cells.booleans.sum())
        _add(sketch, {"True": true, "False": len(cells.booleans) - true})
    if cells.texts:
        _add(sketch, cells.texts)
    return metric


def _add(sketch: Any, counts: Mapping[str, int]) -> None:
    """Give each value with its count, the frequent ones first: what is rare makes room for what is not."""
    rare: list[str] = []
    often: list[tuple[int, str]] = []
    for value, count in counts.items():
        if count == 1:
            rare.append(value[:_LONGEST_ITEM])
        elif count > 1:
            often.append((count, value[:_LONGEST_ITEM]))
    for count, value in sorted(often, reverse=True):
        sketch.update(value, count)
    if rare:
        sketch.update_str_list(rare)
