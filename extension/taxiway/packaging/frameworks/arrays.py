"""Arrays as frames of named columns, and columns as the arrays that an engine takes.

A served row is named values: of an array with more than two dimensions (images, sequences) the pixel in
channel 0, row 3, column 5 is the column ``x_0_3_5``. The names tell the shape, so that an adapter puts the
array together again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"x((?:_\d+){2,})")


def frame_of(array: Any) -> pd.DataFrame:
    """Give a frame with a row per row of the array, and a column per value of one row.

    Parameters
    ----------
    array
        A NumPy array, or a tensor of PyTorch or TensorFlow, of shape (rows, a, b, …).

    Raises
    ------
    InputError
        It has fewer than three dimensions, or holds no numbers.
    """
    import pandas as pd

    for move in ("detach", "cpu"):  # of PyTorch's tensors
        array = getattr(array, move, lambda same=array: same)()
    values = np.asarray(array)
    if values.ndim < 3 or values.dtype.kind not in "fiub":
        raise InputError(
            f"An array of shape {values.shape} and dtype {values.dtype} has no columns that could be named.",
            hint="Pass a DataFrame, or an array of numbers of shape (rows, a, b, …).",
        )
    names = ["x" + "".join(f"_{one}" for one in place) for place in np.ndindex(values.shape[1:])]
    return pd.DataFrame(values.reshape(len(values), -1), columns=names)


def values_of(series: pd.Series[Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Give a column as an engine's tensor has it; missing is NaN, or the empty text."""
    if dtype.kind == "O":
        return series.astype(object).where(series.notna(), "").to_numpy(dtype=object)
    if dtype.kind == "f":
        return series.to_numpy(dtype=dtype, na_value=np.nan)
    return series.to_numpy(dtype=dtype)


def shape_of(columns: Sequence[str]) -> tuple[int, ...] | None:
    """Give the shape of one row of the array that ``frame_of`` made these columns of, if it did."""
    matches = [_NAME.fullmatch(name) for name in columns]
    places = [tuple(int(part) for part in match[1][1:].split("_")) for match in matches if match]
    if len(places) < len(columns) or not places or len({len(place) for place in places}) > 1:
        return None
    shape = tuple(max(axis) + 1 for axis in zip(*places, strict=True))
    if len(places) != np.prod(shape) or places != list(np.ndindex(shape)):
        return None
    return shape
