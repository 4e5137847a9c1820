"""What drift needs of a profile, a hundred times sooner than from the profile itself.

A digest holds at most 512 points a column, whatever the number of rows. It is made of the sketches' own bytes
once, when the profile is written, and stands behind it in the same file. It says what the sketches say; where
there is none, as behind a profile of plain whylogs, it is made anew.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from taxiway.monitoring import profiles
from taxiway.monitoring.binary import SEAL_SIZE
from taxiway.monitoring.profiles import Kind, View, kind_of
from taxiway.monitoring.sketches import Frequencies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_POINTS = 512  # that are kept as they are; of more, evenly spaced ones are taken
SPACED_POINTS = 256
BINS = 10

_TEMPORAL = "taxiway.temporal."
_NAME = b"TWDG"
_LENGTH = struct.Struct("<I")
_FOOTER = struct.Struct("<II4s")


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

        if self.masses is _equal():
            return _equal_cumulated()
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
    """Read the digest of a stored profile: the one behind it, or, if there is none, one made of the profile.

    Raises
    ------
    NotFoundError
        There is no such file.
    CorruptionError
        The file is not a whole whylogs profile.
    """
    try:
        with path.open("rb") as file:
            body = _body(file)
            if body is not None:
                return _unpacked(body)
    except (OSError, ValueError, LookupError, TypeError):
        pass  # whylogs reads the profile itself, or says what is wrong with it
    return of_view(profiles.read(path))


def packed(digest: Digest) -> bytes:
    """Give what is written behind a profile: plain whylogs does not look there.

    The facts as JSON, the points of all columns as 64-bit floats, and a footer with checksum and length.
    """
    import numpy as np

    facts: list[list[Any]] = []
    floats: list[NDArray[np.float64]] = []
    for one in digest.values():
        points, frequencies = None, None
        if one.points is not None:
            spaced = one.points.masses is _equal()
            size = len(one.points.values)
            points = [one.points.n, one.points.minimum, one.points.maximum, one.points.error, size, spaced]
            floats += [one.points.values] if spaced else [one.points.values, one.points.masses]
        if one.frequencies is not None:
            frequencies = [one.frequencies.counts, one.frequencies.total, one.frequencies.exact]
        facts.append(
            [one.column, one.kind, one.rows, one.nulls, one.infinities, one.stddev, points, frequencies]
        )
    told = json.dumps(facts, separators=(",", ":")).encode()
    told += b" " * (-(len(told) + _LENGTH.size) % 8)
    numbers = np.concatenate(floats).astype("<f8").tobytes() if floats else b""
    body = _LENGTH.pack(len(told)) + told + numbers
    return body + _FOOTER.pack(zlib.crc32(body), len(body), _NAME)


def _body(file: BinaryIO) -> bytes | None:
    """Give the bytes of a file's digest, which stands before the profile's own seal; None if it has none."""
    tail = _FOOTER.size + SEAL_SIZE
    end = file.seek(0, os.SEEK_END)
    if end < tail:
        return None
    file.seek(end - tail)
    checksum, size, name = _FOOTER.unpack(file.read(_FOOTER.size))
    if name != _NAME or size > end - tail:
        return None
    file.seek(end - tail - size)
    body = file.read(size)
    return body if zlib.crc32(body) == checksum else None


def _unpacked(body: bytes) -> Digest:
    import numpy as np

    (length,) = _LENGTH.unpack_from(body)
    floats = np.frombuffer(body, "<f8", offset=_LENGTH.size + length)
    found, place = {}, 0
    for column, kind, rows, nulls, infinities, stddev, told, counted in json.loads(
        body[_LENGTH.size : _LENGTH.size + length]
    ):
        points = frequencies = None
        if told is not None:
            n, least, most, error, size, spaced = told
            values, place = floats[place : place + size], place + size
            masses = _equal() if spaced else floats[place : place + size]
            place += 0 if spaced else size
            points = Points(n, least, most, values, masses, error)
        if counted is not None:
            frequencies = Frequencies(*counted)
        found[column] = ColumnDigest(column, kind, rows, nulls, infinities, stddev, points, frequencies)
    return found


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


@cache
def _equal_cumulated() -> NDArray[np.float64]:
    import numpy as np

    return np.arange(SPACED_POINTS + 1) / SPACED_POINTS
