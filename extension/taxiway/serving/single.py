"""One sound row, the commonest request by far, taken from JSON to tensors without a detour.

Whatever is unusual about a request (another shape, several rows, a column too many or too few, a value
that the reference data did not have) is left to ``requests`` and ``validation``, which find what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter, le
from typing import Any

import numpy as np

from taxiway.serving.block import Tensor
from taxiway.serving.runtime import Feed
from taxiway.serving.validation import ColumnCheck

_MOST_REMEMBERED = 256


class SingleRow:
    """Reads, checks and converts a single row.

    Parameters
    ----------
    columns
        The checks of the signature's columns, in order.
    feeds
        The tensors that they fill.
    """

    def __init__(self, columns: Sequence[ColumnCheck], feeds: Sequence[Feed]) -> None:
        self.names = tuple(column.name for column in columns)
        self._values = _getter(self.names)
        self._accepted = [column.accepted for column in columns]
        self._known: dict[tuple[type, ...], bool] = {}
        numbers = [place for place, column in enumerate(columns) if column.numeric]
        self._numbers = _getter(numbers)
        self._least = [columns[place].comfort[0] for place in numbers]
        self._greatest = [columns[place].comfort[1] for place in numbers]
        self._categories = [
            (place, column.categories)
            for place, column in enumerate(columns)
            if column.categories is not None
        ]
        self._whole = feeds[0] if len(feeds) == 1 else None
        self._groups = _groups(self.names, feeds)

    def read(self, data: Any) -> tuple[Any, ...] | None:
        """Give the row's values in the signature's order, if it is one row and nothing is to be said of it.

        Parameters
        ----------
        data
            The request's body as JSON.
        """
        if type(data) is not list or len(data) != 1:
            return None
        row = data[0]
        if type(row) is not dict or len(row) != len(self.names):
            return None
        try:
            values = self._values(row)
        except KeyError:
            return None
        if not self._typed(values):
            return None
        numbers = self._numbers(values)
        if not (all(map(le, self._least, numbers)) and all(map(le, numbers, self._greatest))):
            return None
        for place, categories in self._categories:
            if values[place] not in categories:
                return None
        return values

    def tensors(self, values: tuple[Any, ...]) -> dict[str, Tensor]:
        """Give the engine's tensors for the values that ``read`` gave."""
        if self._whole is not None:
            shape = (1, len(values))
            return {self._whole.tensor: np.array(values, dtype=self._whole.dtype).reshape(shape)}
        tensors: dict[str, Tensor] = {}
        for names, chosen, dtype in self._groups:
            tensors.update(zip(names, np.array(chosen(values), dtype=dtype).reshape(-1, 1, 1), strict=True))
        return tensors

    def _typed(self, values: tuple[Any, ...]) -> bool:
        types = tuple(map(type, values))
        known = self._known.get(types)
        if known is None:
            known = all(kind in accepted for kind, accepted in zip(types, self._accepted, strict=True))
            if len(self._known) < _MOST_REMEMBERED:
                self._known[types] = known
        return known


def _getter(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Give a function that takes several items at once, as a tuple however many there are."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda values: tuple(values[key] for key in keys)


def _groups(
    names: tuple[str, ...], feeds: Sequence[Feed]
) -> list[tuple[list[str], Callable[[Any], tuple[Any, ...]], np.dtype[Any]]]:
    """Put the tensors of one dtype together: they are made as one array and cut apart."""
    tensors: dict[np.dtype[Any], list[str]] = {}
    for feed in feeds:
        tensors.setdefault(feed.dtype, []).append(feed.tensor)
    places = {name: place for place, name in enumerate(names)}
    return [
        (group, _getter([places[name] for name in group]), dtype)
        for dtype, group in tensors.items()
        if all(name in places for name in group)
    ]
