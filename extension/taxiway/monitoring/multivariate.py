"""Drift of all columns together: whether a classifier can tell the window's rows from the reference's.

It sees what no comparison column by column does, such as two columns that have ceased to go together although
each is distributed as before (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

METHOD = "domain classifier"
MOST_ROWS = 2000
MIN_ROWS = 30
FOLDS = 5
ALPHA = 0.01
AUC_THRESHOLD = 0.65
MOST_CATEGORIES = 50
MOST_NAMED = 5
_SEED = 0


@dataclass(frozen=True, slots=True)
class Weight:
    """The share, 0 to 1, that a column has in what the classifier can tell."""

    column: str
    weight: float


@dataclass(frozen=True, slots=True)
class MultivariateDrift:
    """How well a window's rows can be told from the reference's.

    Attributes
    ----------
    auc
        The area under the ROC curve of a classifier that has not seen the rows: 0.5 is chance, 1 is certain.
    low, high
        Its 95 % confidence interval.
    p_value
        One-sided, that the rows cannot be told apart.
    drifted
        Whether the p-value is below ``ALPHA`` and the AUC at or above ``AUC_THRESHOLD``.
    n_reference, n_window
        Rows compared, at most ``MOST_ROWS`` a side.
    columns
        What the classifier goes by, most important first; empty unless drifted.
    """

    auc: float
    low: float
    high: float
    p_value: float
    drifted: bool
    n_reference: int
    n_window: int
    columns: tuple[Weight, ...] = field(default=())
    text: str = ""
    method: str = METHOD

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {**asdict(self), "columns": [asdict(one) for one in self.columns]}


def multivariate(
    reference: pd.DataFrame, window: pd.DataFrame, *, threshold: float = AUC_THRESHOLD, seed: int = _SEED
) -> MultivariateDrift | None:
    """Compare the rows of a window with those of the reference.

    Parameters
    ----------
    reference, window
        Frames with the same columns, of which those that both have are compared; times are left out, and
        texts that hardly ever come twice. Of more than ``MOST_ROWS`` rows, so many are drawn.
    threshold
        The least AUC that matters. 0.65 is NannyML's; one normal column that moves by 0.54 standard
        deviations has it.
    seed
        Of the draw, the folds and the classifier: the same rows give the same verdict.

    Returns
    -------
    MultivariateDrift or None
        None if a side has fewer than ``MIN_ROWS`` rows, or no column can be compared.

    Raises
    ------
    InputError
        There is no column that both have.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    shared = [name for name in reference.columns if name in window.columns]
    if not shared:
        raise InputError("The two frames have no column in common.", hint="Name their columns alike.")
    if min(len(reference), len(window)) < MIN_ROWS:
        return None
    before, after = _drawn(reference[shared], seed), _drawn(window[shared], seed)
    features, categorical = _features(before, after)
    if not features:
        return None
    values = np.column_stack(list(features.values()))
    label = np.repeat([0, 1], [len(before), len(after)])
    order = np.random.default_rng(seed).permutation(len(label))  # rows of a log are in the order of time
    values, label = values[order], label[order]
    with threadpool_limits(1, "openmp"):  # so few rows are done before the threads have met
        folds = _folds(values, label, [name in categorical for name in features], seed)
        placed = [_placements(fold.scores(), fold.label) for fold in folds]
        auc = float(np.mean([ours.mean() for ours, _ in placed]))
        p_value = _p_value(auc, [fold.label for fold in folds])
        drifted = p_value < ALPHA and auc >= threshold
        columns = _weights(folds, list(features)) if drifted else ()
    low, high = _interval(auc, placed)
    return MultivariateDrift(
        auc, low, high, p_value, drifted, len(before), len(after), columns, _text(auc, drifted, columns)
    )


def _text(auc: float, drifted: bool, columns: tuple[Weight, ...]) -> str:
    told = f"a classifier tells the window's rows from the reference's with an AUC of {auc:.2f}"
    if not drifted:
        return f"{told}; 0.5 is chance"
    return f"{told}, mostly by {', '.join(one.column for one in columns[:3])}"


def _drawn(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame if len(frame) <= MOST_ROWS else frame.sample(MOST_ROWS, random_state=seed)


def _features(before: pd.DataFrame, after: pd.DataFrame) -> tuple[dict[str, NDArray[np.float64]], set[str]]:
    """Give each column as numbers, the reference's rows first; categories as codes, NaN where missing."""
    import numpy as np
    import pandas as pd

    features: dict[str, NDArray[np.float64]] = {}
    categorical = set()
    for name in before.columns:
        both = pd.concat([before[name], after[name]], ignore_index=True)
        if pd.api.types.is_datetime64_any_dtype(both.dtype) or pd.api.types.is_timedelta64_dtype(both.dtype):
            continue
        is_number = pd.api.types.is_numeric_dtype(both.dtype) and not pd.api.types.is_bool_dtype(both.dtype)
        if is_number:
            numbers = pd.to_numeric(both, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
            features[name] = np.where(np.isfinite(numbers), numbers, np.nan)
            continue
        texts = both.astype(object).where(both.notna(), None).map(str, na_action="ignore")
        counts = texts.value_counts()
        common = counts[counts > 1].index[:MOST_CATEGORIES]
        if len(common) and texts.isin(common).sum() >= 0.5 * texts.notna().sum():
            codes = pd.Categorical(texts, categories=common).codes.astype(float)
            rare = (codes < 0) & texts.notna().to_numpy()
            features[name] = np.where(rare, len(common), np.where(codes < 0, np.nan, codes))
            categorical.add(name)
    return {name: values for name, values in features.items() if not np.isnan(values).all()}, categorical


@dataclass(frozen=True)
class _Fold:
    """A classifier, and rows that it has not seen."""

    classifier: Any
    values: NDArray[np.float64]
    label: NDArray[np.int64]

    def scores(self, values: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        given = self.values if values is None else values
        scores: NDArray[np.float64] = self.classifier.predict_proba(given)[:, 1]
        return scores


def _folds(
    values: NDArray[np.float64], label: NDArray[np.int64], categorical: list[bool], seed: int
) -> list[_Fold]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    found = []
    for train, test in StratifiedKFold(FOLDS).split(values, label):
        classifier = HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=8,
            learning_rate=0.2,
            min_samples_leaf=10,
            l2_regularization=1.0,
            max_bins=64,
            categorical_features=categorical,
            early_stopping=False,
            random_state=seed,
        ).fit(values[train], label[train])
        found.append(_Fold(classifier, values[test], label[test]))
    return found


def _placements(
    scores: NDArray[np.float64], label: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give for each row of the window the share of the reference's it beats, and the other way round.

    The mean of either is the AUC (DeLong, DeLong and Clarke-Pearson, *Biometrics* 44, 1988; by ranks: Sun and
    Xu, *IEEE Signal Processing Letters* 21, 2014).
    """
    from scipy.stats import rankdata

    ours, theirs = scores[label == 1], scores[label == 0]
    ranks = rankdata(scores)
    return (
        (ranks[label == 1] - rankdata(ours)) / len(theirs),
        1 - (ranks[label == 0] - rankdata(theirs)) / len(ours),
    )


def _interval(
    auc: float, placed: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> tuple[float, float]:
    """Give DeLong's 95 % interval of the mean of the folds, on the logit scale: it is within 0 to 1."""
    import numpy as np

    variance = (
        sum(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs) for ours, theirs in placed)
        / len(placed) ** 2
    )
    inner = min(max(auc, 1e-6), 1 - 1e-6)
    half = 1.96 * np.sqrt(variance) / (inner * (1 - inner))
    low, high = (1 / (1 + np.exp(-(np.log(inner / (1 - inner)) + sign * half))) for sign in (-1, 1))
    return float(min(low, auc)), float(max(high, auc))


def _p_value(auc: float, labels: list[NDArray[np.int64]]) -> float:
    """Give the one-sided p-value of the mean AUC of the folds.

    In each fold the scores come from other rows, so that all orders are as likely if there is no drift: Mann
    and Whitney's variance (n + m + 1) / (12 n m) holds (*Annals of Mathematical Statistics* 18, 1947).
    """
    from scipy.stats import norm

    variance = 0.0
    for label in labels:
        m = int(label.sum())
        n = len(label) - m
        variance += (n + m + 1) / (12 * n * m)
    return float(norm.sf((auc - 0.5) / (variance**0.5 / len(labels))))


def _weights(folds: list[_Fold], names: list[str]) -> tuple[Weight, ...]:
    """Give what the AUC loses when a column is shuffled (Breiman, *Machine Learning* 45, 2001), as shares."""
    import numpy as np

    fold, generator = folds[0], np.random.default_rng(_SEED)
    whole = _placements(fold.scores(), fold.label)[0].mean()
    lost = {}
    for place, name in enumerate(names):
        values = fold.values.copy()
        values[:, place] = generator.permutation(values[:, place])
        lost[name] = max(0.0, float(whole - _placements(fold.scores(values), fold.label)[0].mean()))
    total = sum(lost.values())
    ranked = sorted(lost.items(), key=lambda item: -item[1])
    return tuple(Weight(name, loss / total) for name, loss in ranked[:MOST_NAMED] if loss > 0)
