"""How good predictions were, once outcomes are known, with 95 % confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError
from taxiway.monitoring import metrics as measures
from taxiway.monitoring import ranking
from taxiway.monitoring.intervals import Estimate as Estimate
from taxiway.monitoring.log import OUTPUT

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

METRICS = {"classification": "accuracy", "regression": "mae", "ranking": "ndcg"}
#: What they are called in a sentence.
SPOKEN = {"accuracy": "accuracy", "mae": "mean error", "ndcg": "NDCG"}
LOWER_IS_BETTER = frozenset(("mae", "rmse", "mape", "log_loss", "brier"))


@dataclass(frozen=True, slots=True)
class Outputs:
    """Which columns of the log hold what a Model predicts, and what they mean.

    Attributes
    ----------
    task
        ``classification``, ``regression`` or ``ranking``.
    prediction
        The column of the label, the number or the score.
    probabilities
        The columns of the probabilities, one a class; or one, each of whose values is a list of them.
    classes
        The labels in the order of the probabilities, spelled as text; of two, the second is positive.
    group
        Of a ranking: the column whose equal values make a group of rows that are ranked together.
    """

    task: str
    prediction: str = OUTPUT + "label"
    probabilities: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    group: str = "request"

    @property
    def columns(self) -> list[str]:
        """The columns that performance is measured from, beside the outcome."""
        return ["id", self.prediction, *self.probabilities, *([self.group] if self.task == "ranking" else [])]

    def matrix(self, predictions: pd.DataFrame) -> NDArray[np.float64] | None:
        """Give the probabilities, shape (n, classes), NaN where there is none; None if none were logged."""
        import numpy as np

        present = [name for name in self.probabilities if name in predictions]
        if not present or present != list(self.probabilities) or not self.classes:
            return None
        k = len(self.classes)
        if len(present) == k:
            columns = [as_numbers(predictions[name]).to_numpy(dtype=float) for name in present]
            return np.column_stack(columns)
        none = np.full(k, np.nan)
        rows = [
            np.asarray(value, dtype=float)
            if isinstance(value, list | np.ndarray) and len(value) == k
            else none
            for value in predictions[present[0]]
        ]
        return np.array(rows).reshape(-1, k)


@dataclass(frozen=True, slots=True)
class SlicePerformance:
    """How good the predictions of one slice were, beside all the rest.

    Attributes
    ----------
    name
        For people: ``weather = 'rain'``.
    metrics
        The main metric, and of two classes ``recall``, ``demographic_parity_difference`` (the share that is
        predicted to be positive, less that of the rest) and ``equal_opportunity_difference`` (of recall).
    gap
        The main metric here less that of the rest.
    p_value
        Two-sided, that there is no gap; Holm's adjusted p-value over all slices with enough outcomes.
    worse
        Whether the slice is significantly worse than the rest.
    """

    column: str
    value: str
    name: str
    n_predictions: int
    n_labelled: int
    coverage: float
    metrics: dict[str, Estimate]
    gap: float | None
    p_value: float | None
    worse: bool


@dataclass(frozen=True, slots=True)
class Performance:
    """How good some predictions were.

    Attributes
    ----------
    coverage
        The share of predictions whose outcome is known.
    metric
        The name of the main metric: ``accuracy``, ``mae`` (lower is better) or ``ndcg``.
    metrics
        Every metric by name; empty while no outcome is known.
    spread
        The standard deviation of the main metric over single predictions: divided by the square root of
        ``n_labelled`` it is the metric's standard error.
    slices
        The same within slices of the inputs.
    """

    task: str
    n_predictions: int
    n_labelled: int
    coverage: float
    metric: str
    metrics: dict[str, Estimate] = field(default_factory=dict)
    spread: float | None = None
    slices: tuple[SlicePerformance, ...] = ()

    @property
    def main(self) -> Estimate | None:
        """The main metric, if any outcome is known."""
        return self.metrics.get(self.metric)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Performance:
        """Read what ``to_dict`` gave."""
        slices = tuple(
            SlicePerformance(**{**one, "metrics": _estimates(one["metrics"])})
            for one in data.get("slices") or ()
        )
        return cls(**{**data, "metrics": _estimates(data["metrics"]), "slices": slices})


def _estimates(metrics: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate(**value) for name, value in metrics.items()}


def join_outcomes(predictions: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Add ``outcome`` to predictions by id; of several outcomes of one id the last received holds.

    Returns
    -------
    pandas.DataFrame
        The predictions, in their order, with ``outcome`` (missing where not known yet).
    """
    latest = outcomes.sort_values("received", kind="stable").drop_duplicates("id", keep="last")
    known = latest.set_index("id")["outcome"]
    joined = predictions.drop(columns="outcome", errors="ignore")
    return joined.assign(outcome=joined["id"].map(known) if len(known) else None)


def correct(predicted: pd.Series[Any], outcome: pd.Series[Any]) -> NDArray[np.bool_]:
    """Say of each label whether it is the outcome: 1, 1.0, True and "1" are one label."""
    left, right = measures.as_labels(predicted), measures.as_labels(outcome)
    return (left == right).to_numpy(dtype=bool)


def as_numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Give values as finite numbers; what is none is missing, and so counts as not known."""
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    return numbers.where(np.isfinite(numbers))


def labelled(joined: pd.DataFrame, outputs: Outputs) -> pd.DataFrame:
    """Give the rows whose prediction and outcome are known; of numbers, as numbers.

    Raises
    ------
    InputError
        The task has no metrics here, or there is no such column.
    """
    if outputs.task not in METRICS:
        raise InputError(
            f"There are no metrics for the task {outputs.task!r}.",
            hint=f"Use one of {', '.join(METRICS)}.",
        )
    needed = [outputs.prediction, *([outputs.group] if outputs.task == "ranking" else [])]
    for name in needed:
        if name not in joined:
            raise InputError(f"The predictions have no column {name!r}.", hint="Name one that is logged.")
    if outputs.task != "classification":
        pair = (outputs.prediction, "outcome")
        joined = joined.assign(**{name: as_numbers(joined[name]) for name in pair})
    return joined[joined[["outcome", *needed]].notna().all(axis=1)]


def performance(
    joined: pd.DataFrame,
    outputs: Outputs,
    *,
    slices: Sequence[SlicePerformance] = (),
    seed: int = 0,
) -> Performance:
    """Measure predictions against their outcomes; see ``metrics`` and ``ranking`` for what is measured.

    Parameters
    ----------
    joined
        As ``join_outcomes`` gives it.
    slices
        As ``fairness.slice_performance`` gives them.

    Raises
    ------
    InputError
        The task has no metrics here, or there is no such column.
    """
    known = labelled(joined, outputs)
    metrics: dict[str, Estimate] = {}
    spread: float | None = None
    if len(known):
        metrics, spread = _measured(known, outputs, seed)
    return Performance(
        task=outputs.task,
        n_predictions=len(joined),
        n_labelled=len(known),
        coverage=len(known) / len(joined) if len(joined) else 0.0,
        metric=METRICS[outputs.task],
        metrics=metrics,
        spread=spread,
        slices=tuple(slices),
    )


def _measured(known: pd.DataFrame, outputs: Outputs, seed: int) -> tuple[dict[str, Estimate], float | None]:
    predicted, truth = known[outputs.prediction], known["outcome"]
    if outputs.task == "classification":
        return measures.classification(
            measures.as_labels(truth),
            measures.as_labels(predicted),
            probabilities=outputs.matrix(known),
            classes=outputs.classes,
            seed=seed,
        )
    scores, values = (column.to_numpy(dtype=float) for column in (predicted, truth))
    if outputs.task == "regression":
        return measures.regression(values, scores, seed=seed)
    return ranking.measure(ranking.rankings(known[outputs.group], scores, values), len(known), seed=seed)
