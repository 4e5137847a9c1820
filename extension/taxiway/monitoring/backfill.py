"""Data of any size to profiles: a frame, or files of Parquet and CSV, by window and slice.

Files are cut into chunks, each of which ``profile_chunk`` turns into the profiles of the windows and slices
it has rows of; those are merged window by window, from disk, so that memory depends neither on the number of
rows nor on that of windows.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from taxiway.errors import InputError, NotFoundError
from taxiway.monitoring import profiles
from taxiway.monitoring.engines import Engine, mapped
from taxiway.monitoring.slices import Slicing, split
from taxiway.monitoring.windows import Unit, window_end, window_start

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from taxiway.monitoring.columns import Frame

Progress: TypeAlias = Callable[[int, int], None]  # chunks done, of how many

BATCH_ROWS = 65_536
_CSV_BLOCK = 8 * 2**20
_SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz")
_SMALL_BYTES = 64 * 2**20  # a worker takes seconds to start


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is made of each chunk: windows of ``unit`` by the column ``time``, and slices."""

    time: str = ""
    unit: Unit = "day"
    slicings: tuple[Slicing, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a file: of Parquet one row group, of CSV all of it."""

    url: str
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """The profile of the rows of one window and slice; ``start`` is None for rows without a time."""

    start: datetime | None
    slice: str
    rows: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Profiled:
    """One profile that was made.

    Attributes
    ----------
    start, end
        The window; None where no time column was named, or for rows that have no time.
    slice
        ``column=value``; empty for all rows.
    path
        The whylogs file.
    """

    start: datetime | None
    end: datetime | None
    slice: str
    rows: int
    path: Path

    def view(self) -> profiles.View:
        """Read it."""
        return profiles.read(self.path)


@dataclass(slots=True)
class Outcome:
    """All profiles, oldest first, and what is to be known of the data."""

    profiles: list[Profiled] = field(default_factory=list)
    rows: int = 0
    findings: list[str] = field(default_factory=list)


def profile_files(
    data: str | os.PathLike[str],
    into: Path,
    recipe: Recipe,
    *,
    facts: Mapping[str, str] | None = None,
    engine: Engine = "local",
    processes: int | None = None,
    address: str | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> Outcome:
    """Profile files; the folder ``into`` gets all profiles or, if this ends before its end, none.

    Parameters
    ----------
    data
        A file, a folder, a glob, or an fsspec URL of any of these; Parquet or CSV.
    facts
        What every profile is to tell besides its window: ``model``, ``endpoint``, ``source``.
    processes
        Of the local engine; by default as many as there are cores, or one for little data.

    Raises
    ------
    NotFoundError
        There is no such file.
    InputError
        A file is neither of the two, cannot be read, or lacks the time column.
    """
    chunks, size = chunks_of(data)
    if processes is None:
        processes = 1 if size < _SMALL_BYTES else os.cpu_count() or 1
    work = partial(profile_chunk, recipe=recipe)
    with _aside(into) as folder:
        gathered = _Gathered(folder)
        found = mapped(work, chunks, engine=engine, processes=processes, address=address)
        try:
            for done, pieces in enumerate(found, 1):
                for piece in pieces:
                    gathered.add(piece)
                if progress is not None:
                    progress(done, len(chunks))
        finally:
            close = getattr(found, "close", None)
            if close is not None:
                close()
        return gathered.written(into, recipe, facts or {}, now or datetime.now(UTC))


def profile_frame(
    frame: Frame,
    into: Path,
    recipe: Recipe,
    *,
    facts: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Outcome:
    """Profile a frame in memory; as ``profile_files`` otherwise."""
    import pandas as pd

    from taxiway.monitoring.columns import columns_of

    if not isinstance(frame, pd.DataFrame):
        frame = pd.DataFrame({name: _as_pandas(values) for name, values in columns_of(frame)})
    with _aside(into) as folder:
        gathered = _Gathered(folder)
        for piece in _pieces([frame], recipe, "The frame"):
            gathered.add(piece)
        return gathered.written(into, recipe, facts or {}, now or datetime.now(UTC))


def profile_chunk(chunk: Chunk, recipe: Recipe) -> list[Piece]:
    """Profile a chunk, a batch of rows at a time: the one function that every engine maps.

    Where a CSV's column turns out to be of other types than its beginning, the chunk is read once more.
    """
    mixed: set[str] = set()
    while True:
        try:
            frames = (_frame_of(table, mixed) for table in _batches(chunk, mixed))
            return _pieces(frames, recipe, chunk.url)
        except _MixedError as error:
            mixed.add(error.column)


def chunks_of(data: str | os.PathLike[str]) -> tuple[list[Chunk], int]:
    """List the chunks of some files, in the order of their names, and the files' bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from fsspec.core import url_to_fs

    url = os.fspath(data)
    system, path = url_to_fs(url)
    if "*" in path or "?" in path:
        files = system.glob(path)
    elif system.isdir(path):
        files = system.find(path)
    else:
        files = [path] if system.exists(path) else []
    files = sorted(name for name in files if name.endswith(_SUFFIXES) or name == path)
    if not files:
        raise NotFoundError(
            f"There is no Parquet or CSV file at {url}.", hint="Name a file, a folder, a glob or a URL."
        )
    chunks, size = [], 0
    for name in files:
        full = system.unstrip_protocol(name)
        size += int(system.size(name) or 0)
        if name.endswith((".csv", ".csv.gz")):
            chunks.append(Chunk(full))
            continue
        try:
            with system.open(name, "rb") as file:
                groups = pq.ParquetFile(file).metadata.num_row_groups
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{full} cannot be read as Parquet: {error}.", hint="Is it whole?") from error
        chunks += [Chunk(full, group) for group in range(groups)] or [Chunk(full, -1)]
    return chunks, size


class _MixedError(Exception):
    """A column of a CSV has values of another type than its first ones."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def _batches(chunk: Chunk, mixed: Collection[str]) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq
    from fsspec.core import open as open_url

    names: list[str] = []
    try:
        with open_url(chunk.url, "rb", compression="infer") as file:
            if chunk.group is None:
                options = csv.ReadOptions(block_size=_CSV_BLOCK)
                types = csv.ConvertOptions(column_types=dict.fromkeys(mixed, pa.string()))
                reader = csv.open_csv(file, read_options=options, convert_options=types)
                names = reader.schema.names
                for batch in reader:
                    yield pa.Table.from_batches([batch])
            else:
                parquet = pq.ParquetFile(file)
                groups = [] if chunk.group < 0 else [chunk.group]
                if not groups:
                    yield parquet.schema_arrow.empty_table()
                for batch in parquet.iter_batches(BATCH_ROWS, row_groups=groups):
                    yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        what = str(error).splitlines()[0].rstrip(".")
        place = re.match(r"In CSV column #(\d+):.*CSV conversion error", what)
        if place is not None and names and names[int(place[1])] not in mixed:
            raise _MixedError(names[int(place[1])]) from error
        hint = "Every row must have as many fields as the header, in UTF-8; or write it as Parquet."
        raise InputError(f"{chunk.url} cannot be read: {what}.", hint=hint) from error


def _frame_of(table: pa.Table, mixed: Collection[str]) -> pd.DataFrame:
    """Give a batch as pandas; in ``mixed`` columns what is a number is one, and all else is text."""
    import pandas as pd
    import pyarrow.csv as csv

    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    for name in mixed:
        values = frame[name].astype(object)
        values = values.mask(values.isin(csv.ConvertOptions().null_values), None)
        numeric = pd.to_numeric(values, errors="coerce").notna()
        values[numeric] = pd.to_numeric(values[numeric]).astype(object)
        frame[name] = values
    return frame


def _as_pandas(values: Any) -> pd.Series[Any]:
    import pandas as pd
    import pyarrow as pa

    if isinstance(values, pd.Series):
        return values
    if isinstance(values.type, pa.DictionaryType):
        values = values.cast(values.type.value_type)
    return pd.Series(pd.arrays.ArrowExtensionArray(values))


def _pieces(frames: Iterable[pd.DataFrame], recipe: Recipe, source: str) -> list[Piece]:
    held: dict[tuple[datetime | None, str], tuple[int, profiles.View]] = {}
    for frame in frames:
        for start, rows in _by_window(frame, recipe, source):
            named = [("", rows)]
            named += [
                (f"{column}={value}", rows[mask]) for column, value, _, mask in split(rows, recipe.slicings)
            ]
            for name, chosen in named:
                view = profiles.profile(chosen, time=start or datetime.now(UTC))
                count, known = held.get((start, name), (0, None))
                merged = view if known is None else profiles.merge([known, view])
                held[start, name] = count + len(chosen), merged
    return [Piece(start, name, rows, view.serialize()) for (start, name), (rows, view) in held.items()]


def _by_window(
    frame: pd.DataFrame, recipe: Recipe, source: str
) -> Iterator[tuple[datetime | None, pd.DataFrame]]:
    if not recipe.time:
        yield None, frame
        return
    if recipe.time not in frame:
        raise InputError(
            f"{source} has no column {recipe.time!r} to tell the time by.",
            hint=f"Its columns are: {', '.join(map(str, frame.columns))}.",
        )
    starts = window_start(_as_times(frame[recipe.time]), recipe.unit)
    rest = frame.drop(columns=recipe.time)
    groups: Any = rest.groupby(starts.to_numpy(), sort=True)
    for start, rows in groups:
        yield start.to_pydatetime().replace(tzinfo=UTC), rows
    lost = starts.isna().to_numpy()
    if lost.any():
        yield None, rest[lost]


def _as_times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Read times of any form: dates, texts, epoch seconds or milliseconds; missing where it is no time."""
    import pandas as pd

    values: Any = column.astype(object)
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        # Seconds of such a size would be beyond the year 5138.
        unit: Any = "ms" if numbers.abs().median() > 1e11 else "s"
        read: pd.Series[Any] = pd.to_datetime(numbers, unit=unit, utc=True, errors="coerce")
        return read
    if isinstance(column.dtype, pd.ArrowDtype) and pd.api.types.is_datetime64_any_dtype(column.dtype):
        zoned = getattr(column.dtype.pyarrow_dtype, "tz", None) is not None
        values = column.astype("datetime64[us, UTC]" if zoned else "datetime64[us]")
    read = pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601")
    return read


class _Gathered:
    """Pieces on disk, in a folder for each window and slice, until they are merged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[tuple[datetime | None, str], int] = {}
        self._files: dict[tuple[datetime | None, str], list[Path]] = {}
        self._count = 0

    def add(self, piece: Piece) -> None:
        """Write a piece down."""
        from taxiway.monitoring.binary import sealed

        key = piece.start, piece.slice
        self._count += 1
        path = self._folder / f"{self._count}.piece"
        path.write_bytes(sealed(piece.data))
        self._files.setdefault(key, []).append(path)
        self._rows[key] = self._rows.get(key, 0) + piece.rows

    def written(self, into: Path, recipe: Recipe, facts: Mapping[str, str], now: datetime) -> Outcome:
        """Merge the pieces of each window and slice, and put all files in their place at once."""
        outcome = Outcome()
        ready: list[tuple[Path, Path]] = []
        order = sorted(self._files, key=lambda key: (key[0] or datetime.max.replace(tzinfo=UTC), key[1]))
        for start, named in order:
            files = self._files[start, named]
            view = profiles.read(files[0])
            for other in files[1:]:
                view = profiles.merge([view, profiles.read(other)])
            end = window_end(start, recipe.unit) if start else None
            rows = self._rows[start, named]
            times = {"start": start.isoformat(), "end": end.isoformat()} if start and end else {}
            profiles.describe(view, **{**facts, **times, "slice": named, "rows": str(rows)})
            path = into / _file_name(start, named, recipe)
            ready.append((profiles.write(view, self._folder / path.name), path))
            outcome.profiles.append(Profiled(start, end, named, rows, path))
            outcome.rows += 0 if named else rows
        outcome.findings = _findings(outcome.profiles, recipe, now)
        into.mkdir(parents=True, exist_ok=True)
        for aside, path in ready:
            aside.replace(path)
        return outcome


def _file_name(start: datetime | None, named: str, recipe: Recipe) -> str:
    when = f"{start:%Y%m%dT%H}" if start else ("without-time" if recipe.time else "all")
    safe = "".join(letter if letter.isalnum() else "-" for letter in named)[:60]
    return f"{when}{f'-{safe}-{zlib.crc32(named.encode()):08x}' if named else ''}.bin"


def _findings(made: Sequence[Profiled], recipe: Recipe, now: datetime) -> list[str]:
    found = []
    whole = [one for one in made if not one.slice]
    if recipe.time:
        lost = sum(one.rows for one in whole if one.start is None)
        if lost:
            rows = "1 row has" if lost == 1 else f"{lost:,} rows have"
            found.append(f"{rows} no time in {recipe.time!r}, and a profile without a window.")
        future = sum(one.rows for one in whole if one.start is not None and one.start > now)
        if future:
            rows = "1 row is" if future == 1 else f"{future:,} rows are"
            found.append(f"{rows} of the future; is {recipe.time!r} in another zone or unit?")
    if not sum(one.rows for one in whole):
        found.append("There are no rows.")
    return found


@contextmanager
def _aside(into: Path) -> Iterator[Path]:
    """Give a folder on the same disk as ``into`` that is gone afterwards, whatever happens."""
    into.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
