"""The prediction log on disk: Parquet files, each listed in the ledger; what is not listed does not count."""

from __future__ import annotations

import json
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control.tables import PartRow, WindowRow
from taxiway.settings import settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["prediction", "outcome"]


def folder(endpoint: str) -> Path:
    """Where an endpoint's predictions, outcomes and profiles lie."""
    return settings().store / "endpoints" / endpoint


def write(
    endpoint: str,
    kind: Kind,
    frame: pd.DataFrame,
    *,
    window_start: datetime | None = None,
    model: str = "",
    role: str = "",
) -> PartRow:
    """Write a frame aside, rename it, and give the row that makes it count once it is committed."""
    import pyarrow as pa

    if kind == "outcome":  # outcomes may be of any type: each is kept as JSON
        frame = frame.assign(outcome=[json.dumps(value, default=str) for value in frame["outcome"]])
    path = write_table(endpoint, kind, pa.Table.from_pandas(frame, preserve_index=False))
    return PartRow(
        endpoint=endpoint,
        kind=kind,
        window_start=window_start,
        model=model,
        role=role,
        rows=len(frame),
        path=str(path),
    )


def write_table(endpoint: str, kind: str, table: pa.Table) -> Path:
    """Write a table aside, rename it, and give its path."""
    import pyarrow.parquet as pq

    path = folder(endpoint) / f"{kind}s" / f"{secrets.token_hex(8)}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_suffix(".part")
    pq.write_table(table, aside, use_dictionary=_repeating(table))
    aside.replace(path)
    return path


def _repeating(table: pa.Table) -> list[str]:
    """Name the columns whose values may repeat; to look for that in the others makes writing slow."""
    names = (name for name in table.column_names if name not in ("id", "request", "time", "received"))
    return [name for name in names if _repeats(table.column(name).slice(0, 1000))]


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether values come again: of numbers with a fraction, by the first of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return True
    distinct: int = pc.count_distinct(column).as_py()
    return distinct <= len(column) / 2


def select_parts(
    session: Session,
    endpoint: str,
    kind: Kind,
    *,
    window_start: datetime | None = None,
    model: str | None = None,
    role: str | None = None,
) -> list[PartRow]:
    """Find the files of an endpoint, in the order they were written."""
    query = select(PartRow).where(PartRow.endpoint == endpoint, PartRow.kind == kind).order_by(PartRow.id)
    for column, value in (
        (PartRow.window_start, window_start),
        (PartRow.model, model),
        (PartRow.role, role),
    ):
        if value is not None:
            query = query.where(column == value)
    return list(session.scalars(query))


def of_window(session: Session, window: WindowRow) -> list[PartRow]:
    """Find the files of a window's predictions, of which a merged window has those of several starts."""
    query = (
        select(PartRow)
        .where(
            PartRow.endpoint == window.endpoint,
            PartRow.kind == "prediction",
            PartRow.window_start >= window.start,
            PartRow.window_start < window.end,
            PartRow.model == window.model,
            PartRow.role == window.role,
        )
        .order_by(PartRow.id)
    )
    return list(session.scalars(query))


WindowKey = tuple[str, datetime, str, str]  # endpoint, start, Model, role: the primary key


class Windows:
    """The windows of an endpoint, to find the one that a time is in: windows become longer with age."""

    def __init__(self, session: Session, endpoint: str) -> None:
        self._endpoint = endpoint
        self._spans: dict[tuple[str, str], list[tuple[datetime, datetime]]] = {}
        query = select(WindowRow.model, WindowRow.role, WindowRow.start, WindowRow.end)
        rows = session.execute(query.where(WindowRow.endpoint == endpoint).order_by(WindowRow.start))
        for model, role, start, end in rows:
            self._spans.setdefault((model, role), []).append((start, end))

    def span(self, time: datetime, model: str, role: str) -> tuple[datetime, datetime] | None:
        """Give start and end of the stored window of a Model in a role that a time is in."""
        spans = self._spans.get((model, role), [])
        place = bisect_right(spans, time, key=lambda span: span[0])
        for start, end in reversed(spans[max(0, place - 2) : place]):
            if start <= time < end:
                return start, end
        return None

    def of(self, part: PartRow) -> WindowKey | None:
        """Give the key of the window that a file's predictions are in."""
        if part.window_start is None:
            return None
        span = self.span(part.window_start, part.model, part.role)
        return None if span is None else (self._endpoint, span[0], part.model, part.role)


def read(rows: Iterable[PartRow], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read files into one frame; a column that some of them lack is missing there.

    Parameters
    ----------
    rows
        Which files.
    columns
        Only these; those that no file has are left out.
    """
    import pandas as pd

    table = read_table(rows, columns)
    if table is None:
        return pd.DataFrame(columns=list(columns or ()))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def read_table(rows: Iterable[PartRow], columns: Sequence[str] | None = None) -> pa.Table | None:
    """Read files into one table, as ``read`` does; None where there is no file.

    A column of which the files hold values of types that do not go together is text throughout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for row in rows:
        with pq.ParquetFile(row.path) as file:
            names = file.schema_arrow.names
            wanted = None if columns is None else [name for name in columns if name in names]
            tables.append(file.read(columns=wanted))
    if not tables:
        return None
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        return pa.concat_tables(_alike(tables), promote_options="permissive")


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """Turn columns that are of one type in a file and of another in the next into text."""
    import pyarrow as pa

    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for one in table.schema:
            types.setdefault(one.name, set()).add(one.type)
    mixed = {name for name, found in types.items() if not _is_one(found)}
    made = []
    for table in tables:
        for place, name in enumerate(table.column_names):
            if name in mixed and not pa.types.is_null(table.schema.field(place).type):
                texts = [None if value is None else str(value) for value in table.column(place).to_pylist()]
                table = table.set_column(place, name, pa.array(texts, pa.large_string()))
        made.append(table)
    return made


def _is_one(types: set[pa.DataType]) -> bool:
    """Whether Arrow finds a type that holds values of all of these."""
    import pyarrow as pa

    try:
        pa.unify_schemas([pa.schema([("x", one)]) for one in types], promote_options="permissive")
    except pa.ArrowException:
        return False
    return True


def outcomes(session: Session, endpoint: str) -> pd.DataFrame:
    """Read every outcome of an endpoint: ``id``, ``outcome``, ``time``, ``received``."""
    import pandas as pd

    rows = select_parts(session, endpoint, "outcome")
    if not rows:
        return pd.DataFrame(columns=["id", "outcome", "time", "received"])
    frame = read(rows)
    values = {text: json.loads(text) for text in frame["outcome"].unique()}
    return frame.assign(outcome=frame["outcome"].map(values).astype(object))
