"""Estimated performance while no outcome is known yet: how good predictions are likely to be.

A classifier's is read off its own probabilities (confidence-based performance estimation: Kivaranovic, as in
NannyML), a regression's off a second model that has learnt how large the error is where (direct loss
estimation). Both rest on earlier predictions whose outcomes are known, and both assume that inputs still mean
what they meant: **a change of the concept itself cannot be seen without outcomes.**

Nothing that is fitted is kept: it is fitted again from the labelled predictions when it is needed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from taxiway.monitoring.intervals import CONFIDENCE
from taxiway.monitoring.log import INPUT
from taxiway.monitoring.metrics import as_labels
from taxiway.monitoring.performance import METRICS, Outputs, as_numbers, correct, labelled

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

LEAST_LABELLED = 100
#: Labelled predictions that are learnt from, the newest before the window.
MOST_LABELLED = 10_000
#: Rows of a window that are looked at, drawn at random from more.
MOST_ROWS = 50_000
_REFITS = 50
_FOLDS = 2
_MOST_CATEGORIES = 200
_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Estimated:
    """What the main metric of some predictions is likely to be.

    Attributes
    ----------
    method
        ``cbpe`` (confidence-based) or ``dle`` (direct loss estimation).
    value, low, high
        The metric and its 95 % interval: of where the real one will lie, given these rows and what was
        learnt from; None where it cannot be told, and ``text`` says why.
    n
        The number of predictions.
    baseline
        The metric on the labelled predictions that were learnt from.
    """

    method: Literal["cbpe", "dle"]
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    baseline: float | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        return asdict(self)


def estimate(
    window: pd.DataFrame, earlier: pd.DataFrame, outputs: Outputs, *, seed: int = 0
) -> Estimated | None:
    """Estimate the main metric of predictions from their probabilities, or from their inputs.

    Parameters
    ----------
    window
        The predictions, with ``outputs.columns``; for a regression also the inputs (``in.<column>``).
    earlier
        Predictions of the same Model from before, as ``performance.join_outcomes`` gives them, with the same
        columns and ``time``; the newest ``MOST_LABELLED`` with an outcome are learnt from.

    Returns
    -------
    Estimated or None
        None for a task that has none (a ranking).
    """
    import numpy as np

    if outputs.task not in ("classification", "regression"):
        return None
    known = labelled(earlier, outputs).sort_values("time", kind="stable").tail(MOST_LABELLED)
    rows = window[window[outputs.prediction].notna()]
    if len(rows) > MOST_ROWS:
        rows = rows.iloc[np.sort(np.random.default_rng(seed).choice(len(rows), MOST_ROWS, replace=False))]
    if outputs.task == "classification":
        return _confidence(rows, known, outputs, len(window), seed)
    return _direct_loss(rows, known, outputs, len(window), seed)


def _confidence(rows: pd.DataFrame, known: pd.DataFrame, outputs: Outputs, n: int, seed: int) -> Estimated:
    """Expect of each row to be right with the calibrated probability of its label.

    The expected confusion matrix adds up each row's probabilities in the column of its label; accuracy is the
    share on its diagonal, for which the probability of the label alone counts. It is calibrated by isotonic
    regression of the hits (Zadrozny and Elkan, *KDD* 2002; of the label alone: Gupta and Ramdas, *ICLR*
    2022), whose own error is taken from ``_REFITS`` bootstrap samples.
    """
    import numpy as np

    nothing = Estimated("cbpe", METRICS[outputs.task], None, None, None, n, None, "")
    confidence = _label_probability(rows, outputs)
    if confidence is None:
        return _because(nothing, "the Model gives no probabilities")
    confidence = confidence[np.isfinite(confidence)]
    if not len(confidence):
        return _because(nothing, "no prediction has the probability of its label")
    before = _label_probability(known, outputs)
    assert before is not None  # the same columns
    usable = np.isfinite(before)
    hits = correct(known[outputs.prediction], known["outcome"]).astype(float)[usable]
    before = before[usable]
    if len(hits) < LEAST_LABELLED:
        expected = np.clip(confidence, 0.0, 1.0)
        said = (
            f"from the Model's own probabilities, which are not calibrated: {len(hits)} earlier outcomes "
            f"are known, and it takes {LEAST_LABELLED}"
        )
        return _estimated(nothing, expected.mean(), _of_hits(expected), None, said)
    expected = _isotonic(before, hits, confidence)
    drawn = np.random.default_rng(seed)
    refits = [
        _isotonic(before[chosen], hits[chosen], confidence).mean()
        for chosen in drawn.integers(0, len(hits), (_REFITS, len(hits)))
    ]
    variance = _of_hits(expected) + float(np.var(refits, ddof=1))
    said = f"from probabilities that are calibrated on {len(hits):,} earlier outcomes"
    return _estimated(nothing, expected.mean(), variance, float(hits.mean()), said)


def _label_probability(rows: pd.DataFrame, outputs: Outputs) -> NDArray[np.float64] | None:
    """Give the probability of each row's own label; NaN where there is none."""
    import numpy as np
    import pandas as pd

    matrix = outputs.matrix(rows)
    if matrix is None:
        return None
    place = pd.Index(outputs.classes).get_indexer(pd.Index(as_labels(rows[outputs.prediction])))
    own = matrix[np.arange(len(rows)), np.maximum(place, 0)]
    return np.where(place >= 0, own, np.nan)


def _isotonic(
    given: NDArray[np.float64], hits: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(given, hits)
    found: NDArray[np.float64] = fitted.predict(wanted)
    return found


def _of_hits(expected: NDArray[np.float64]) -> float:
    """Give the variance of the mean of independent hits."""
    return float((expected * (1 - expected)).sum() / len(expected) ** 2)


def _direct_loss(rows: pd.DataFrame, known: pd.DataFrame, outputs: Outputs, n: int, seed: int) -> Estimated:
    """Expect of each row the absolute error that boosted trees have learnt from inputs and prediction.

    Each of ``_FOLDS`` models learns from the other folds; on its own fold it shows how far its mean is off,
    which is corrected, and how single errors scatter about it, which gives the interval.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    nothing = Estimated("dle", METRICS[outputs.task], None, None, None, n, None, "")
    if not len(rows):
        return _because(nothing, "there is no prediction")
    if len(known) < LEAST_LABELLED:
        return _because(
            nothing, f"{len(known)} earlier outcomes are known, and it takes {LEAST_LABELLED} to learn from"
        )
    loss = (known[outputs.prediction] - known["outcome"]).abs().to_numpy(dtype=float)
    given, wanted = _features(known, rows, outputs)
    fold = np.random.default_rng(seed).permutation(len(known)) % _FOLDS
    own, expected = np.empty(len(known)), np.zeros(len(rows))
    with threadpool_limits(1, "openmp"):  # so few rows are done before the threads have met
        for place in range(_FOLDS):
            fitted = _loss_model(seed).fit(given[fold != place], loss[fold != place])
            own[fold == place] = fitted.predict(given[fold == place])
            expected += fitted.predict(wanted) / _FOLDS
    rest = loss - own
    value = max(float(expected.mean() + rest.mean()), 0.0)
    variance = float(rest.var(ddof=1)) * (1 / len(rows) + 1 / len(rest))
    said = f"from a model of the error on {len(loss):,} earlier outcomes"
    return _estimated(nothing, value, variance, float(loss.mean()), said)


def _loss_model(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=_ROUNDS, min_samples_leaf=20, categorical_features="from_dtype", random_state=seed
    )


def _features(known: pd.DataFrame, rows: pd.DataFrame, outputs: Outputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give inputs and prediction as numbers and categories; a category that is new is missing."""
    import pandas as pd

    given: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    inputs = [name for name in known.columns if name.startswith(INPUT) and name in rows]
    for name in [*inputs, outputs.prediction]:
        if pd.api.types.is_numeric_dtype(known[name]) or name == outputs.prediction:
            given[name], wanted[name] = as_numbers(known[name]), as_numbers(rows[name])
            continue
        texts = known[name].astype("string")
        categories = texts.value_counts().index[:_MOST_CATEGORIES]
        kind = pd.CategoricalDtype([str(value) for value in categories])
        given[name] = texts.astype(object).astype(kind)
        wanted[name] = rows[name].astype("string").astype(object).astype(kind)
    return pd.DataFrame(given, index=known.index), pd.DataFrame(wanted, index=rows.index)


def _because(nothing: Estimated, why: str) -> Estimated:
    return replace(nothing, text=f"it cannot be estimated: {why}")


def _estimated(
    nothing: Estimated, value: float, variance: float, baseline: float | None, said: str
) -> Estimated:
    from scipy.stats import norm

    half = float(norm.isf((1 - CONFIDENCE) / 2)) * variance**0.5
    high = value + half if nothing.metric == "mae" else min(value + half, 1.0)
    text = f"estimated {said}; a change of the concept itself would not show"
    return replace(
        nothing,
        value=float(value),
        low=float(max(value - half, 0.0)),
        high=float(high),
        baseline=baseline,
        text=text,
    )
