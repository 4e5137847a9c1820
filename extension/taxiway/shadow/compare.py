"""The comparison of a shadow with the live Model on the same requests, and the verdict.

- **reject**: the shadow fails more than ``max_error_share`` of the requests; or it is significantly worse
  (the interval of the paired difference lies below 0).
- **promote**: enough pairs have outcomes, the shadow is at least as good by the point estimate, it is not
  worse by more than the margin (the lower end of the 95 % interval lies above −margin: non-inferiority as
  ICH E9 and Piaggio et al., *JAMA* 308, 2012, define it), and no slice is significantly worse.
- **keep watching**: all else, with how many more outcomes are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from taxiway.monitoring.log import OUTPUT
from taxiway.monitoring.performance import correct, join_outcomes
from taxiway.shadow.paired import Difference, accuracy_difference, error_difference, rows_needed
from taxiway.shadow.slices import SliceDifference, slice_differences

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Verdict = Literal["promote", "keep watching", "reject"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one role's requests, in milliseconds; None where none was measured."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """How a shadow does beside the live Model.

    Attributes
    ----------
    n_pairs, n_labelled
        Rows that both answered, and those of them whose outcome is known.
    agreement
        The share of pairs with the same label; for numbers, Lin's concordance (*Biometrics* 45, 1989).
    errors
        Rows that the shadow failed or rejected, by its own log; ``unanswered`` are the live rows, within
        the time the shadow was watching, that it has no answer to (dropped by the mirror, say).
    difference
        The paired difference; None without outcomes.
    needed
        How many more outcomes would decide, by the present difference; None if that cannot be said.
    """

    task: str
    metric: str
    n_pairs: int
    n_labelled: int
    agreement: float | None
    errors: int
    unanswered: int
    live_latency: Latency
    shadow_latency: Latency
    margin: float
    difference: Difference | None
    slices: tuple[SliceDifference, ...]
    needed: int | None
    verdict: Verdict
    reasons: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        return asdict(self)


def compare(
    live: pd.DataFrame,
    shadow: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    task: Literal["classification", "regression"] | str,
    slices: Sequence[str] = (),
    prediction: str = OUTPUT + "label",
    margin: float = 0.01,
    min_pairs: int = 50,
    errors: int = 0,
    max_error_share: float = 0.01,
    seed: int = 0,
) -> ShadowReport:
    """Compare the shadow's predictions with the live ones.

    Parameters
    ----------
    live, shadow, outcomes
        As ``taxiway.monitoring.log`` gives them; rows are paired by id, the last of an id holds.
    slices
        Input columns to compare within; numeric ones are cut at the live quartiles.
    margin
        How much worse the shadow may be: in accuracy, or as a share of the live mean absolute error.
    min_pairs
        Labelled pairs below which nothing is decided but by errors.
    errors
        Rows that the shadow failed or rejected.
    """
    live, shadow = (frame.drop_duplicates("id", keep="last") for frame in (live, shadow))
    pairs = (
        live.merge(shadow[["id", prediction]], on="id", suffixes=("", ".shadow")) if len(shadow) else live[:0]
    )
    mine, theirs = prediction, f"{prediction}.shadow"
    if theirs not in pairs:
        pairs = pairs.assign(**{theirs: pairs[mine]})
    labelled = join_outcomes(pairs, outcomes)
    labelled = labelled[labelled["outcome"].notna() & labelled[mine].notna() & labelled[theirs].notna()]
    scores = _scores(labelled, mine, theirs, task)
    measure = accuracy_difference if task == "classification" else error_difference
    difference = measure(*scores, seed=seed) if len(labelled) else None
    found = slice_differences(labelled, *scores, slices, measure, seed=seed) if difference else ()
    absolute = margin if task == "classification" or difference is None else margin * difference.live
    verdict, reasons, needed = _judge(
        difference, found, len(pairs), absolute, min_pairs, errors, max_error_share, task
    )
    return ShadowReport(
        task=task,
        metric="accuracy" if task == "classification" else "mae",
        n_pairs=len(pairs),
        n_labelled=len(labelled),
        agreement=_agreement(pairs[mine], pairs[theirs], task),
        errors=errors,
        unanswered=_unanswered(live, shadow),
        live_latency=_latency(live),
        shadow_latency=_latency(shadow),
        margin=absolute,
        difference=difference,
        slices=tuple(found),
        needed=needed,
        verdict=verdict,
        reasons=reasons,
    )


def _scores(labelled: pd.DataFrame, mine: str, theirs: str, task: str) -> tuple[Any, Any]:
    """Give hits, or absolute errors, of the live and the shadow predictions."""
    import pandas as pd

    if task == "classification":
        return tuple(correct(labelled[name], labelled["outcome"]) for name in (mine, theirs))  # type: ignore[return-value]
    truth = pd.to_numeric(labelled["outcome"])
    return tuple(
        (pd.to_numeric(labelled[name]) - truth).abs().to_numpy(dtype=float) for name in (mine, theirs)
    )  # type: ignore[return-value]


def _agreement(mine: pd.Series[Any], theirs: pd.Series[Any], task: str) -> float | None:
    import numpy as np
    import pandas as pd

    if not len(mine):
        return None
    if task == "classification":
        return float(correct(mine, theirs).mean())
    a: NDArray[np.float64] = pd.to_numeric(mine).to_numpy(dtype=float)
    b: NDArray[np.float64] = pd.to_numeric(theirs).to_numpy(dtype=float)
    scatter = float(a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    return 2 * float(np.mean((a - a.mean()) * (b - b.mean()))) / scatter if scatter else 1.0


def _latency(frame: pd.DataFrame) -> Latency:
    requests = frame.drop_duplicates("request")["latency_ms"].dropna().astype(float)
    if requests.empty:
        return Latency(None, None)
    return Latency(float(requests.quantile(0.5)), float(requests.quantile(0.99)))


def _unanswered(live: pd.DataFrame, shadow: pd.DataFrame) -> int:
    if shadow.empty:
        return 0
    watched = live[live["received"].between(shadow["received"].min(), shadow["received"].max())]
    return int((~watched["id"].isin(shadow["id"])).sum())


def _judge(
    difference: Difference | None,
    slices: Sequence[SliceDifference],
    pairs: int,
    margin: float,
    min_pairs: int,
    errors: int,
    max_error_share: float,
    task: str,
) -> tuple[Verdict, list[str], int | None]:
    if errors and errors / (errors + pairs) > max_error_share:
        share = errors / (errors + pairs)
        return "reject", [f"The shadow failed {errors} of {errors + pairs} rows ({share:.1%})."], None
    if not pairs:
        return "keep watching", ["No row has been answered by both Models yet."], None
    if difference is None:
        return (
            "keep watching",
            [f"No outcome is known yet for the {pairs} rows that both answered."],
            min_pairs,
        )
    told = _told(difference, task)
    if difference.n < min_pairs:
        more = min_pairs - difference.n
        few = f"Only {difference.n} outcomes are known; {more} more are needed at least."
        return "keep watching", [told, few], more
    if difference.high < 0:
        return "reject", [told, "The shadow is significantly worse."], None
    worse = [one for one in slices if one.worse]
    behind = [
        f"On {one.name} the shadow is significantly worse ({_told(one.difference, task)})" for one in worse
    ]
    if difference.low > -margin and difference.value >= 0 and not worse:
        better = (
            "is significantly better" if difference.low > 0 else "is as good or better, within the margin"
        )
        return "promote", [told, f"The shadow {better}."], None
    if difference.low > -margin and difference.value >= 0:
        return "keep watching", [told, *behind], None
    total = rows_needed(difference, margin)
    more = None if total is None else max(total - difference.n, 1)
    about = f" About {more} more outcomes would decide, should the difference stay." if more else ""
    return "keep watching", [told, *behind, f"The difference is not certain yet.{about}"], more


def _told(difference: Difference, task: str) -> str:
    if task == "classification":
        return (
            f"Accuracy {difference.shadow:.1%} against {difference.live:.1%} live on {difference.n} outcomes: "
            f"{100 * difference.value:+.1f} points (95% interval {100 * difference.low:+.1f} to "
            f"{100 * difference.high:+.1f}, McNemar p = {difference.p_value:.2g})."
        )
    return (
        f"Mean error {difference.shadow:.4g} against {difference.live:.4g} live on {difference.n} outcomes: "
        f"gain {difference.value:.4g} (95% interval {difference.low:.4g} to {difference.high:.4g}, "
        f"p = {difference.p_value:.2g})."
    )
