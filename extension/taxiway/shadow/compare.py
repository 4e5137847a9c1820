"""The comparison of a shadow with the live Model on the same requests; ``verdict`` judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError
from taxiway.monitoring.log import OUTPUT
from taxiway.monitoring.performance import METRICS, as_numbers, correct, join_outcomes
from taxiway.shadow.paired import Difference, accuracy_difference, error_difference
from taxiway.shadow.slices import SliceDifference, slice_differences
from taxiway.shadow.verdict import Verdict, judge

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from taxiway.monitoring.slices import Slicing


PAIRED = ("classification", "regression")  # tasks whose single rows can be compared


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
    task: str,
    slices: Sequence[str | Slicing] = (),
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
        Input columns to compare within, whose numbers are cut at these rows' quartiles, or how the
        reference parts the rows by them.
    margin
        How much worse the shadow may be: in accuracy, or as a share of the live mean absolute error.
    min_pairs
        Labelled pairs below which nothing is decided but by errors.
    errors, max_error_share
        Rows that the shadow failed or rejected, and the share of them that is still borne.

    Raises
    ------
    InputError
        The task has no metric here, the predictions have no such column, or a slice names no input.
    """
    if task not in PAIRED:
        raise InputError(
            f"There are no metrics for the task {task!r}.", hint="Use classification or regression."
        )
    for frame in (live, shadow):
        if len(frame) and prediction not in frame:
            raise InputError(
                f"The predictions have no column {prediction!r}.", hint="Name the output to judge."
            )
    live, shadow = (frame.drop_duplicates("id", keep="last") for frame in (live, shadow))
    mine, theirs = prediction, f"{prediction}.shadow"
    pairs = _pairs(live, shadow, mine, theirs)
    labelled = join_outcomes(pairs, outcomes)
    if task == "regression":
        labelled = labelled.assign(**{name: as_numbers(labelled[name]) for name in (mine, theirs, "outcome")})
    labelled = labelled[labelled["outcome"].notna() & labelled[mine].notna() & labelled[theirs].notna()]
    scores = _scores(labelled, mine, task), _scores(labelled, theirs, task)
    measure = accuracy_difference if task == "classification" else error_difference
    difference = measure(*scores, seed=seed) if len(labelled) else None
    found = slice_differences(labelled, *scores, slices, measure, seed=seed) if difference else ()
    absolute = margin if task == "classification" or difference is None else margin * difference.live
    decision = judge(
        difference,
        found,
        n_pairs=len(pairs),
        margin=absolute,
        min_pairs=min_pairs,
        errors=errors,
        max_error_share=max_error_share,
    )
    return ShadowReport(
        task=task,
        metric=METRICS[task],
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
        needed=decision.needed,
        verdict=decision.verdict,
        reasons=decision.reasons,
    )


def _pairs(live: pd.DataFrame, shadow: pd.DataFrame, mine: str, theirs: str) -> pd.DataFrame:
    answers = shadow[["id"]].assign(**{theirs: shadow.get(mine)})
    return live.assign(**({} if mine in live else {mine: None})).merge(answers, on="id")


def _scores(labelled: pd.DataFrame, name: str, task: str) -> NDArray[Any]:
    """Give hits or absolute errors, row for row."""
    if task == "classification":
        return correct(labelled[name], labelled["outcome"])
    errors: NDArray[Any] = (labelled[name] - labelled["outcome"]).abs().to_numpy(dtype=float)
    return errors


def _agreement(mine: pd.Series[Any], theirs: pd.Series[Any], task: str) -> float | None:
    import numpy as np

    if not len(mine):
        return None
    if task == "classification":
        return float(correct(mine, theirs).mean())
    both = as_numbers(mine).notna() & as_numbers(theirs).notna()
    a, b = (as_numbers(values[both]).to_numpy(dtype=float) for values in (mine, theirs))
    if not len(a):
        return None
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
