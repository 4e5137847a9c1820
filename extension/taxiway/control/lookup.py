"""Which windows an outcome's prediction is in, without reading every file for every batch of outcomes.

A file of predictions is never changed. What is remembered of one is the least and the greatest id, which
for ids of our own (UUID version 7, which sort by time) nearly always decide, and short hashes of all ids, so
that a file is read again only if one of them fits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxiway.control import parts
from taxiway.control.ledger import Ledger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taxiway.control.tables import PartRow

MOST_HASHES = 16_000_000  # 64 MB


@dataclass(slots=True)
class _Ids:
    least: str
    greatest: str
    hashes: NDArray[np.uint32] | None = None


class Lookup:
    """Remembers which ids files hold, in bounded memory: of those used longest ago only the range.

    Parameters
    ----------
    most
        Hashes that are kept, of four bytes each.
    """

    def __init__(self, most: int = MOST_HASHES) -> None:
        self._most = most
        self._held = 0
        self._known: OrderedDict[str, _Ids] = OrderedDict()

    def windows_of(self, ledger: Ledger, endpoint: str, ids: set[str]) -> set[parts.WindowKey]:
        """Find the windows that hold predictions of these ids, by primary key."""
        found: set[parts.WindowKey] = set()
        if not ids:
            return found
        with ledger.reading() as session:
            rows = parts.select_parts(session, endpoint, "prediction")
            windows = parts.Windows(session, endpoint)
        self._forget({row.path for row in rows}, endpoint)
        asked = _Asked(ids)
        for row in rows:
            key = windows.of(row)
            if key is not None and key not in found and self._holds(row, asked):
                found.add(key)
        return found

    def _holds(self, row: PartRow, asked: _Asked) -> bool:
        known = self._known.get(row.path)
        if known is None:
            known = self._known[row.path] = _range_of(row.path)
        if not asked.any_within(known.least, known.greatest):
            return False
        if known.hashes is None:
            ids = _ids_of(row.path)
            self._keep(known, ids)
            return asked.any_of(ids)
        self._known.move_to_end(row.path)
        return asked.may_be_in(known.hashes) and asked.any_of(_ids_of(row.path))

    def _keep(self, known: _Ids, ids: list[str]) -> None:
        import numpy as np

        known.hashes = np.unique(_hashes(ids))
        self._held += len(known.hashes)
        for other in self._known.values():
            if self._held <= self._most:
                break
            if other is not known and other.hashes is not None:
                self._held -= len(other.hashes)
                other.hashes = None

    def _forget(self, paths: set[str], endpoint: str) -> None:
        """Let go of this endpoint's files that are not there any more."""
        folder = str(parts.folder(endpoint))
        for path in [path for path in self._known if path.startswith(folder + "/") and path not in paths]:
            gone = self._known.pop(path)
            self._held -= 0 if gone.hashes is None else len(gone.hashes)


class _Asked:
    """The ids that are looked for, sorted and hashed once."""

    def __init__(self, ids: set[str]) -> None:
        self.ids = ids
        self.ordered = sorted(ids)
        self.hashes = _hashes(self.ordered)

    def any_within(self, least: str, greatest: str) -> bool:
        """Whether one is between these two."""
        place = bisect_left(self.ordered, least)
        return place < len(self.ordered) and self.ordered[place] <= greatest

    def may_be_in(self, hashes: NDArray[np.uint32]) -> bool:
        """Whether one has such a hash."""
        import numpy as np

        places = np.searchsorted(hashes, self.hashes)
        places[places == len(hashes)] = 0
        return bool(len(hashes)) and bool((hashes[places] == self.hashes).any())

    def any_of(self, ids: list[str]) -> bool:
        """Whether one is among these."""
        return not self.ids.isdisjoint(ids)


def _hashes(ids: list[str]) -> NDArray[np.uint32]:
    import numpy as np
    import pandas as pd

    return (pd.util.hash_array(np.array(ids, dtype=object), categorize=False) >> 32).astype("uint32")


def _ids_of(path: str) -> list[str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        ids: list[str] = file.read(columns=["id"])["id"].to_pylist()
    return [str(one) for one in ids]


def _range_of(path: str) -> _Ids:
    """Give the least and the greatest id from the file's own statistics; all of them where it has none."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        column = file.schema_arrow.get_field_index("id")
        told = [file.metadata.row_group(i).column(column).statistics for i in range(file.num_row_groups)]
    if told and all(
        one is not None and one.has_min_max and isinstance(one.min, str) and isinstance(one.max, str)
        for one in told
    ):
        return _Ids(min(one.min for one in told), max(one.max for one in told))
    return _Ids("", "\U0010ffff" * 200)
