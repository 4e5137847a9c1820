"""``taxiway.profile``: data of any size as whylogs profiles, compared with a Model, kept for an endpoint."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.control import desired, parts, stored
from taxiway.control.ledger import actor, ledger, now, record
from taxiway.control.tables import SliceRow, WindowRow
from taxiway.errors import InputError
from taxiway.monitoring import profiles
from taxiway.monitoring.backfill import Outcome, Profiled, Progress, Recipe, profile_files, profile_frame
from taxiway.monitoring.engines import Engine
from taxiway.monitoring.slices import slicings
from taxiway.monitoring.windows import Unit

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.monitoring.columns import Frame
    from taxiway.packaging.model import Model

BACKFILL = "backfill"


@dataclass(slots=True)
class Profiles:
    """What data were made into.

    Attributes
    ----------
    profiles
        Oldest first: ``start``, ``end``, ``slice``, ``rows``, ``path`` and ``view()`` of each.
    findings
        What is to be known of the data, a sentence each.
    model
        The tag of the Model they are compared with, if any.
    """

    profiles: list[Profiled]
    rows: int
    findings: list[str]
    model: str = ""
    kept: Any = field(default=None, repr=False)  # the folder, where none was named

    def __len__(self) -> int:
        return len(self.profiles)

    def summary(self) -> pd.DataFrame:
        """Give one row a profile and column: rows, nulls, mean, median, distinct values and so on."""
        import pandas as pd

        rows = [
            {"window": one.start, "slice": one.slice, **_summary_row(seen)}
            for one in self.profiles
            for seen in profiles.summary(one.view()).values()
        ]
        return pd.DataFrame(rows)

    def drift(self) -> pd.DataFrame:
        """Give the drift of every profile and column against the Model's reference.

        Raises
        ------
        InputError
            No Model was named.
        """
        import pandas as pd

        if not self.model:
            raise InputError("There is nothing to compare with.", hint="Name a Model: model=….")
        rows = [
            {"window": one.start, "slice": one.slice, "rows": one.rows, **entry}
            for one in self.profiles
            for entry in drift_of(self.model, one.view())
        ]
        return pd.DataFrame(rows)


def drift_of(tag: str, view: profiles.View) -> list[dict[str, Any]]:
    """Compare a profile with a Model's reference, column by column."""
    from dataclasses import asdict

    from taxiway.monitoring.drift import drift
    from taxiway.packaging import registry

    return [asdict(one) for one in drift(stored.reference_of(registry.load(tag)), view)]


def _summary_row(seen: profiles.ColumnSummary) -> dict[str, Any]:
    return {
        "column": seen.column,
        "kind": seen.kind,
        "rows": seen.rows,
        "nulls": seen.nulls,
        "mean": seen.mean,
        "stddev": seen.stddev,
        "minimum": seen.minimum,
        "median": seen.quantiles.get(0.5),
        "maximum": seen.maximum,
        "distinct": seen.distinct,
        "most frequent": seen.frequent[0][0] if seen.frequent else None,
    }


def profile(
    data: Frame | str | os.PathLike[str],
    *,
    time: str = "",
    by: Unit = "day",
    slices: Iterable[str] = (),
    model: str = "",
    endpoint: str = "",
    into: str | os.PathLike[str] | None = None,
    engine: Engine = "local",
    processes: int | None = None,
    address: str | None = None,
    progress: Progress | None = None,
    channel: str = "api",
) -> Profiles:
    """Profile data: a DataFrame (pandas or polars), an Arrow table, or files of Parquet or CSV.

    Parameters
    ----------
    data
        A frame; or a file, a folder, a glob or an fsspec URL, which may be larger than memory.
    time
        The column to tell the time by: one profile for each ``by``; times without a zone are UTC.
    by
        ``hour``, ``day``, ``week`` or ``month``; an endpoint's own window where one is named.
    slices
        Columns to profile the parts of, too; by default those that the Model declares. Numbers are cut at
        the quartiles of the Model's reference.
    model
        A Model to compare with.
    endpoint
        Keep the profiles as windows of this endpoint: what it would have seen before it was live. Done
        twice it is kept once; windows with predictions of its own stay as they are.
    into
        A folder for the whylogs files; without one they go with the result.
    engine, processes, address
        ``local`` in so many processes, or ``ray`` on the cluster at that address.
    progress
        Called with the number of chunks done, and of all.

    Raises
    ------
    InputError
        The data cannot be read, or a column is not there.
    NotFoundError
        There is no such file, Model or endpoint.
    """
    from taxiway.packaging import registry

    tag = model
    if endpoint:
        with ledger().reading() as session:
            row = desired.get(session, endpoint)
        tag, by = model or row.live, row.window  # type: ignore[assignment]
        if not time:
            raise InputError("An endpoint's windows need a time.", hint="Name the column: time=… (--time).")
    known = registry.load(tag) if tag else None
    recipe = Recipe(time, by, tuple(_slicings(known, list(slices))))
    facts = {
        "model": known.tag if known else "",
        "endpoint": endpoint,
        "source": BACKFILL if endpoint else "",
    }
    kept = None if into is not None else tempfile.TemporaryDirectory(prefix="taxiway-profiles-")
    folder = Path(into) if into is not None else Path(kept.name) / "profiles"  # type: ignore[union-attr]
    if isinstance(data, str | os.PathLike):
        made = profile_files(
            data,
            folder,
            recipe,
            facts=facts,
            engine=engine,
            processes=processes,
            address=address,
            progress=progress,
        )
    else:
        made = profile_frame(data, folder, recipe, facts=facts)
    if endpoint and known is not None:
        made.findings += _keep(endpoint, known, made, channel)
    return Profiles(made.profiles, made.rows, made.findings, known.tag if known else "", kept)


def _slicings(model: Model | None, columns: list[str]) -> list[Any]:
    if model is None:
        if columns:
            raise InputError(
                "Slices are cut by a Model's reference.", hint="Name the Model: model=… (--model)."
            )
        return []
    return slicings(columns, stored.reference_of(model)) if columns else stored.slicings_of(model)


def _keep(endpoint: str, model: Model, made: Outcome, channel: str) -> list[str]:
    """Keep profiles as windows of an endpoint, in one transaction; tell what was left out."""
    with ledger().reading() as session:
        spans = parts.Windows(session, endpoint)
    kept: list[WindowRow | SliceRow] = []
    left = 0
    own: set[Any] = set()
    for one in sorted(made.profiles, key=lambda one: one.slice):
        if one.start is None or one.end is None:
            continue
        if not one.slice and _is_live(endpoint, spans.span(one.start, model.tag, "live"), model.tag):
            own.add(one.start)
            left += one.rows
        if one.start in own:
            continue
        window = WindowRow(
            endpoint=endpoint,
            start=one.start,
            end=one.end,
            model=model.tag,
            role="live",
            rows=one.rows,
            judged=False,
            updated=now(),
        )
        view = one.view()
        path = str(stored.write(view, window, rows=one.rows, named=one.slice, source=BACKFILL))
        if not one.slice:
            window.profile = path
            kept.append(window)
            continue
        column, _, value = one.slice.partition("=")
        kept.append(
            SliceRow(
                endpoint=endpoint,
                start=one.start,
                model=model.tag,
                role="live",
                column=column,
                value=value,
                rows=one.rows,
                profile=path,
            )
        )
    windows = [one for one in kept if isinstance(one, WindowRow)]
    rows = sum(one.rows for one in windows)
    with ledger().transaction() as session:
        for entry in kept:
            session.merge(entry)
        what = f"{len(windows)} windows of {rows:,} rows were profiled after the fact"
        record(session, "backfilled", what, by=actor(channel), endpoint=endpoint, model=model.tag)
    if not left:
        return []
    return [f"{left:,} rows are of windows with predictions of the endpoint's own, which stay as they are."]


def _is_live(endpoint: str, span: tuple[Any, Any] | None, tag: str) -> bool:
    """Whether a stored window is there of which not all was profiled after the fact."""
    if span is None:
        return False
    with ledger().reading() as session:
        window = session.get(WindowRow, (endpoint, span[0], tag, "live"))
    if window is None:
        return False
    return profiles.about(stored.load(ledger(), window)).get("source") != BACKFILL
