"""How good predictions were, once outcomes are known, with 95 % confidence intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError
from taxiway.monitoring.log import OUTPUT

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

CONFIDENCE = 0.95
_RESAMPLES = 2000
METRICS = {"classification": "accuracy", "regression": "mae"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Performance:
    """How good some predictions were.

    Attributes
    ----------
    coverage
        The share of predictions whose outcome is known.
    metric
        The name of the main metric: ``accuracy``, or ``mae`` (lower is better).
    metrics
        Every metric by name; empty while no outcome is known.
    spread
        The standard deviation of the main metric over single predictions.
    """

    task: str
    n_predictions: int
    n_labelled: int
    coverage: float
    metric: str
    metrics: dict[str, Estimate] = field(default_factory=dict)
    spread: float | None = None

    @property
    def main(self) -> Estimate | None:
        """The main metric, if any outcome is known."""
        return self.metrics.get(self.metric)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        return asdict(self)


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
    left, right = _labels(predicted), _labels(outcome)
    return (left == right).to_numpy(dtype=bool)


def as_numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Give values as finite numbers; what is none is missing, and so counts as not known."""
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    return numbers.where(np.isfinite(numbers))


def _labels(values: pd.Series[Any]) -> pd.Series[Any]:
    """Spell labels one way: whole numbers and booleans as integers, all as text."""
    import pandas as pd

    unique = pd.Series(values.unique(), dtype=object)
    return values.map(dict(zip(unique, map(_spell, unique), strict=True))).astype(object)


def _spell(label: Any) -> str:
    text = str(label)
    if text in ("True", "False"):
        return "1" if text == "True" else "0"
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def performance(
    joined: pd.DataFrame,
    task: str,
    *,
    prediction: str = OUTPUT + "label",
    seed: int = 0,
) -> Performance:
    """Measure predictions against their outcomes.

    Parameters
    ----------
    joined
        As ``join_outcomes`` gives it.
    task
        ``classification``: accuracy (Wilson's interval, JASA 22, 1927), balanced accuracy and macro-averaged
        F1 (bootstrap of the confusion matrix, percentile). ``regression``: MAE and RMSE (t interval of the
        mean absolute and squared error).
    prediction
        The column that holds the predicted label or number.

    Raises
    ------
    InputError
        The task has no metrics here, or there is no such column.
    """
    if task not in METRICS:
        raise InputError(
            f"There are no metrics for the task {task!r}.", hint="Use classification or regression."
        )
    if prediction not in joined:
        raise InputError(f"The predictions have no column {prediction!r}.", hint="Name the output to judge.")
    if task == "regression":
        joined = joined.assign(**{name: as_numbers(joined[name]) for name in (prediction, "outcome")})
    labelled = joined[joined["outcome"].notna() & joined[prediction].notna()]
    metrics: dict[str, Estimate] = {}
    spread: float | None = None
    if len(labelled):
        measure = _classification if task == "classification" else _regression
        metrics, spread = measure(labelled[prediction], labelled["outcome"], seed)
    return Performance(
        task=task,
        n_predictions=len(joined),
        n_labelled=len(labelled),
        coverage=len(labelled) / len(joined) if len(joined) else 0.0,
        metric=METRICS[task],
        metrics=metrics,
        spread=spread,
    )


def _classification(
    predicted: pd.Series[Any], outcome: pd.Series[Any], seed: int
) -> tuple[dict[str, Estimate], float | None]:
    import numpy as np
    import pandas as pd
    from scipy.stats import binomtest

    truth, label = _labels(outcome), _labels(predicted)
    classes = sorted({*truth.unique(), *label.unique()})
    matrix = pd.crosstab(truth, label).reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    n, hits = int(matrix.sum()), int(np.trace(matrix))
    interval = binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    metrics = {"accuracy": Estimate(hits / n, float(interval.low), float(interval.high))}
    drawn = np.random.default_rng(seed).multinomial(n, (matrix / n).ravel(), size=_RESAMPLES)
    matrices = drawn.reshape(-1, *matrix.shape)
    for name, of in (("balanced_accuracy", _balanced_accuracy), ("f1", _macro_f1)):
        low, high = np.nanquantile(of(matrices), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        metrics[name] = Estimate(float(of(matrix[None])[0]), float(low), float(high))
    share = hits / n
    return metrics, float(np.sqrt(share * (1 - share)))


def _balanced_accuracy(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the mean recall over the classes that occur, for each confusion matrix (truth by label)."""
    import numpy as np

    of_class = matrices.sum(axis=2)
    recall = np.diagonal(matrices, axis1=1, axis2=2) / np.maximum(of_class, 1)
    mean: NDArray[np.float64] = np.sum(recall, axis=1) / np.count_nonzero(of_class, axis=1)
    return mean


def _macro_f1(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the mean F1 over the classes that occur or are predicted, for each confusion matrix."""
    import numpy as np

    both = matrices.sum(axis=2) + matrices.sum(axis=1)
    f1 = 2 * np.diagonal(matrices, axis1=1, axis2=2) / np.maximum(both, 1)
    mean: NDArray[np.float64] = np.sum(f1, axis=1) / np.count_nonzero(both, axis=1)
    return mean


def _regression(
    predicted: pd.Series[Any], outcome: pd.Series[Any], seed: int
) -> tuple[dict[str, Estimate], float | None]:
    import numpy as np

    del seed  # nothing here is drawn
    error = (predicted - outcome).to_numpy(dtype=float)
    mae, square = _mean(np.abs(error)), _mean(error**2)
    rmse = Estimate(*(float(np.sqrt(max(value, 0.0))) for value in (square.value, square.low, square.high)))
    spread = float(np.abs(error).std(ddof=1)) if len(error) > 1 else None
    return {"mae": mae, "rmse": rmse}, spread


def _mean(values: NDArray[np.float64]) -> Estimate:
    from scipy.stats import ttest_1samp

    mean = float(values.mean())
    if len(values) < 2 or float(values.std()) == 0:
        return Estimate(mean, mean, mean)
    interval = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return Estimate(mean, float(interval.low), float(interval.high))
