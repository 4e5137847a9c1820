"""Drift of a window against the reference, column by column, from two profiles.

A column has drifted when two things hold at once: a test says that the difference is not chance (Holm's
adjusted p-value below ``alpha``), and the difference is large enough to matter (PSI, less what chance alone
gives at these sample sizes, at or above ``threshold``). The test keeps a window of 30 rows from flipping at
random; the effect size keeps a window of a million rows from flipping over a trifle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from taxiway.monitoring.profiles import ColumnSummary, View, summary
from taxiway.monitoring.sketches import Frequencies, Sketch, frequencies_of, sketch_of
from taxiway.monitoring.statistics import (
    chi2_test,
    holm,
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
BINS = 10
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

    @property
    def tested(self) -> bool:
        """Whether there was enough to judge by."""
        return self.p_value is not None


def drift(
    reference: View,
    window: View,
    *,
    columns: Iterable[str] | None = None,
    alpha: float = ALPHA,
    threshold: float = PSI_THRESHOLD,
    min_rows: int = MIN_ROWS,
) -> list[ColumnDrift]:
    """Compare a window with the reference, column by column.

    Parameters
    ----------
    reference, window
        Profiles, as ``taxiway.monitoring.profiles.profile`` gives them.
    columns
        Which columns; those that both profiles have by default (schema drift is told by name elsewhere).
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
    before, after = summary(reference), summary(window)
    names = list(columns) if columns is not None else sorted(before.keys() & after.keys())
    found = [_compare(name, reference, window, before.get(name), after.get(name), min_rows) for name in names]
    return [
        replace(one, drifted=_is_drift(one, alpha, threshold), null_drifted=_is_null_drift(one, alpha))
        for one in _adjusted(found)
    ]


def _adjusted(found: Sequence[ColumnDrift]) -> list[ColumnDrift]:
    p = iter(holm([one.p_value for one in found if one.p_value is not None]))
    null = iter(holm([one.null_p_value for one in found if one.null_p_value is not None]))
    return [
        replace(
            one,
            p_value=None if one.p_value is None else next(p),
            null_p_value=None if one.null_p_value is None else next(null),
        )
        for one in found
    ]


def _is_drift(one: ColumnDrift, alpha: float, threshold: float) -> bool:
    return one.p_value is not None and one.psi is not None and one.p_value < alpha and one.psi >= threshold


def _is_null_drift(one: ColumnDrift, alpha: float) -> bool:
    if one.null_p_value is None:
        return False
    return one.null_p_value < alpha and abs(one.null_share_change) >= NULL_SHARE_THRESHOLD


def _compare(
    name: str,
    reference: View,
    window: View,
    before: ColumnSummary | None,
    after: ColumnSummary | None,
    min_rows: int,
) -> ColumnDrift:
    if before is None or after is None:
        where = "the reference" if before is None else "the window"
        return ColumnDrift(name, "numeric", text=f"not judged: {where} has no such column")
    kind: Literal["numeric", "categorical"] = "categorical" if before.kind == "categorical" else "numeric"
    blank = _with_nulls(ColumnDrift(name, kind), before, after, min_rows)
    if before.kind == "datetime" or after.kind == "datetime":
        return replace(blank, text="not judged: times always move on")
    if "unknown" in (before.kind, after.kind):
        return replace(blank, text="not judged: its values are of no known type")
    n = before.rows - before.nulls - before.infinities, after.rows - after.nulls - after.infinities
    blank = replace(blank, n_reference=n[0], n_window=n[1])
    if min(n) < min_rows:
        where = "the window" if n[1] < min_rows else "the reference"
        return replace(blank, text=f"too few rows: {where} has {min(n)} values, {min_rows} are needed")
    if before.kind != after.kind:
        text = f"its values are {after.kind}, the reference's {before.kind}"
        return replace(blank, psi=None, text=f"not judged: {text}")
    if kind == "categorical":
        return _categorical(blank, frequencies_of(reference, name), frequencies_of(window, name))
    old, new = sketch_of(reference, name), sketch_of(window, name)
    if old is None or new is None:  # numbers that another tool's profile holds no distribution of
        return replace(blank, text="not judged: a profile has no distribution of it")
    return _numeric(blank, old, new)


def _with_nulls(one: ColumnDrift, before: ColumnSummary, after: ColumnSummary, min_rows: int) -> ColumnDrift:
    if min(before.rows, after.rows) < min_rows:
        return one
    old, new = before.nulls / before.rows, after.nulls / after.rows
    p = share_change_p_value((before.nulls, before.rows), (after.nulls, after.rows))
    return replace(
        one,
        null_share_reference=old,
        null_share_window=new,
        null_share_change=new - old,
        null_p_value=p,
    )


def _numeric(one: ColumnDrift, reference: Sketch, window: Sketch) -> ColumnDrift:
    import numpy as np

    points = sorted({*reference.support(), *window.support()})
    gaps = np.abs(np.subtract(reference.cdf(points), window.cdf(points)))
    statistic = float(gaps.max())
    certain = (
        statistic - reference.rank_error - window.rank_error
    )  # what the sketches' own error cannot explain
    raw, bins = _binned_psi(reference, window)
    p = ks_p_value(certain, reference.n, window.n)
    index = max(0.0, raw - psi_bias(bins, reference.n, window.n))
    old, new = reference.quantiles([0.5])[0], window.quantiles([0.5])[0]
    text = f"median {old:.4g} → {new:.4g}"
    return replace(one, psi=index, psi_raw=raw, statistic=statistic, test="ks", p_value=p, text=text)


def _binned_psi(reference: Sketch, window: Sketch) -> tuple[float, int]:
    """Give PSI over the reference's deciles, and the number of bins; a value that fills a decile is a bin."""
    import numpy as np

    deciles = reference.quantiles([i / BINS for i in range(1, BINS)])
    atoms = {value for value in deciles if deciles.count(value) > 1} | {reference.minimum, reference.maximum}
    below = {float(np.nextafter(value, -np.inf)) for value in atoms}
    edges = sorted({*deciles, *below, reference.maximum})
    old = np.diff([0.0, *reference.cdf(edges), 1.0]) * reference.n
    new = np.diff([0.0, *window.cdf(edges), 1.0]) * window.n
    filled = (old + new) > 0
    return psi(old[filled], new[filled]), int(filled.sum())


def _categorical(one: ColumnDrift, reference: Frequencies, window: Frequencies) -> ColumnDrift:
    """Compare the shares of the reference's categories, all others being one.

    A value seen once in the reference counts among the others: how often such values come is about how
    often new ones will (Good, *Biometrika* 40, 1953), so a column of nearly unique texts does not drift.
    """
    kept = [value for value, count in reference.counts.items() if count > 1][:MOST_CATEGORIES]
    old, new = _counts(reference, kept), _counts(window, kept)
    names = [*map(repr, kept), "other values"]
    pairs = zip(old / old.sum(), new / new.sum(), strict=True)
    shares = dict(zip(names, pairs, strict=True))
    moved, (before, after) = max(shares.items(), key=lambda item: abs(item[1][1] - item[1][0]))
    filled = (old + new) > 0
    old, new = pool_rare(old[filled], new[filled])
    statistic, p, test = chi2_test(old, new)
    raw = psi(old, new)
    exact = reference.exact and window.exact
    return replace(
        one,
        psi=max(0.0, raw - psi_bias(len(old), reference.total, window.total)),
        psi_raw=raw,
        statistic=statistic,
        test="fisher" if test == "fisher" else "chi2",
        p_value=p,
        new_categories=tuple(sorted(window.counts.keys() - reference.counts.keys())) if exact else (),
        vanished_categories=tuple(sorted(reference.counts.keys() - window.counts.keys())) if exact else (),
        text=f"share of {moved} {before:.0%} → {after:.0%}",
    )


def _counts(frequencies: Frequencies, kept: Sequence[str]) -> NDArray[np.float64]:
    """Give the counts of the kept categories and, last, of all others together."""
    import numpy as np

    counts = [float(frequencies.counts.get(value, 0)) for value in kept]
    return np.array([*counts, max(0.0, frequencies.total - sum(counts))])
