"""The verdict on a shadow.

- **reject**: the shadow fails more than the share of rows that is borne; or it is significantly worse (the
  95 % interval of the paired difference lies below 0).
- **promote**: enough pairs have outcomes, the shadow is at least as good by the point estimate, it is not
  worse by more than the margin (the interval's lower end lies above −margin: non-inferiority as in
  Piaggio et al., *JAMA* 308, 2012), and no slice is significantly worse.
- **keep watching**: all else, with how many more outcomes are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from taxiway.shadow.paired import Difference, rows_needed
from taxiway.shadow.slices import SliceDifference

Verdict = Literal["promote", "keep watching", "reject"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, why, and how many more outcomes would decide (None if that cannot be said)."""

    verdict: Verdict
    reasons: list[str]
    needed: int | None = None


def judge(
    difference: Difference | None,
    slices: Sequence[SliceDifference],
    *,
    n_pairs: int,
    margin: float,
    min_pairs: int,
    errors: int,
    max_error_share: float,
) -> Decision:
    """Give the verdict; ``margin`` is in the units of the difference."""
    rows = n_pairs + errors
    if errors and errors / rows > max_error_share:
        return Decision("reject", [f"The shadow failed {errors} of {rows} rows ({errors / rows:.1%})."])
    if not n_pairs:
        return Decision("keep watching", ["No row has been answered by both Models yet."])
    if difference is None:
        return Decision(
            "keep watching", [f"None of the {n_pairs} rows that both answered has an outcome."], min_pairs
        )
    told = _told(difference)
    if difference.n < min_pairs:
        more = min_pairs - difference.n
        few = f"Only {difference.n} outcomes are known; at least {more} more are needed."
        return Decision("keep watching", [told, few], more)
    if difference.high < 0:
        return Decision("reject", [told, "The shadow is significantly worse."])
    behind = [
        f"Where {one.name} the shadow is significantly worse. {_told(one.difference)}"
        for one in slices
        if one.worse
    ]
    if difference.value >= 0 and difference.low > -margin:
        if behind:
            return Decision("keep watching", [told, *behind])
        better = (
            "is significantly better" if difference.low > 0 else "is as good or better, within the margin"
        )
        return Decision("promote", [told, f"The shadow {better}."])
    total = rows_needed(difference, margin)
    needed = None if total is None else max(total - difference.n, 1)
    about = f" About {needed} more outcomes would decide, should it stay as it is." if needed else ""
    return Decision("keep watching", [told, *behind, f"The difference is not certain yet.{about}"], needed)


def _told(difference: Difference) -> str:
    if difference.metric == "accuracy":
        shares = f"Accuracy {difference.shadow:.1%} against {difference.live:.1%} live"
        value, low, high = (f"{100 * x:+.1f}" for x in (difference.value, difference.low, difference.high))
        gain = f"{value} points (95% interval {low} to {high}, McNemar p = {difference.p_value:.2g})"
    else:
        shares = f"Mean error {difference.shadow:.4g} against {difference.live:.4g} live"
        value, low, high = (f"{x:+.4g}" for x in (difference.value, difference.low, difference.high))
        gain = f"gain {value} (95% interval {low} to {high}, paired t-test p = {difference.p_value:.2g})"
    return f"{shares} on {difference.n} outcomes: {gain}."
