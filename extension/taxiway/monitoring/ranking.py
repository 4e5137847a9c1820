"""The metrics of rankings: of the rows of each group (a query's candidates) by their predicted scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.monitoring.intervals import Bootstrap, Estimate

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

CUT = 10


@dataclass(frozen=True, slots=True)
class Rankings:
    """The metrics of each group that can be ranked: it has two rows or more, one of them relevant.

    Attributes
    ----------
    groups
        The values of the group column, (m,).
    ndcg, reciprocal_rank, average_precision
        Of each group, (m,).
    """

    groups: NDArray[Any]
    ndcg: NDArray[np.float64]
    reciprocal_rank: NDArray[np.float64]
    average_precision: NDArray[np.float64]


def rankings(
    groups: pd.Series[Any], scores: NDArray[np.float64], relevance: NDArray[np.float64], *, cut: int = CUT
) -> Rankings:
    """Rank the rows of each group by score, the highest first.

    Equal scores are no ranking: NDCG gives each of them the mean of their places' discounts (McSherry and
    Najork, *ECIR* 2008); the others the last of their places, as scikit-learn's
    ``label_ranking_average_precision_score`` does.

    Parameters
    ----------
    groups, scores, relevance
        Row for row, (n,), none missing; a relevance above 0 is relevant, and more is better.
    cut
        How many places NDCG looks at; gains are linear (Järvelin and Kekäläinen, *TOIS* 20, 2002).
    """
    import numpy as np
    import pandas as pd

    codes, names = pd.factorize(groups)
    frame = pd.DataFrame({"group": codes, "score": scores, "gain": np.maximum(relevance, 0.0)})
    frame = frame.sort_values(["group", "score"], ascending=[True, False], kind="stable")
    grouped = frame.groupby("group", sort=True)
    place = grouped.cumcount().to_numpy()
    discount = np.where(place < cut, 1 / np.log2(place + 2), 0.0)
    tied = frame.assign(discount=discount, last=place + 1).groupby(["group", "score"], sort=False)
    frame["dcg"] = frame["gain"] * tied["discount"].transform("mean")
    frame["last"] = tied["last"].transform("max")
    relevant = (frame["gain"] > 0).to_numpy()
    frame["above"] = relevant.astype(int)
    frame["above"] = grouped["above"].cumsum()  # up to its own place; up to its ties' last place below
    above = frame.groupby(["group", "score"], sort=False)["above"].transform("max")
    frame["precision"] = np.where(relevant, above / frame["last"], np.nan)
    frame["reciprocal"] = np.where(relevant, 1 / frame["last"], np.nan)
    ideal = frame.sort_values(["group", "gain"], ascending=[True, False], kind="stable")["gain"].to_numpy()
    frame["ideal"] = ideal * discount
    found = frame.groupby("group", sort=True).agg(
        n=("gain", "size"),
        dcg=("dcg", "sum"),
        ideal=("ideal", "sum"),
        precision=("precision", "mean"),
        reciprocal=("reciprocal", "max"),
    )
    found = found[(found["n"] > 1) & (found["ideal"] > 0)]
    return Rankings(
        groups=np.asarray(names)[found.index.to_numpy()],
        ndcg=(found["dcg"] / found["ideal"]).to_numpy(),
        reciprocal_rank=found["reciprocal"].to_numpy(),
        average_precision=found["precision"].to_numpy(),
    )


def measure(found: Rankings, n_rows: int, *, seed: int = 0) -> tuple[dict[str, Estimate], float | None]:
    """Give ``ndcg``, ``mrr`` and ``map``, means over the groups (bootstrap of groups).

    Returns
    -------
    dict, float or None
        The metrics, and the standard deviation of NDCG over groups, scaled so that by the square root of
        ``n_rows`` it gives NDCG's standard error.
    """
    m = len(found.ndcg)
    if not m:
        return {}, None
    drawn = Bootstrap(m, seed=seed)
    metrics = {
        "ndcg": drawn.mean(found.ndcg),
        "mrr": drawn.mean(found.reciprocal_rank),
        "map": drawn.mean(found.average_precision),
    }
    return metrics, float(found.ndcg.std(ddof=1) * (n_rows / m) ** 0.5) if m > 1 else None
