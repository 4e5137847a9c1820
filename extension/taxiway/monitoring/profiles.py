"""whylogs profiles: the only module that knows whylogs.

whylogs is dormant and meets NumPy 2 and pandas 3 badly, so columns are taken apart by
``taxiway.monitoring.columns`` and given to whylogs' own sketches ready-made; what is written is whylogs'
own binary format, which plain whylogs reads. whylogs is imported at the first use (it takes seconds),
with its usage statistics off.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from taxiway.errors import CorruptionError, InputError, NotFoundError
from taxiway.monitoring import binary, built
from taxiway.monitoring.columns import columns_of, take_apart
from taxiway.monitoring.sketches import View, frequencies_of, sketch_of

if TYPE_CHECKING:
    from taxiway.monitoring.columns import Frame

__all__ = [
    "ColumnSummary",
    "Kind",
    "View",
    "about",
    "describe",
    "merge",
    "profile",
    "read",
    "summary",
    "write",
]

Kind = Literal["numeric", "categorical", "datetime", "empty", "unknown"]

QUANTILES = (0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
_ABOUT = "taxiway."
_TEMPORAL = "taxiway.temporal."


class _NumpyForWhylogs(ModuleType):
    """NumPy with the name ``unicode_``, which whylogs asks for and NumPy 2 dropped."""

    def __getattr__(self, name: str) -> Any:
        import numpy

        return numpy.str_ if name == "unicode_" else getattr(numpy, name)


@cache
def _whylogs() -> ModuleType:
    os.environ["WHYLOGS_NO_ANALYTICS"] = "True"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import whylogs.api.usage_stats as usage_stats
        import whylogs.core as core
        import whylogs.core.datatypes as datatypes
    usage_stats._TELEMETRY_DISABLED = True  # should whylogs have been imported before the variable was set
    logging.getLogger("whylogs").addHandler(logging.NullHandler())  # what it says of a broken file, we say
    datatypes.np = _NumpyForWhylogs("numpy")
    if not hasattr(core.DatasetProfileView, "metadata"):  # whylogs 1.1, which the SageMaker SDK needs
        core.DatasetProfileView.metadata = property(_metadata_of)
        _have_it_read_later_counts()
    module: ModuleType = core
    return module


def _have_it_read_later_counts() -> None:
    """Let whylogs 1.1 read what 1.6 wrote, which counts trues besides."""
    from whylogs.core.metrics.column_metrics import ColumnCountsMetric

    first: Any = ColumnCountsMetric.__init__

    def made(self: Any, *parts: Any, **named: Any) -> None:
        named.pop("true", None)
        first(self, *parts, **named)

    ColumnCountsMetric.__init__ = made


def _metadata_of(view: View) -> dict[str, str]:
    if view._metadata is None:
        view._metadata = {}
    metadata: dict[str, str] = view._metadata
    return metadata


def profile(frame: Frame, *, time: datetime | None = None) -> View:
    """Profile every column of a frame.

    Parameters
    ----------
    frame
        A DataFrame of pandas (any dtypes) or polars, or a table of Arrow; column names must be unique.
    time
        The time the data are of (naive: UTC); now by default.

    Returns
    -------
    whylogs.core.DatasetProfileView
        Infinities are counted (``counts/inf``) but kept out of the distribution; times count as
        fractional seconds since the epoch and are named in the metadata.

    Raises
    ------
    InputError
        Two columns have the same name, or this is no frame.
    """
    given = columns_of(frame)
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"Two columns are named {twice[0]!r}.", hint="Give every column a name of its own.")
    columns = {name: take_apart(values) for name, values in given}
    view = _whylogs().DatasetProfileView(
        columns={name: built.column(cells) for name, cells in columns.items()},
        dataset_timestamp=_in_utc(time) or datetime.now(UTC),
        creation_timestamp=datetime.now(UTC),
    )
    view.metadata.update({_TEMPORAL + name: "true" for name, cells in columns.items() if cells.temporal})
    return view


def _in_utc(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def merge(views: Iterable[View]) -> View:
    """Merge profiles into a new one, as if their rows had been profiled together.

    Raises
    ------
    InputError
        There is nothing to merge.
    """
    given = list(views)
    if not given:
        raise InputError("There is no profile to merge.", hint="Give at least one.")
    first = given[0]
    merged = _whylogs().DatasetProfileView(  # whylogs' merge writes into the left side's metadata
        columns=first.get_columns(),
        dataset_timestamp=first.dataset_timestamp,
        creation_timestamp=first.creation_timestamp,
        metadata=dict(first.metadata),
    )
    for view in given[1:]:
        merged = merged.merge(view)
    return merged


def describe(view: View, **facts: str) -> View:
    """Have a profile tell what it is of, in whylogs' own metadata; give the same profile.

    Parameters
    ----------
    facts
        ``endpoint``, ``model``, ``role``, ``start``, ``end``, ``slice``, ``rows``, ``source``: all
        that are known.
    """
    for name, value in {**facts, "version": _version()}.items():
        view.metadata.pop(_ABOUT + name, None)
        if value:
            view.metadata[_ABOUT + name] = value
    return view


@cache
def _version() -> str:
    from taxiway import __version__

    return str(__version__)


def about(view: View) -> dict[str, str]:
    """Give what ``describe`` wrote into a profile; empty for one of another tool."""
    return {
        name.removeprefix(_ABOUT): value
        for name, value in view.metadata.items()
        if name.startswith(_ABOUT) and not name.startswith(_TEMPORAL)
    }


def write(view: View, path: Path) -> Path:
    """Write a profile in whylogs' binary format, whole or not at all."""
    from taxiway.monitoring import digest

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(binary.sealed(view.serialize() + digest.packed(digest.of_view(view))))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def read(path: Path) -> View:
    """Read a profile that this module or plain whylogs wrote.

    Raises
    ------
    NotFoundError
        There is no such file.
    CorruptionError
        The file is not a whole whylogs profile.
    """
    core = _whylogs()
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no profile at {path}.", hint="Profile the data first.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return binary.opened(data) or core.DatasetProfileView.deserialize(data)
    except Exception as error:  # a broken file makes whylogs raise almost anything
        raise CorruptionError(
            f"{path} is not a whole whylogs profile ({error}).", hint="Profile the data again."
        ) from error


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """What a profile tells of one column.

    Attributes
    ----------
    rows, nulls, infinities
        Counts; ``rows`` includes the other two.
    types
        Values by type: integral, fractional, boolean, string, object, tensor.
    kind
        ``datetime`` columns have their moments in seconds since the epoch.
    mean, stddev, minimum, maximum, quantiles
        Of the finite numbers; None or empty where there are none. ``stddev`` divides by n − 1.
    distinct
        HyperLogLog's estimate of the number of distinct values.
    frequent
        The most frequent values with their estimated counts, most frequent first.
    """

    column: str
    rows: int
    nulls: int
    infinities: int
    types: dict[str, int]
    kind: Kind
    mean: float | None = None
    stddev: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quantiles: dict[float, float] = field(default_factory=dict)
    distinct: float | None = None
    frequent: tuple[tuple[str, int], ...] = ()


def summary(view: View) -> dict[str, ColumnSummary]:
    """Summarise every column of a profile, by name."""
    return {name: _summarise(view, name) for name in sorted(view.get_columns())}


def _summarise(view: View, name: str) -> ColumnSummary:
    column = view.get_column(name)
    counts, types = column.get_metric("counts"), column.get_metric("types")
    cardinality = column.get_metric("cardinality")
    by_type = {key: int(value) for key, value in types.to_summary_dict().items()} if types else {}
    sketch = sketch_of(view, name)
    moments: dict[str, Any] = {}
    if sketch is not None:
        metric = column.get_metric("distribution")
        moments = {
            "mean": _finite(metric.avg),
            "stddev": _finite(metric.stddev),
            "minimum": sketch.minimum,
            "maximum": sketch.maximum,
            "quantiles": dict(zip(QUANTILES, sketch.quantiles(QUANTILES), strict=True)),
        }
    return ColumnSummary(
        column=name,
        rows=int(counts.n.value),
        nulls=int(counts.null.value),
        infinities=int(counts.inf.value),
        types=by_type,
        kind=kind_of(by_type, temporal=_TEMPORAL + name in view.metadata),
        distinct=None if cardinality is None else cardinality.estimate,
        frequent=tuple(frequencies_of(view, name).counts.items()),
        **moments,
    )


def kind_of(types: dict[str, int], *, temporal: bool) -> Kind:
    """Say what a column is, from its values by type and whether they are times."""
    if temporal:
        return "datetime"
    numbers = types.get("integral", 0) + types.get("fractional", 0)
    words = types.get("boolean", 0) + types.get("string", 0)
    if not numbers + words:
        return "unknown" if types.get("object", 0) + types.get("tensor", 0) else "empty"
    return "numeric" if numbers > words else "categorical"


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None
