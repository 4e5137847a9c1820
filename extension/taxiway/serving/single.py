"""One sound row, the commonest request by far, taken from JSON to tensors without a detour.

Whatever is unusual about a request (another shape, several rows, a column too many or too few, a value
that the reference data did not have) is left to ``requests`` and ``validation``, which find what it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter, le
from typing import Any, NamedTuple

import numpy as np

from taxiway.serving.block import Tensor
from taxiway.serving.runtime import Feed, Runtime
from taxiway.serving.spool import FORMATS
from taxiway.serving.validation import ColumnCheck

_MOST_REMEMBERED = 256
#: Kind of a tensor's dtype → the values that ``struct`` writes into it as numpy does.
_PACKED: dict[str, frozenset[type]] = {
    "f": frozenset((float, int, bool)),
    "i": frozenset((int, bool)),
    "b": frozenset((bool,)),
}

_Chosen = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class _Group(NamedTuple):
    """Tensors of one dtype, the values that they hold, and the shape in which these lie in one array."""

    tensors: list[str]
    chosen: _Chosen
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    packs: bool


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
        self._numbers = _getter(numbers) if len(numbers) < len(columns) else None
        self._least = [columns[place].comfort[0] for place in numbers]
        self._greatest = [columns[place].comfort[1] for place in numbers]
        self._categories = [
            (place, column.categories)
            for place, column in enumerate(columns)
            if column.categories is not None
        ]
        self._groups = _groups(columns, feeds)

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
        numbers = values if self._numbers is None else self._numbers(values)
        if not (all(map(le, self._least, numbers)) and all(map(le, numbers, self._greatest))):
            return None
        for place, categories in self._categories:
            if values[place] not in categories:
                return None
        return values

    def tensors(self, values: tuple[Any, ...]) -> dict[str, Tensor]:
        """Give the engine's tensors for the values that ``read`` gave."""
        tensors: dict[str, Tensor] = {}
        for group in self._groups:
            array = np.array(group.chosen(values), dtype=group.dtype)
            tensors.update(zip(group.tensors, array.reshape(group.shape), strict=True))
        return tensors

    def runner(self, runtime: Runtime) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
        """Give what runs the Model on the values that ``read`` gave: one value for each output.

        Where the engine can, the tensors are made here once and only filled for a row: it is for one thread.
        """
        return self._bound(runtime) or (lambda values: runtime.run_row(self.tensors(values)))

    def _bound(self, runtime: Runtime) -> Callable[[tuple[Any, ...]], dict[str, Any]] | None:
        """Do what ``runner`` does, with tensors that stay; None where they cannot, or no sample is sound."""
        sample = next(filter(None, (self.read([record]) for record in runtime.sample["records"])), None)
        if sample is None or not all(group.packs for group in self._groups):
            return None
        tensors: dict[str, Tensor] = {}
        fills: list[tuple[Callable[..., None], memoryview, _Chosen]] = []
        for group in self._groups:
            array = np.array(group.chosen(sample), dtype=group.dtype)
            tensors.update(zip(group.tensors, array.reshape(group.shape), strict=True))
            pack = struct.Struct(f"={len(array)}{FORMATS[group.dtype.str]}").pack_into
            fills.append((pack, array.data, group.chosen))
        run = runtime.bind_row(tensors)
        if run is None:
            return None

        def fill_and_run(values: tuple[Any, ...]) -> dict[str, Any]:
            for pack, place, chosen in fills:
                pack(place, 0, *chosen(values))
            return run()

        return fill_and_run

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


def _groups(columns: Sequence[ColumnCheck], feeds: Sequence[Feed]) -> list[_Group]:
    """Put the tensors of one dtype together: they are made as one array and cut apart."""
    names = tuple(column.name for column in columns)
    places = {name: place for place, name in enumerate(names)}
    tensors: dict[np.dtype[Any], list[Feed]] = {}
    for feed in feeds:
        tensors.setdefault(feed.dtype, []).append(feed)
    whole = len(feeds) == 1
    groups = []
    for dtype, group in tensors.items():
        filled = [places[name] for feed in group for name in feed.columns]
        types = frozenset().union(*(columns[place].accepted for place in filled))
        groups.append(
            _Group(
                [feed.tensor for feed in group],
                tuple if filled == [*range(len(names))] else _getter(filled),
                dtype,
                (1, 1, len(filled)) if whole else (-1, 1, 1),
                packs=types <= _PACKED.get(dtype.kind, frozenset()),
            )
        )
    return groups
