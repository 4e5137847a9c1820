"""whylogs' binary format, read without what whylogs does again for every number in it.

whylogs makes a class for each component of each metric (1 ms a column) and opens every sketch. A profile
that Taxiway wrote ends in a checksum, which plain whylogs does not look at: where it holds, components are
made from prototypes, and a sketch is opened when it is asked for.
"""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from functools import cache
from typing import Any

from taxiway.errors import CorruptionError

_SEAL = struct.Struct("<4sI")
_NAME = b"TWCK"
SEAL_SIZE = _SEAL.size
_MAGIC = b"WHY1"


def sealed(data: bytes) -> bytes:
    """Give a profile's bytes with a checksum behind them."""
    return data + _SEAL.pack(_NAME, zlib.crc32(data))


def opened(data: bytes) -> Any:
    """Read a sealed profile; None if it has no seal, or holds what only whylogs itself can read.

    Returns
    -------
    whylogs.core.DatasetProfileView or None

    Raises
    ------
    CorruptionError
        The checksum does not hold, or the file is cut off behind the profile.
    """
    if len(data) < _SEAL.size:
        return None
    name, checksum = _SEAL.unpack_from(data, len(data) - _SEAL.size)
    if name != _NAME:
        if _end(data) < len(data):
            raise CorruptionError("what stands behind it is cut off", hint="Profile the data again.")
        return None
    if zlib.crc32(memoryview(data)[: -_SEAL.size]) != checksum:
        raise CorruptionError("its checksum does not hold", hint="Profile the data again.")
    try:
        return _view(data)
    except (KeyError, TypeError):  # a metric or a component of someone else's
        return None


def _end(data: bytes) -> int:
    """Give where a profile ends, by its header; the end of the data if it has none."""
    from google.protobuf.message import DecodeError
    from whylogs.core.proto import DatasetProfileHeader

    try:
        _, place = _delimited(data, len(_MAGIC))
        text, place = _delimited(data, place)
        return place + int(DatasetProfileHeader.FromString(text).length)
    except (IndexError, DecodeError):
        return len(data)


def _view(data: bytes) -> Any:
    from whylogs.core import DatasetProfileView
    from whylogs.core.proto import ChunkMessage, DatasetProfileHeader

    _, place = _delimited(data, len(_MAGIC))
    text, place = _delimited(data, place)
    header = DatasetProfileHeader.FromString(text)
    names = dict(header.indexed_metric_paths)
    columns = {}
    for name in sorted(header.column_offsets):
        paths: dict[str, Any] = {}
        for offset in header.column_offsets[name].offsets:
            head, start = _delimited(data, place + offset)
            size = _chunk_length(head)
            message = ChunkMessage.FromString(data[start : start + size])
            paths.update({names[index]: one for index, one in message.metric_components.items()})
        columns[name] = _column(paths)
    properties = header.properties
    return DatasetProfileView(
        columns=columns,
        dataset_timestamp=datetime.fromtimestamp(properties.dataset_timestamp / 1000, UTC),
        creation_timestamp=datetime.fromtimestamp(properties.creation_timestamp / 1000, UTC),
        metadata={**properties.tags, **properties.metadata},
    )


def _delimited(data: bytes, place: int) -> tuple[bytes, int]:
    """Give a message that its length stands before, as a varint, and where it ends."""
    length = shift = 0
    while True:
        byte = data[place]
        place += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return data[place : place + length], place + length


def _chunk_length(head: bytes) -> int:
    from whylogs.core.proto import ChunkHeader

    return int(ChunkHeader.FromString(head).length)


def _column(paths: dict[str, Any]) -> Any:
    kinds = _kinds()
    metrics: dict[str, dict[str, Any]] = {}
    for path, message in paths.items():
        metric, _, part = path.partition("/")
        metrics.setdefault(metric, {})[part] = _component(message)
    return kinds["view"]({name: kinds["metrics"][name](**given) for name, given in metrics.items()})


def _component(message: Any) -> Any:
    kind, value = message.WhichOneof("value"), None
    prototype = _kinds()["components"][kind, message.type_id]
    if kind in ("n", "d"):
        value = getattr(message, kind)
    component = prototype.__class__.__new__(prototype.__class__)
    component.__dict__.update(prototype.__dict__)
    component._value = value
    if value is None:
        component._message = message
    return component


@cache
def _kinds() -> dict[str, Any]:
    import whylogs.core.metrics.metric_components as whole
    import whylogs.core.metrics.metrics as metrics
    from whylogs.core.metrics.column_metrics import ColumnCountsMetric, TypeCountersMetric
    from whylogs.core.view.column_profile_view import ColumnProfileView

    def stored(base: Any) -> Any:
        """Make a component class whose sketch is opened at its first use."""

        class Stored(base):  # type: ignore[misc]
            _message: Any = None
            _value: Any

            @property
            def value(self) -> Any:
                if self._value is None:
                    self._value = self._deserializer(msg=self._message)
                    self._message = None
                return self._value

            def __add__(self, other: Any) -> Any:
                return base(self._aggregator(self.value, other.value))

            def to_protobuf(self) -> Any:
                return super().to_protobuf() if self._message is None else self._message

        return Stored(None)

    return {
        "view": ColumnProfileView,
        "metrics": {
            "counts": ColumnCountsMetric,
            "types": TypeCountersMetric,
            "ints": metrics.IntsMetric,
            "distribution": metrics.DistributionMetric,
            "cardinality": metrics.CardinalityMetric,
            "frequent_items": metrics.FrequentItemsMetric,
        },
        "components": {
            ("n", 0): whole.IntegralComponent(0),
            ("n", 1): whole.MinIntegralComponent(0),
            ("n", 2): whole.MaxIntegralComponent(0),
            ("d", 0): whole.FractionalComponent(0.0),
            ("kll", 0): stored(whole.KllComponent),
            ("hll", 0): stored(whole.HllComponent),
            ("frequent_items", 0): stored(whole.FrequentStringsComponent),
        },
    }
