"""What drift needs of a profile, read from its file in a fraction of the time that whylogs takes.

A digest holds at most 512 points a column, whatever the number of rows. It is made from the sketches' own
bytes, as whylogs writes them, without whylogs' objects: these cost more to build than all that is computed
of them. A checksum behind the profile is not looked at: whoever must be sure reads it with ``profiles.read``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from taxiway.monitoring import profiles
from taxiway.monitoring.profiles import Kind, View, kind_of
from taxiway.monitoring.sketches import Frequencies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_POINTS = 512  # that are kept as they are; of more, evenly spaced ones are taken
SPACED_POINTS = 256
BINS = 10

_TEMPORAL = "taxiway.temporal."
_WANTED = frozenset(
    (
        *(f"counts/{name}" for name in ("n", "null", "inf")),
        *(f"types/{name}" for name in ("integral", "fractional", "boolean", "string", "object", "tensor")),
        *("distribution/kll", "distribution/m2", "frequent_items/frequent_strings"),
    )
)


@dataclass(frozen=True)
class Points:
    """The distribution of the finite numbers of a column, as weighted points.

    Attributes
    ----------
    n
        Numbers seen.
    values, masses
        Ascending, and how much of the whole each stands for (they sum to 1): every number that was seen
        while the sketch holds them all and at most 512 are distinct, else 256 evenly spaced by rank.
    error
        The largest error of the distribution function at any point, at 99 % confidence; 0 if it is exact.
    """

    n: int
    minimum: float
    maximum: float
    values: NDArray[np.float64]
    masses: NDArray[np.float64]
    error: float

    @cached_property
    def cumulated(self) -> NDArray[np.float64]:
        """The distribution function at ``values``, after a 0."""
        import numpy as np

        sums = np.zeros(len(self.masses) + 1)
        np.cumsum(self.masses, out=sums[1:])
        sums[-1] = 1.0  # rounding would make a bin of nothing look filled
        return sums

    def quantile(self, fraction: float) -> float:
        """Give the least value of which at least this share of the numbers are no greater."""
        place = int(self.cumulated[1:-1].searchsorted(fraction - 1e-9))
        return float(self.values[place])

    @cached_property
    def median(self) -> float:
        """The middle number, or the mean of the two in the middle."""
        place = int(self.cumulated[1:-1].searchsorted(0.5 - 1e-9))
        even = self.cumulated[place + 1] < 0.5 + 1e-9 and place + 1 < len(self.values)
        return float((self.values[place] + self.values[place + 1]) / 2 if even else self.values[place])

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """The deciles; a value that fills a decile has a bin of its own, and so has what lies outside."""
        import numpy as np

        deciles = [self.quantile(i / BINS) for i in range(1, BINS)]
        atoms = {value for value in deciles if deciles.count(value) > 1} | {self.minimum, self.maximum}
        below = {float(np.nextafter(value, -np.inf)) for value in atoms}
        return np.array(sorted({*deciles, *below, self.maximum}))

    def cdf(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the share of the numbers that are no greater."""
        below: NDArray[np.float64] = self.cumulated[self.values.searchsorted(at, side="right")]
        return below

    @cached_property
    def cdf_at_edges(self) -> NDArray[np.float64]:
        """Its own distribution function at ``edges``."""
        return self.cdf(self.edges)


@dataclass(frozen=True, slots=True)
class ColumnDigest:
    """One column of a digest; ``points`` of numbers, ``frequencies`` of categories.

    Attributes
    ----------
    rows, nulls, infinities
        Counts; ``rows`` includes the other two.
    stddev
        Of the finite numbers, dividing by n − 1.
    """

    column: str
    kind: Kind
    rows: int
    nulls: int
    infinities: int
    stddev: float | None = None
    points: Points | None = None
    frequencies: Frequencies | None = None


Digest: TypeAlias = Mapping[str, ColumnDigest]


def read(path: Path) -> Digest:
    """Read the digest of a stored profile.

    Raises
    ------
    NotFoundError
        There is no such file.
    CorruptionError
        The file is not a whole whylogs profile.
    """
    from google.protobuf.message import DecodeError

    try:
        return dict(_columns(path.read_bytes()))
    except (ValueError, LookupError, AttributeError, struct.error, DecodeError, OSError):
        # another tool's layout, or a broken file: whylogs reads it, or says what it is
        return of_view(profiles.read(path))


def of_view(view: View) -> Digest:
    """Give the digest of a profile in memory."""
    found = {}
    for name, column in sorted(view.get_columns().items()):
        parts: dict[str, Any] = {}
        for metric in ("counts", "types", "distribution", "frequent_items"):
            one = column.get_metric(metric)
            for key, component in one.to_protobuf().metric_components.items() if one is not None else ():
                parts[f"{metric}/{key}"] = component
        found[name] = _digest(name, parts, temporal=_TEMPORAL + name in view.metadata)
    return found


def _columns(data: bytes) -> Iterable[tuple[str, ColumnDigest]]:
    """Take a file apart as ``DatasetProfileView._do_write`` of whylogs 1.6 puts it together."""
    profiles._whylogs()
    from whylogs.core.proto import ChunkHeader, ChunkMessage, DatasetProfileHeader, DatasetSegmentHeader

    if data[:4] != b"WHY1":
        raise ValueError("no whylogs profile")
    segments, at = _delimited(data, 4, DatasetSegmentHeader)
    header, start = _delimited(data, at, DatasetProfileHeader)
    if segments.has_segments or not header.indexed_metric_paths or start + header.length > len(data):
        raise ValueError("not laid out as this module reads it")
    wanted = [(path, key) for key, path in header.indexed_metric_paths.items() if path in _WANTED]
    metadata = header.properties.metadata
    for name in sorted(header.column_offsets):
        (offset,) = header.column_offsets[name].offsets
        head, at = _delimited(data, start + offset, ChunkHeader)
        chunk = ChunkMessage.FromString(data[at : at + head.length]).metric_components
        parts = {path: chunk[key] for path, key in wanted if key in chunk}
        yield name, _digest(name, parts, temporal=_TEMPORAL + name in metadata)


def _delimited(data: bytes, at: int, message: Any) -> tuple[Any, int]:
    """Read a message that follows its length as a varint; give it and where it ends."""
    size = shift = 0
    while True:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if at + size > len(data):
        raise ValueError("the file is cut off")
    return message.FromString(data[at : at + size]), at + size


def _digest(name: str, parts: Mapping[str, Any], *, temporal: bool) -> ColumnDigest:
    count = {path: message.n for path, message in parts.items() if path[0] in "ct"}
    kind = kind_of({path[6:]: number for path, number in count.items() if path[0] == "t"}, temporal=temporal)
    spread = points = frequencies = None
    if kind == "numeric" and "distribution/kll" in parts:
        points = points_of(parts["distribution/kll"].kll.sketch)
        if points is not None and "distribution/m2" in parts:
            spread = (max(parts["distribution/m2"].d, 0.0) / max(points.n - 1, 1)) ** 0.5
    elif kind == "categorical" and "frequent_items/frequent_strings" in parts:
        frequencies = _frequencies(parts["frequent_items/frequent_strings"].frequent_items.sketch)
    rows, nulls, infinities = (count.get(f"counts/{part}", 0) for part in ("n", "null", "inf"))
    return ColumnDigest(name, kind, rows, nulls, infinities, spread, points, frequencies)


def _frequencies(sketch: bytes) -> Frequencies:
    import whylogs_sketching

    found = whylogs_sketching.frequent_strings_sketch.deserialize(sketch)
    sure = whylogs_sketching.frequent_items_error_type.NO_FALSE_POSITIVES
    items = sorted(found.get_frequent_items(sure), key=lambda item: (-item[1], item[0]))
    counts = {item[0]: int(item[1]) for item in items}
    total = int(found.get_total_weight())
    return Frequencies(counts, total, exact=sum(counts.values()) == total)


def points_of(sketch: bytes) -> Points | None:
    """Take a serialised KLL sketch of doubles apart; None if it is empty.

    The layout is Apache DataSketches' (``kll_sketch::serialize``): a preamble of ``4 × byte 0`` bytes with
    k, n and the number of levels, the offsets of the levels, least and greatest value, the values. A value
    of level i stands for 2^i. The rank error is theirs too: 2.296 / k^0.9723.
    """
    import numpy as np

    preamble, flags = 4 * sketch[0], sketch[3]
    if flags & 1:
        return None
    if flags & 4:
        only = np.frombuffer(sketch, "<f8", 1, preamble)
        return Points(1, float(only[0]), float(only[0]), only, np.ones(1), 0.0)
    n, least_k, levels = struct.unpack_from("<QHB", sketch, 8)
    *starts, low, high = struct.unpack_from(f"<{levels}Idd", sketch, preamble)
    values = np.frombuffer(sketch, "<f8", -1, preamble + 4 * levels + 16)
    order = values.argsort(kind="stable")
    cumulated = _weights(tuple(starts), len(values))[order].cumsum()
    if cumulated[-1] != n:
        raise ValueError("the sketch's levels do not add up to its count")
    error = 2.296 / least_k**0.9723 if levels > 1 else 0.0
    points, masses, spaced = _spaced(values, order, cumulated)
    return Points(n, low, high, points, masses, error + (0.5 / SPACED_POINTS if spaced else 0.0))


@lru_cache(maxsize=64)
def _weights(starts: tuple[int, ...], size: int) -> NDArray[np.int64]:
    """Give how many numbers each value of a sketch stands for; sketches of as many rows are alike."""
    import numpy as np

    ends = (*starts[1:], starts[0] + size)
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    return np.repeat(1 << np.arange(len(starts)), sizes)


def _spaced(
    values: NDArray[np.float64], order: NDArray[np.int64], cumulated: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Give every distinct value with its mass, or the middles of equal parts of the ranks."""
    import numpy as np

    n = int(cumulated[-1])
    if len(values) > MOST_POINTS:
        ranks = np.ceil(_middles() * n).astype(np.int64)
        middles = values[order[cumulated.searchsorted(ranks)]]
        repeated = np.count_nonzero(middles[1:] == middles[:-1])
        if repeated < SPACED_POINTS / 4:
            return middles, _equal(), True
    ordered = values[order]
    last = np.flatnonzero(np.append(ordered[1:] > ordered[:-1], True))
    if len(last) > MOST_POINTS:
        return middles, _equal(), True
    return ordered[last], np.diff(cumulated[last], prepend=0) / n, False


@cache
def _middles() -> NDArray[np.float64]:
    import numpy as np

    return (np.arange(SPACED_POINTS) + 0.5) / SPACED_POINTS


@cache
def _equal() -> NDArray[np.float64]:
    import numpy as np

    return np.full(SPACED_POINTS, 1 / SPACED_POINTS)
