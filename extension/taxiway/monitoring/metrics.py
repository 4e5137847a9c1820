"""The metrics of predictions whose outcomes are known, as scikit-learn defines them, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taxiway.monitoring.intervals import Bootstrap, Estimate, on_logit_scale, wilson

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MOST_CLASSES = 1000
MOST_RANKED = 2_000_000  # probabilities that the area under the curve is of; of more rows, a random part
_LEAST_SHARE = 0.01  # of the median outcome, below which an error is no share of an outcome


def as_labels(values: pd.Series[Any]) -> pd.Series[Any]:
    """Spell labels one way, as text: 1, 1.0 and True are ``1``; what is missing stays missing."""
    import pandas as pd

    unique = pd.Series(values.unique(), dtype=object)
    return values.map(dict(zip(unique, map(spell, unique), strict=True))).astype(object)


def spell(label: Any) -> str:
    """Spell a label: 1, 1.0, True and "1" are one."""
    text = str(label)
    if text in ("True", "False"):
        return "1" if text == "True" else "0"
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def classification(
    truth: pd.Series[Any],
    label: pd.Series[Any],
    *,
    probabilities: NDArray[np.float64] | None = None,
    classes: Sequence[str] = (),
    seed: int = 0,
) -> tuple[dict[str, Estimate], float]:
    """Measure labels, and the probabilities beside them where they are given.

    Parameters
    ----------
    truth, label
        The outcomes and what was predicted, as ``as_labels`` spells them, without missing ones.
    probabilities
        Shape (n, classes); rows with a value that is not finite do not count.
    classes
        The Model's classes, spelled likewise, in the order of the probabilities; of two, the second is
        the positive one.

    Returns
    -------
    dict, float
        ``accuracy`` (Wilson), ``balanced_accuracy``, ``f1`` (macro), of two classes ``precision`` and
        ``recall``, with probabilities ``log_loss`` and ``brier`` (all bootstrap) and ``roc_auc`` (one
        against the rest, macro; DeLong); and the standard deviation of a hit.
    """
    import numpy as np
    import pandas as pd

    codes, names = pd.factorize(pd.concat([truth, label], ignore_index=True), sort=True)
    y, predicted = np.split(codes.astype(np.int64), 2)
    hits = y == predicted
    share = float(hits.mean())
    metrics = {"accuracy": wilson(int(hits.sum()), len(y))}
    drawn = Bootstrap(len(y), seed=seed)
    if len(names) <= MOST_CLASSES:
        right, real, told = (drawn.counts(part, len(names)) for part in (np.where(hits, y, -1), y, predicted))
        metrics["balanced_accuracy"] = drawn.estimate(_balanced_accuracy(right, real))
        metrics["f1"] = drawn.estimate(_macro_f1(right, real + told))
        if len(classes) == 2 and set(names) <= set(classes) and classes[1] in names:
            place = list(names).index(classes[1])
            metrics["precision"] = drawn.ratio(right[:, place], told[:, place])
            metrics["recall"] = drawn.ratio(right[:, place], real[:, place])
    if probabilities is not None and probabilities.shape[1] == len(classes):
        metrics |= _of_probabilities(truth, probabilities, classes, seed)
    return metrics, float(np.sqrt(share * (1 - share)))


def _balanced_accuracy(right: NDArray[np.float64], real: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the mean recall over the classes that occur."""
    import numpy as np

    mean: NDArray[np.float64] = np.sum(right / np.maximum(real, 1), axis=1) / np.count_nonzero(real, axis=1)
    return mean


def _macro_f1(right: NDArray[np.float64], both: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the mean F1 over the classes that occur or are predicted."""
    import numpy as np

    mean: NDArray[np.float64] = np.sum(2 * right / np.maximum(both, 1), axis=1) / np.count_nonzero(both, 1)
    return mean


def _of_probabilities(
    truth: pd.Series[Any], probabilities: NDArray[np.float64], classes: Sequence[str], seed: int
) -> dict[str, Estimate]:
    """Measure probabilities, of rows whose outcome is a class of the Model's."""
    import numpy as np
    import pandas as pd

    y = pd.Index(classes).get_indexer(pd.Index(truth))
    known = (y >= 0) & np.isfinite(probabilities).all(axis=1)
    y, p = y[known], probabilities[known]
    if not len(y):
        return {}
    drawn = Bootstrap(len(y), seed=seed)
    smallest = np.finfo(float).eps
    total = np.maximum(p.sum(axis=1), smallest)
    own = p[np.arange(len(y)), y]
    # as scikit-learn: rows are scaled to sum to one, and no probability is quite 0 or 1
    metrics = {"log_loss": drawn.mean(-np.log(np.clip(own / total, smallest, 1 - smallest)))}
    squares = (p**2).sum(axis=1) - 2 * own + 1
    # of two classes the squared error of one of them, which is half of that of both
    metrics["brier"] = drawn.mean((1 - own) ** 2 if len(classes) == 2 else squares)
    area = roc_auc(y, p, seed=seed)
    return metrics if area is None else {**metrics, "roc_auc": area}


def roc_auc(y: NDArray[np.int64], p: NDArray[np.float64], *, seed: int = 0) -> Estimate | None:
    """Give the area under the ROC curve, of each class against the rest, averaged over the classes.

    The interval is DeLong's (*Biometrics* 44, 1988), on the logit scale; for several classes from the mean
    of their influence functions. Of more than ``MOST_RANKED`` probabilities, a random part is ranked.

    Parameters
    ----------
    y
        The true class of each row, as a place in the columns of ``p``; (n,).
    p
        Probabilities, (n, classes); of two classes the second is ranked.

    Returns
    -------
    Estimate or None
        None where no class has both rows of its own and others.
    """
    import numpy as np
    from scipy.stats import rankdata

    most = MOST_RANKED // p.shape[1]
    if len(y) > most:
        chosen = np.random.default_rng(seed).choice(len(y), most, replace=False)
        y, p = y[chosen], p[chosen]
    areas, influence = [], np.zeros(len(y))
    for place in [1] if p.shape[1] == 2 else range(p.shape[1]):
        mine = y == place
        n_mine, n_rest = int(mine.sum()), int((~mine).sum())
        if not n_mine or not n_rest:
            continue
        ranks = rankdata(p[:, place])
        above = (ranks[mine] - rankdata(p[mine, place])) / n_rest
        below = 1 - (ranks[~mine] - rankdata(p[~mine, place])) / n_mine
        area = float(above.mean())
        influence[mine] += (above - area) / n_mine
        influence[~mine] += (below - area) / n_rest
        areas.append(area)
    if not areas:
        return None
    error = float(np.sqrt(np.sum((influence / len(areas)) ** 2)))
    return on_logit_scale(float(np.mean(areas)), error)


def regression(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], *, seed: int = 0
) -> tuple[dict[str, Estimate], float | None]:
    """Measure numbers; ``bias`` is the mean of prediction less outcome.

    Returns
    -------
    dict, float or None
        ``mae``, ``rmse``, ``bias``, ``r2`` where outcomes differ, and ``mape`` where every outcome has one
        sign and none is tiny (bootstrap); and the standard deviation of the absolute error.
    """
    import numpy as np

    error = predicted - truth
    drawn = Bootstrap(len(error), seed=seed)
    squares = drawn.sums(error**2)
    metrics = {
        "mae": drawn.mean(np.abs(error)),
        "rmse": drawn.estimate(np.sqrt(squares / drawn.n)),
        "bias": drawn.mean(error),
    }
    centred = truth - truth.mean()
    if len(error) > 1 and centred.any():
        total = drawn.sums(centred**2) - drawn.sums(centred) ** 2 / drawn.n
        r2 = np.full(len(total), np.nan)
        np.divide(squares, total, out=r2, where=total > 0)
        metrics["r2"] = drawn.estimate(1 - r2)
    size = np.abs(truth)
    if len(np.unique(np.sign(truth))) == 1 and size.min() > _LEAST_SHARE * np.median(size):
        metrics["mape"] = drawn.mean(np.abs(error) / size)
    return metrics, float(np.abs(error).std(ddof=1)) if len(error) > 1 else None
