"""The preflight checks of the data: what it tells too well, and what it is too small to tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.packaging.preflight import Check, failed, passed, skipped

if TYPE_CHECKING:
    import pandas as pd

#: Below this, drift tests against the reference have little power (Cochran's rule asks for five
#: expected counts in each of the twenty bins that PSI and chi-squared use).
FEWEST_ROWS = 100
#: A class rarer than this is hardly learnt, and its metrics are hardly known.
RAREST_CLASS = 0.05
#: As many rows of a slice, and as many values of its column, are what shadow reports judge.
FEWEST_ROWS_A_SLICE = 20
MOST_SLICES = 12
_MOST_KINDS = 50
_FEWEST_DISTINCT = 20
_QUARTERED = 8
_IDENTIFIER = re.compile(r"(?:^|[_\W])(?:id|uuid|guid|rowid)$", re.IGNORECASE)
_CAMEL = re.compile(r"[a-z0-9](?:Id|ID|Uuid|UUID)$")


def target_leakage(reference: pd.DataFrame, target: pd.Series[Any] | None) -> Check:
    """Check that no input column is the target under another name."""
    if target is None:
        return skipped("target_leakage", "No target was given.")
    for name in reference.columns:
        if _tells(reference[name], target):
            return failed(
                "target_leakage",
                f"Column {name!r} tells the target exactly.",
                "Drop it, unless it is truly known when the prediction is made.",
            )
    return passed("target_leakage", "No column equals the target or stands for it one to one.")


def identifier_columns(reference: pd.DataFrame) -> Check:
    """Check that no column tells rows apart rather than describing them."""
    found = [
        f"{name!r} {reason}"
        for name in reference.columns
        if (reason := _identifies(str(name), reference[name]))
    ]
    if found:
        return failed(
            "identifier_columns",
            f"Column {', '.join(found)}: what is learnt from it does not hold for new rows.",
            "Drop it from the inputs; a whole number that is truly measured may be given as a float.",
        )
    return passed("identifier_columns", "No column looks like an identifier.")


def reference_size(rows: int) -> Check:
    """Check that the reference can be tested against."""
    if rows < FEWEST_ROWS:
        return failed(
            "reference_size",
            f"The reference has {rows} rows; drift tests need {FEWEST_ROWS}.",
            "Pass all of the training data as reference.",
        )
    return passed("reference_size", f"{rows:,} rows of reference.")


def class_balance(task: str, target: pd.Series[Any] | None) -> Check:
    """Check that no class is too rare to be learnt."""
    if task != "classification" or target is None:
        return skipped("class_balance", "There are no classes to count.")
    shares = target.value_counts(normalize=True)
    rarest, share = shares.index[-1], float(shares.iloc[-1])
    if share < RAREST_CLASS:
        return failed(
            "class_balance",
            f"Class {rarest!s} is {share:.1%} of the reference.",
            "Judge the model by balanced accuracy or by F1, and weight the classes.",
        )
    return passed("class_balance", f"The rarest class, {rarest!s}, is {share:.0%} of the reference.")


def slices_declared(slices: Sequence[str], reference: pd.DataFrame) -> Check:
    """Check that each slice by which the model is judged is a column with enough rows for every value."""
    if not slices:
        return Check(
            "slices_declared",
            "note",
            "skipped",
            "No slices are declared, so a loss on a part of the rows may hide in the whole.",
            "Name the columns to judge by: package(..., slices=['region']).",
        )
    missing = [name for name in slices if name not in reference.columns]
    if missing:
        return failed(
            "slices_declared",
            f"There is no input column {', '.join(map(repr, missing))} to slice by.",
            f"The columns are: {', '.join(map(str, reference.columns))}.",
        )
    thin = [reason for name in slices if (reason := _thin(name, reference[name]))]
    if thin:
        return failed(
            "slices_declared",
            f"{'; '.join(thin)}.",
            "Give more reference rows, or put rare values together in a column of their own.",
        )
    return passed(
        "slices_declared", f"Each slice by {', '.join(slices)} has {FEWEST_ROWS_A_SLICE} rows or more."
    )


def _tells(column: pd.Series[Any], target: pd.Series[Any]) -> bool:
    """Say whether the column equals the target, stands for it one to one, or is it on another scale."""
    import pandas as pd

    known = (column.notna() & target.notna()).to_numpy()
    column, target = column[known], target[known]
    kinds = target.nunique()
    if kinds < 2 or column.nunique() < 2:
        return False
    if kinds <= _MOST_KINDS and column.nunique() == kinds:
        pairs = pd.DataFrame({"column": column, "target": target}).drop_duplicates()
        return len(pairs) == kinds
    if kinds > _MOST_KINDS and all(pd.api.types.is_numeric_dtype(one.dtype) for one in (column, target)):
        one, other = (series.to_numpy(dtype=float, na_value=np.nan) for series in (column, target))
        both = np.isfinite(one) & np.isfinite(other)
        if both.sum() < 2 or one[both].std() == 0 or other[both].std() == 0:
            return False
        return bool(abs(np.corrcoef(one[both], other[both])[0, 1]) > 1 - 1e-9)
    return False


def _identifies(name: str, column: pd.Series[Any]) -> str:
    """Say why a column looks like an identifier; floats and truth values never do."""
    import pandas as pd

    whole = pd.api.types.is_integer_dtype(column.dtype)
    if not whole and (
        pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column)
    ):
        return ""
    if _IDENTIFIER.search(name) or _CAMEL.search(name):
        return "is named as an identifier"
    values = column.dropna()
    if len(values) < _FEWEST_DISTINCT or not values.is_unique:
        return ""
    if whole:
        steps = np.diff(values.to_numpy())
        counts = bool((steps == 1).all() or (steps == -1).all())
        return "counts the rows" if counts else "differs in every row"
    texts = values.astype(str)
    # text of several words is read, not looked up
    return "" if texts.str.contains(r"\s", regex=True).mean() > 0.5 else "differs in every row"


def _thin(name: str, column: pd.Series[Any]) -> str:
    """Say which slice of a column has too few rows; numbers of many values are cut into quarters."""
    import pandas as pd

    number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if number and column.nunique() > _QUARTERED:
        few = len(column) / 4 < FEWEST_ROWS_A_SLICE
        return f"A quarter of {name!r} has fewer than {FEWEST_ROWS_A_SLICE} rows" if few else ""
    counts = column.value_counts()
    if len(counts) > MOST_SLICES:
        return f"{name!r} has {len(counts)} values, of which only the {MOST_SLICES} most frequent are judged"
    rare = [f"{value!s} ({count} rows)" for value, count in counts.items() if count < FEWEST_ROWS_A_SLICE]
    return f"{name!r} has rare values: {', '.join(rare)}" if rare else ""
