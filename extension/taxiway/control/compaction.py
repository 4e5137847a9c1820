"""Many small Parquet files of the prediction log become few large ones, in the monitor's process.

Every cycle writes a file for each window, Model and role that it has read of. The newest of them are merged
as soon as enough are of one size, as the levels of a log-structured merge tree are (O'Neil et al., *Acta
Informatica* 33, 1996): n cycles leave O(log n) files, and a row is written O(log n) times.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, select

from taxiway.control import parts
from taxiway.control.ledger import Ledger
from taxiway.control.tables import PartRow

FEW = 8
SMALLEST_ROWS = 256
LARGEST_ROWS = 50_000

log = logging.getLogger("taxiway.monitor")


Group = tuple[str, datetime | None, str, str]  # kind, window's start, Model, role


def compact(ledger: Ledger, endpoint: str, groups: Iterable[Group]) -> int:
    """Merge what there is too much of among some groups' files; give the number of files that are fewer.

    A file that was merged is left to readers that have its name; the monitor removes it after a while.
    """
    fewer = 0
    for kind, start, model, role in groups:
        query = select(PartRow).where(
            PartRow.endpoint == endpoint,
            PartRow.kind == kind,
            PartRow.window_start.is_(None) if start is None else PartRow.window_start == start,
            PartRow.model == model,
            PartRow.role == role,
        )
        with ledger.reading() as session:
            run = choose_run(list(session.scalars(query.order_by(PartRow.id))))
        if run:
            fewer += _merge(ledger, run)
    return fewer


def choose_run(group: Sequence[PartRow]) -> list[PartRow]:
    """Choose the newest files of a group that are to become one: neighbours, so that their order stays.

    Parameters
    ----------
    group
        The files of one window, Model and role, oldest first.

    Returns
    -------
    list of PartRow
        ``FEW`` files of one level or below and whatever smaller ones came after; none where there are not
        so many, and never one of ``LARGEST_ROWS``.
    """
    run: list[PartRow] = []
    chosen, level, count = 0, 0, 0
    for part in reversed(group):
        if part.rows >= LARGEST_ROWS:
            break
        if _level(part.rows) > level:
            level, count = _level(part.rows), 0
        run.append(part)
        count += 1
        if count >= FEW:
            chosen = len(run)
    return run[:chosen][::-1]


def _level(rows: int) -> int:
    """Give the level of a file: each level's files are ``FEW`` times as large as those of the one below."""
    level = 0
    while rows > SMALLEST_ROWS:
        rows //= FEW
        level += 1
    return level


def _merge(ledger: Ledger, run: list[PartRow]) -> int:
    """Write a run's rows as one file in the place of its first, in one transaction."""
    import pyarrow as pa

    first = run[0]
    try:
        table: pa.Table = parts.read_table(run)
    except pa.ArrowException as error:
        log.warning("%s: %d files cannot become one: %s", first.endpoint, len(run), error)
        return 0
    path = parts.write_table(first.endpoint, first.kind, table)
    for part in run:
        # Soon no row names it: readers that have its name get some time.
        os.utime(part.path)
    merged = [part.id for part in run]
    with ledger.transaction() as session:
        known = set(session.scalars(select(PartRow.id).where(PartRow.id.in_(merged))))
        if known != set(merged):
            return 0  # another monitor, of an agent that was being killed, has merged the same
        kept = session.get_one(PartRow, first.id)
        if kept.path != first.path:
            return 0
        kept.path, kept.rows = str(path), table.num_rows
        session.execute(delete(PartRow).where(PartRow.id.in_(merged[1:])))
    return len(run) - 1
