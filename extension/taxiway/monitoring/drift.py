"""Drift of a window against the reference, column by column, from two profiles.

A column has drifted when two things hold at once: a test says that the difference is not chance (Holm's
adjusted p-value below ``alpha``), and the difference is large enough to matter (PSI, less what chance alone
gives at these sample sizes, at or above ``threshold``). The test keeps a window of 30 rows from flipping at
random; the effect size keeps a window of a million rows from flipping over a trifle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from taxiway.monitoring import digest
from taxiway.monitoring.digest import ColumnDigest, Digest, Points
from taxiway.monitoring.profiles import View
from taxiway.monitoring.sketches import Frequencies
from taxiway.monitoring.statistics import (
    chi2_holds,
    chi2_rows,
    distances,
    fisher_p_value,
    fisher_rows,
    hellinger,
    holm,
    jensen_shannon,
    ks_p_value,
    pool_rare,
    psi,
    psi_bias,
    share_change_p_value,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALPHA = 0.01
PSI_THRESHOLD = 0.2
MIN_ROWS = 10
NULL_SHARE_THRESHOLD = 0.05
MOST_CATEGORIES = 50


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How one column of a window differs from the reference.

    Attributes
    ----------
    psi
        Population stability index less its small-sample bias, at least 0; None if not tested.
    psi_raw
        The same, uncorrected, as other tools give it.
    statistic, test
        Kolmogorov–Smirnov's D (``ks``), or χ² (``chi2``; ``fisher`` where counts are small).
    p_value
        Holm's adjusted p-value over the columns tested together.
    jensen_shannon, hellinger
        Distances between the shares that PSI compares, 0 to 1.
    wasserstein
        How far the mass has to be moved (numeric), in standard deviations of the reference; None if that
        is constant.
    contribution
        The column's share, 0 to 1, of the drift of all columns together: of the sum of PSI times the weight
        that ``drift`` was given; None if it has no weight or was not tested.
    drifted
        The verdict on the distribution; ``null_drifted`` is the one on the share of missing values.
    n_reference, n_window
        Values compared: finite numbers, or categories; nulls are not among them.
    text
        One sentence fragment for people: how strong, and what moved; or why it was not tested.
    """

    column: str
    kind: Literal["numeric", "categorical"]
    psi: float | None = None
    psi_raw: float | None = None
    statistic: float | None = None
    test: Literal["ks", "chi2", "fisher"] | None = None
    p_value: float | None = None
    drifted: bool = False
    n_reference: int = 0
    n_window: int = 0
    new_categories: tuple[str, ...] = ()
    vanished_categories: tuple[str, ...] = ()
    null_share_reference: float = 0.0
    null_share_window: float = 0.0
    null_share_change: float = 0.0
    null_p_value: float | None = None
    null_drifted: bool = False
    text: str = ""
    jensen_shannon: float | None = None
    hellinger: float | None = None
    wasserstein: float | None = None
    contribution: float | None = None

    @property
    def tested(self) -> bool:
        """Whether there was enough to judge by."""
        return self.p_value is not None


def drift(
    reference: View | Digest,
    window: View | Digest,
    *,
    columns: Iterable[str] | None = None,
    weights: Mapping[str, float] | None = None,
    alpha: float = ALPHA,
    threshold: float = PSI_THRESHOLD,
    min_rows: int = MIN_ROWS,
) -> list[ColumnDrift]:
    """Compare a window with the reference, column by column.

    Parameters
    ----------
    reference, window
        Profiles, as ``taxiway.monitoring.profiles.profile`` gives them, or their digests, as
        ``taxiway.monitoring.digest.read`` does.
    columns
        Which columns; those that both profiles have by default (schema drift is told by name elsewhere).
    weights
        How much each column matters to the model, for its contribution; all the same by default.
    alpha
        The chance, for one window, that any column is called drifted without cause, at most.
    threshold
        The least PSI that matters. 0.2 lies between Siddiqi's "minor" (0.1) and "major" (0.25) shift.
    min_rows
        Fewer values than this on either side are not judged.

    Returns
    -------
    list of ColumnDrift
        In the order asked, else by name; a column that cannot be judged says why in ``text``.
    """
    before, after = _digest(reference), _digest(window)
    names = list(columns) if columns is not None else sorted(before.keys() & after.keys())
    found = [_case(name, before.get(name), after.get(name), min_rows) for name in names]
    _numeric([case for case in found if case.way == "numeric"])
    _categorical([case for case in found if case.way == "categorical"])
    tested = [case.said for case in found if "p_value" in case.said]
    for said, p in zip(tested, holm([said["p_value"] for said in tested]), strict=True):
        said.update(p_value=p, drifted=p < alpha and said["psi"] >= threshold)
    _adjust_nulls([case.said for case in found if "null_p_value" in case.said], alpha)
    _contribute(tested, weights)
    return [ColumnDrift(**case.said) for case in found]


def _digest(given: View | Digest) -> Digest:
    return given if isinstance(given, Mapping) else digest.of_view(given)


@dataclass(slots=True)
class _Case:
    """One column on its way to a verdict: both sides, and what is said of it so far."""

    before: ColumnDigest
    after: ColumnDigest
    said: dict[str, Any]
    way: Literal["numeric", "categorical", "none"] = "none"
    n: tuple[int, int] = field(default=(0, 0))


def _case(name: str, before: ColumnDigest | None, after: ColumnDigest | None, min_rows: int) -> _Case:
    missing = ColumnDigest(name, "empty", 0, 0, 0)
    case = _Case(before or missing, after or missing, {"column": name, "kind": "numeric"})
    if before is None or after is None:
        where = "the reference" if before is None else "the window"
        case.said["text"] = f"not judged: {where} has no such column"
        return case
    kinds = before.kind, after.kind
    case.said["kind"] = "categorical" if before.kind == "categorical" else "numeric"
    _nulls(case, min_rows)
    if "datetime" in kinds:
        case.said["text"] = "not judged: times always move on"
        return case
    if "unknown" in kinds:
        case.said["text"] = "not judged: its values are of no known type"
        return case
    case.n = _values(before), _values(after)
    case.said.update(n_reference=case.n[0], n_window=case.n[1])
    if min(case.n) < min_rows:
        where = "the window" if case.n[1] < min_rows else "the reference"
        case.said["text"] = f"too few rows: {where} has {min(case.n)} values, {min_rows} are needed"
    elif before.kind != after.kind:
        case.said["text"] = f"not judged: its values are {after.kind}, the reference's {before.kind}"
    elif before.kind == "categorical":
        case.way = "categorical"
    elif before.points is None or after.points is None:  # numbers that another tool's profile only counts
        case.said["text"] = "not judged: a profile has no distribution of it"
    else:
        case.way = "numeric"
    return case


def _values(one: ColumnDigest) -> int:
    return one.rows - one.nulls - one.infinities


def _nulls(case: _Case, min_rows: int) -> None:
    before, after = case.before, case.after
    if min(before.rows, after.rows) < min_rows:
        return
    old, new = before.nulls / before.rows, after.nulls / after.rows
    case.said.update(
        null_share_reference=old,
        null_share_window=new,
        null_share_change=new - old,
        null_p_value=share_change_p_value((before.nulls, before.rows), (after.nulls, after.rows)),
    )


def _adjust_nulls(tested: Sequence[dict[str, Any]], alpha: float) -> None:
    for said, p in zip(tested, holm([said["null_p_value"] for said in tested]), strict=True):
        moved = abs(said["null_share_change"]) >= NULL_SHARE_THRESHOLD
        said.update(null_p_value=p, null_drifted=p < alpha and moved)


def _contribute(tested: Sequence[dict[str, Any]], weights: Mapping[str, float] | None) -> None:
    """Part the whole of PSI × weight; PSI less its bias, so that columns that stay contribute nothing."""
    parts = {
        said["column"]: said["psi"] * (1.0 if weights is None else weights[said["column"]])
        for said in tested
        if weights is None or said["column"] in weights
    }
    total = sum(parts.values())
    for said in tested:
        if said["column"] in parts:
            said["contribution"] = parts[said["column"]] / total if total > 0 else 0.0


def _numeric(cases: Sequence[_Case]) -> None:
    """Compare the numeric columns all at once."""
    import numpy as np

    if not cases:
        return
    n = np.array([case.n for case in cases], dtype=float)
    pairs = [(case.before.points, case.after.points) for case in cases]
    points = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    (old_values, old_masses), (new_values, new_masses) = map(_matrices, zip(*points, strict=True))
    statistics, moved = distances((old_values, new_values), (old_masses, new_masses))
    errors = np.array([ours.error + theirs.error for ours, theirs in points])
    bins = max(len(ours.edges) for ours, _ in points)
    below = np.ones((2, len(points), bins + 1))
    for row, (ours, theirs) in enumerate(points):
        size = len(ours.edges)
        below[0, row, :size], below[1, row, :size] = ours.cdf_at_edges, theirs.cdf(ours.edges)
    old, new = np.clip(np.diff(below, axis=2, prepend=0.0), 0.0, None) * n.T[:, :, None]
    spreads = [case.before.stddev or 0.0 for case in cases]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "psi_raw": psi(old, new),
            "statistic": statistics,
            "p_value": ks_p_value(statistics - errors, n[:, 0], n[:, 1]),  # what the errors cannot explain
            "jensen_shannon": jensen_shannon(old, new),
            "hellinger": hellinger(old, new),
            "wasserstein": moved / spreads,
        }
    for (ours, theirs), case, values in zip(points, cases, _rows(found, old, new, n), strict=True):
        case.said.update(values, test="ks", text=_moved(ours, theirs))
        if not isfinite(values["wasserstein"]):
            case.said["wasserstein"] = None


def _moved(ours: Points, theirs: Points) -> str:
    """Tell the median before and after; where that has not moved, the decile that did most."""
    before, after = f"{ours.median:.4g}", f"{theirs.median:.4g}"
    if before != after:
        return f"median {before} → {after}"
    deciles = ((share, ours.quantile(share), theirs.quantile(share)) for share in (0.1, 0.3, 0.7, 0.9))
    share, old, new = max(deciles, key=lambda one: abs(one[2] - one[1]))
    return f"median {before} as before, {100 * share:.0f}th percentile {old:.4g} → {new:.4g}"


def _rows(
    found: dict[str, NDArray[np.float64]],
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    n: NDArray[np.float64],
) -> Iterable[dict[str, float]]:
    """Give what was found column by column, PSI less its bias too; counts are of shape (columns, bins)."""
    import numpy as np

    bias = psi_bias(((old + new) > 0).sum(axis=1), n[:, 0], n[:, 1])
    found["psi"] = np.maximum(0.0, found["psi_raw"] - bias)
    return (
        dict(zip(found, values, strict=True))
        for values in zip(*(part.tolist() for part in found.values()), strict=True)
    )


def _matrices(points: Sequence[Points]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give values and masses of shape (columns, points); a row is filled up by its last value, of no mass."""
    import numpy as np

    width = max(len(one.values) for one in points)
    values, masses = np.empty((len(points), width)), np.zeros((len(points), width))
    for row, one in enumerate(points):
        size = len(one.values)
        values[row, :size], masses[row, :size] = one.values, one.masses
        values[row, size:] = one.values[-1]
    return values, masses


def _categorical(cases: Sequence[_Case]) -> None:
    """Compare the shares of the reference's categories, all others being one.

    A value seen once in the reference counts among the others: how often such values come is about how
    often new ones will (Good, *Biometrika* 40, 1953), so a column of nearly unique texts does not drift.
    """
    import numpy as np

    if not cases:
        return
    tables = [_table(case) for case in cases]
    old, new = _padded([(ours, theirs) for ours, theirs, _ in tables])
    n = np.stack([old.sum(axis=1), new.sum(axis=1)], axis=1)
    before, after = old / n[:, :1], new / n[:, 1:]
    most = abs(after - before).argmax(axis=1)
    found = {"jensen_shannon": jensen_shannon(old, new), "hellinger": hellinger(old, new)}
    for row in np.flatnonzero(~chi2_holds(old, new)).tolist():
        ours, theirs = pool_rare(old[row], new[row])
        old[row], new[row] = 0.0, 0.0
        old[row, : len(ours)], new[row, : len(ours)] = ours, theirs
    found["psi_raw"] = psi(old, new)
    found["statistic"], found["p_value"] = chi2_rows(old, new)
    for row, (case, values) in enumerate(zip(cases, _rows(found, old, new, n), strict=True)):
        kept, shares = tables[row][2], (before[row, most[row]], after[row, most[row]])
        if most[row] < len(kept):
            name = repr(kept[most[row]])
        else:
            name, shares = _among_others(case, kept, shares)
        text = "share of {} {:.0%} → {:.0%}".format(name, *shares)
        case.said.update(values, test="chi2", text=text)
    for row in np.flatnonzero(fisher_rows(old, new)).tolist():
        filled = (old[row] + new[row]) > 0
        (a, b), (c, d) = (np.rint(side[row][filled]).astype(int).tolist() for side in (old, new))
        cases[row].said.update(test="fisher", p_value=fisher_p_value(a, a + b, c, c + d))


def _table(case: _Case) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Give the counts of both sides and the names of the categories; say which are new or vanished."""
    empty = Frequencies({}, 0, exact=True)
    reference, window = case.before.frequencies or empty, case.after.frequencies or empty
    kept = [value for value, count in reference.counts.items() if count > 1][:MOST_CATEGORIES]
    if reference.exact and window.exact:
        case.said["new_categories"] = tuple(sorted(window.counts.keys() - reference.counts.keys()))
        case.said["vanished_categories"] = tuple(sorted(reference.counts.keys() - window.counts.keys()))
    return _counts(reference, kept), _counts(window, kept), kept


def _among_others(
    case: _Case, kept: Sequence[str], shares: tuple[float, float]
) -> tuple[str, tuple[float, float]]:
    """Name the one other value that makes half of their change or more, with its shares; else all of them."""
    empty = Frequencies({}, 0, exact=True)
    old, new = case.before.frequencies or empty, case.after.frequencies or empty
    each = {
        value: (old.counts.get(value, 0) / max(old.total, 1), new.counts.get(value, 0) / max(new.total, 1))
        for value in sorted({*old.counts, *new.counts}.difference(kept))
    }
    value, (before, after) = max(each.items(), key=_change, default=("", (0.0, 0.0)))
    if each and 2 * abs(after - before) >= abs(shares[1] - shares[0]):
        return repr(value), (before, after)
    return "other values", shares


def _change(one: tuple[str, tuple[float, float]]) -> float:
    return abs(one[1][1] - one[1][0])


def _padded(
    tables: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give counts of shape (columns, categories), filled up with zeros."""
    import numpy as np

    both = np.zeros((2, len(tables), max(len(old) for old, _ in tables)))
    for row, (old, new) in enumerate(tables):
        both[0, row, : len(old)], both[1, row, : len(old)] = old, new
    return both[0], both[1]


def _counts(frequencies: Frequencies, kept: Sequence[str]) -> NDArray[np.float64]:
    """Give the counts of the kept categories and, last, of all others together."""
    import numpy as np

    counts = [float(frequencies.counts.get(value, 0)) for value in kept]
    return np.array([*counts, max(0.0, frequencies.total - sum(counts))])
