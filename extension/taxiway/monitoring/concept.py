"""Concept drift: whether the error has changed, and when, in the order of the predictions' own times.

A detector reads one error after the other: ADWIN (Bifet and Gavaldà, *SDM* 2007), which keeps a window and
cuts off its older part once the two parts' means differ, or Page–Hinkley (*Biometrika* 41, 1954), which adds
up how far errors are above or below their mean. Both are river's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from taxiway.monitoring.intervals import welch
from taxiway.monitoring.performance import LOWER_IS_BETTER, METRICS, SPOKEN, Outputs, correct, labelled

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Method = Literal["adwin", "page_hinkley"]
METHODS: tuple[Method, ...] = ("adwin", "page_hinkley")
#: Labelled predictions that are looked at, the newest; a change before them is no longer told.
MOST = 50_000
LEAST = 50
_DELTA = 0.002  # of ADWIN, river's default: the chance of a false cut, bounded at each look
_TOLERANCE, _THRESHOLD = 0.1, 40.0  # of Page–Hinkley, in standard deviations of the first errors
_ALPHA = 0.001  # of the test that a change must pass besides


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the error.

    Attributes
    ----------
    time
        Of the first prediction after it, UTC.
    before, after
        The metric between the change before and this one, and from this one to the next.
    n
        How many labelled predictions came after it, up to the next change.
    """

    time: datetime
    before: float
    after: float
    n: int


@dataclass(frozen=True, slots=True)
class Concept:
    """What the change detector says.

    Attributes
    ----------
    metric
        ``accuracy``, ``mae`` or ``ndcg``, in whose units the changes are told.
    n
        How many labelled predictions (groups, of a ranking) it has read.
    drifted
        Whether the metric is now worse than it was before the first change.
    """

    method: Method
    metric: str
    n: int
    changes: tuple[Change, ...] = field(default=())
    drifted: bool = False
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        changes = [{**asdict(one), "time": one.time.isoformat()} for one in self.changes]
        return {**asdict(self), "changes": changes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Concept:
        """Read what ``to_dict`` gave."""
        changes = tuple(
            Change(**{**one, "time": datetime.fromisoformat(one["time"])}) for one in data["changes"]
        )
        return cls(**{**data, "changes": changes})


def concept(joined: pd.DataFrame, outputs: Outputs, *, method: Method = "adwin") -> Concept:
    """Look for changes of the error.

    Parameters
    ----------
    joined
        As ``performance.join_outcomes`` gives it, with ``time``; of more than ``MOST`` labelled rows the
        newest are taken.
    method
        ADWIN notices both gradual and sudden changes; Page–Hinkley sudden ones, somewhat earlier.
    """
    times, scores = _scores(joined, outputs)
    metric = METRICS[outputs.task]
    if len(scores) < LEAST:
        text = f"{len(scores)} outcomes are known; from {LEAST} on a change can be noticed"
        return Concept(method, metric, len(scores), text=text)
    bounded = _bounded(scores, metric)
    cuts = _confirmed(bounded, _located(bounded, _confirmed(bounded, _cuts(bounded, method))))
    ends = [0, *cuts, len(scores)]
    means = [float(scores[start:end].mean()) for start, end in pairwise(ends)]
    changes = tuple(
        Change(times[cut].to_pydatetime(), means[place], means[place + 1], ends[place + 2] - cut)
        for place, cut in enumerate(cuts)
    )
    worse = means[-1] > means[0] if metric in LOWER_IS_BETTER else means[-1] < means[0]
    return Concept(
        method, metric, len(scores), changes, bool(changes) and worse, _text(metric, changes, worse)
    )


def _scores(joined: pd.DataFrame, outputs: Outputs) -> tuple[pd.DatetimeIndex, NDArray[np.float64]]:
    """Give hits, absolute errors or groups' NDCG, in the order of the predictions' times."""
    import numpy as np
    import pandas as pd

    from taxiway.monitoring.ranking import rankings

    known = labelled(joined, outputs).sort_values("time", kind="stable").tail(MOST)
    predicted, truth = known[outputs.prediction], known["outcome"]
    if outputs.task == "classification":
        return pd.DatetimeIndex(known["time"]), correct(predicted, truth).astype(float)
    if outputs.task == "regression":
        return pd.DatetimeIndex(known["time"]), (predicted - truth).abs().to_numpy(dtype=float)
    found = rankings(known[outputs.group], predicted.to_numpy(), truth.to_numpy())
    first = known.drop_duplicates(outputs.group).set_index(outputs.group)["time"]
    ordered = pd.Series(found.ndcg, index=first.reindex(found.groups)).sort_index(kind="stable")
    return pd.DatetimeIndex(ordered.index), ordered.to_numpy().astype(np.float64)


def _bounded(scores: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Bring errors between 0 and 1, as ADWIN's bound assumes; those of numbers by e / (e + their median)."""
    import numpy as np

    if metric != "mae":
        return scores
    middle = float(np.median(scores)) or float(scores.mean()) or 1.0
    return scores / (scores + middle)


def _cuts(values: NDArray[np.float64], method: Method) -> list[int]:
    """Give the places at which something else begins."""
    return list(_adwin(values) if method == "adwin" else _page_hinkley(values))


def _adwin(values: NDArray[np.float64]) -> Iterator[int]:
    from river.drift import ADWIN

    adaptive: Any = ADWIN  # untyped
    detector = adaptive(delta=_DELTA)
    for place, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            yield place + 1 - int(detector.width)


def _page_hinkley(values: NDArray[np.float64]) -> Iterator[int]:
    from river.drift import PageHinkley

    spread = float(values[:LEAST].std()) or 1.0
    detector: Any = PageHinkley(delta=_TOLERANCE, threshold=_THRESHOLD, alpha=1.0)
    for place, value in enumerate((values / spread).tolist()):
        detector.update(value)
        if detector.drift_detected:
            yield place + 1


def _confirmed(scores: NDArray[np.float64], cuts: list[int]) -> list[int]:
    """Keep cuts whose two sides differ by Welch's t-test; the detectors cut more than once at one change."""
    kept = sorted({cut for cut in cuts if 0 < cut < len(scores)})
    while kept:
        ends = [0, *kept, len(scores)]
        p = [_p_value(scores[a:b], scores[b:c]) for a, b, c in zip(ends, ends[1:], ends[2:], strict=False)]
        worst = max(range(len(p)), key=p.__getitem__)
        if p[worst] < _ALPHA:
            break
        del kept[worst]
    return kept


def _located(values: NDArray[np.float64], cuts: list[int]) -> list[int]:
    """Move each cut to where, between its neighbours, two means fit best (Bai, *JTSA* 15, 1994).

    A detector notices a change some time after it, and ADWIN cuts where a block of its histogram ends.
    """
    import numpy as np

    found: list[int] = []
    ends = [0, *cuts, len(values)]
    for place in range(1, len(ends) - 1):
        start = found[-1] if found else 0
        part = values[start : ends[place + 1]]
        n = len(part)
        left = np.arange(1, n)
        sums = np.cumsum(part)[:-1] - part.mean() * left
        found.append(start + 1 + int(np.argmax(sums**2 / (left * (n - left)))))
    return found


def _p_value(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    if min(len(before), len(after)) < 2:
        return 1.0
    return welch(before, after)


def _text(metric: str, changes: tuple[Change, ...], worse: bool) -> str:
    if not changes:
        return "no change of the error"
    last = changes[-1]
    form = ".3g" if metric == "mae" else ".1%" if metric == "accuracy" else ".3f"
    went = f"from {last.before:{form}} to {last.after:{form}} on {last.time:%Y-%m-%d %H:%M} UTC"
    told = f"{'the ' * (metric == 'mae')}{SPOKEN[metric]} went {went}"
    more = f", the last of {len(changes)} changes" if len(changes) > 1 else ""
    return f"{told}{more}" + ("" if worse else "; it is no worse than at first")
