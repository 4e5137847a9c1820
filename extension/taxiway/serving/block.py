"""All float columns of a request as one array: made once, for the check and for the model."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from taxiway.serving.requests import Batch
from taxiway.signature import Signature

Tensor = np.ndarray[Any, np.dtype[Any]]

_NUMBERS = frozenset((float, int, type(None)))


def float_columns(signature: Signature) -> tuple[str, ...]:
    """Name the columns that the block holds, in its order."""
    return tuple(column.name for column in signature.inputs if column.dtype in ("float64", "float32"))


def read_block(batch: Batch, names: tuple[str, ...]) -> Tensor | None:
    """Give the float columns as an array of shape (columns, rows), float64, NaN where a value is missing.

    None where a column is missing or holds something else than numbers.
    """
    try:
        columns = [batch.columns[name] for name in names]
    except KeyError:
        return None
    if not columns or not _NUMBERS.issuperset(map(type, chain.from_iterable(columns))):
        return None
    return np.array(columns, dtype=np.float64)
