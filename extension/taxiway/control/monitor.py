"""One monitoring cycle: spool → Parquet and profiles → drift and performance → rules → alerts.

What a cycle has read is committed in one transaction with where it stopped reading, so that a cycle
that is killed loses nothing and counts nothing twice. What is not judged yet is marked so.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import alerting, compaction, judging, parts, retention, stored
from taxiway.control.ledger import Ledger, now, record
from taxiway.control.lookup import Lookup
from taxiway.control.tables import (
    EndpointRow,
    ObservationRow,
    PartRow,
    ReportRow,
    SchemaRow,
    SegmentRow,
    SliceRow,
    WindowRow,
)
from taxiway.errors import TaxiwayError
from taxiway.monitoring import findings
from taxiway.monitoring import log as prediction_log
from taxiway.monitoring.windows import window_end, window_start
from taxiway.packaging import registry
from taxiway.serving.losses import forget_losses, read_losses
from taxiway.serving.spool import is_spent, list_segments, read_segment

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = compaction.LARGEST_ROWS  # of a round, which is held in memory: a file of so many stays as it is
MOST_BYTES = 32 * 2**20
MOST_ROUNDS = 10
LOOK_SECONDS = 30.0
FORGET_SECONDS = 3600.0
ORPHAN_SECONDS = 60.0  # a file is written before the commit that names it

log = logging.getLogger("taxiway.monitor")


class Monitor:
    """Watches every endpoint that runs.

    Parameters
    ----------
    ledger
        Where windows, findings and alerts are kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._look = 0.0
        self._lookup = Lookup()
        self._retained: dict[str, float] = {}
        self._tidied: dict[str, float] = {}
        self._lost: dict[Path, float] = {}

    def cycle(self) -> bool:
        """Read what is new and judge it; tell whether there was anything."""
        with self.ledger.reading() as session:
            rows = list(session.scalars(select(EndpointRow)))
            spools = dict(session.execute(select(ObservationRow.endpoint, ObservationRow.spool)).all())
        look = time.monotonic() >= self._look  # a window may be over although nothing new has come
        if look:
            self._look = time.monotonic() + LOOK_SECONDS
        busy, failed = False, None
        for row in rows:
            try:
                spool = Path(name) if (name := spools.get(row.name)) else None
                read = self._ingest_all(row, spool) if spool else False
                lost = self._has_lost(spool) if spool else False
                judged = judging.judge(self.ledger, row)
                if read or lost or judged or look:
                    busy |= read or lost or judged
                    alerting.evaluate(self.ledger, row.name)
                    self._compare_shadow(row)
                self._keep_bounded(row)
            except TaxiwayError as error:
                log.error("%s: %s", row.name, error)
            except Exception as error:
                log.exception("%s cannot be monitored", row.name)
                failed = error
        if failed is not None:
            raise failed  # after every endpoint had its turn; the supervisor tells that the monitor stopped
        return busy

    def _ingest_all(self, row: EndpointRow, spool: Path) -> bool:
        """Read what is new, a bounded amount in memory at a time; tell whether there was any."""
        read = 0
        for _ in range(MOST_ROUNDS):
            found, more = self._ingest(row, spool)
            read += found
            if not more:
                break
        return read > 0

    def _ingest(self, row: EndpointRow, spool: Path) -> tuple[int, bool]:
        """Commit new records, as Parquet parts and merged profiles, with the offsets they end at.

        Returns
        -------
        found, more
            How many rows, and whether there may be more: at a time at most ``MOST_ROWS`` are read, or as many
            as take ``MOST_BYTES`` (the last record may go beyond).
        """
        records: list[dict[str, Any]] = []
        rows, left, more = 0, MOST_BYTES, False
        ends: dict[Path, int] = {}
        with self.ledger.reading() as session:
            known = _offsets(session, row.name)
        with _uncollected():
            for path in list_segments(spool):
                with contextlib.suppress(FileNotFoundError):
                    start = known.get(str(path), 0)
                    found, ends[path] = read_segment(
                        path, start, most_rows=MOST_ROWS - rows, most_bytes=left, joined=True
                    )
                    records += found
                    rows += sum(len(record.get("ids") or "1") for record in found)
                    left -= ends[path] - start
                more = rows >= MOST_ROWS or left <= 0
                if more:
                    break
            if not records and not more:
                self._tidy(row.name, ends)
                return 0, False
            predictions = prediction_log.predictions_frame(records)
            outcomes = prediction_log.outcomes_frame(records)
        # all that is slow comes before the transaction, which holds off every other writer
        changed = _with_predictions(self.ledger, row, predictions)
        touched = self._lookup.windows_of(self.ledger, row.name, set(outcomes["id"]))
        if len(outcomes):
            changed.append(parts.write(row.name, "outcome", outcomes))
        with self.ledger.transaction() as session:
            if _offsets(session, row.name) != known:
                return 0, False  # another monitor, of an agent that was being killed, has read the same
            for entry in changed:
                session.merge(entry)
            session.flush()
            for key in touched:
                if (window := session.get(WindowRow, key)) is not None:
                    window.judged = False
            _add_findings(session, row.name, records)
            for path, offset in ends.items():
                session.merge(SegmentRow(path=str(path), endpoint=row.name, offset=offset))
        self._tidy(row.name, ends)
        written = [entry for entry in changed if isinstance(entry, PartRow)]
        groups = {(part.kind, part.window_start, part.model, part.role) for part in written}
        compaction.compact(self.ledger, row.name, groups)
        log.info("%s: %d predictions, %d outcomes", row.name, len(predictions), len(outcomes))
        return rows, more

    def _has_lost(self, spool: Path) -> bool:
        """Whether a serving process could not write something down since the last cycle."""
        losses = read_losses(spool)
        if losses is None or losses.last <= self._lost.get(spool, 0.0):
            forget_losses(spool, before=time.time() - FORGET_SECONDS)
            return False
        self._lost[spool] = losses.last
        return True

    def _tidy(self, endpoint: str, ends: dict[Path, int]) -> None:
        """Remove segments that are read to their end and will not grow, and files that no row names."""
        done = [path for path, end in ends.items() if is_spent(path, end)]
        if done:
            with self.ledger.transaction() as session:
                for path in done:
                    path.unlink(missing_ok=True)
                    if (segment := session.get(SegmentRow, str(path))) is not None:
                        session.delete(segment)
        if time.monotonic() - self._tidied.get(endpoint, -math.inf) < ORPHAN_SECONDS:
            return
        self._tidied[endpoint] = time.monotonic()
        with self.ledger.reading() as session:
            kept = set(session.scalars(select(WindowRow.profile).where(WindowRow.endpoint == endpoint)))
            kept |= set(session.scalars(select(SliceRow.profile).where(SliceRow.endpoint == endpoint)))
            kept |= set(session.scalars(select(PartRow.path).where(PartRow.endpoint == endpoint)))
        for file in parts.folder(endpoint).glob("*/*"):
            if str(file) not in kept and time.time() - _modified(file) > ORPHAN_SECONDS:
                file.unlink(missing_ok=True)

    def _keep_bounded(self, row: EndpointRow) -> None:
        """Merge and remove what is older than it is to be kept, once in a while and a bounded amount."""
        if time.monotonic() >= self._retained.get(row.name, -math.inf):
            more = retention.apply(self.ledger, row)
            self._retained[row.name] = time.monotonic() + (0.0 if more else retention.EVERY_SECONDS)

    def _compare_shadow(self, row: EndpointRow) -> None:
        """Keep the newest comparison of the shadow, and tell when its verdict changes."""
        with self.ledger.reading() as session:
            current = session.get(EndpointRow, row.name)
        if current is None or not current.shadow or current.desired != "running":
            return
        from taxiway.control import readings

        report = readings.shadow_report(row.name)
        with self.ledger.transaction() as session:
            stored = session.get(ReportRow, (row.name, current.shadow))
            before = stored.report["verdict"] if stored and stored.live == current.live else None
            session.merge(
                ReportRow(
                    endpoint=row.name,
                    shadow=current.shadow,
                    live=current.live,
                    report=report.to_dict(),
                    time=now(),
                )
            )
            if report.verdict != before:
                record(
                    session,
                    "verdict",
                    f"The verdict on {current.shadow} is {report.verdict!r}: {' '.join(report.reasons)}",
                    by="agent",
                    endpoint=row.name,
                    model=current.shadow,
                    verdict=report.verdict,
                )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Put off garbage collection, which takes half of the time that it takes to read many objects in."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _offsets(session: Session, endpoint: str) -> dict[str, int]:
    """Give how far each segment has been read."""
    query = select(SegmentRow.path, SegmentRow.offset).where(SegmentRow.endpoint == endpoint)
    return dict(session.execute(query).all())


def _with_predictions(
    ledger: Ledger, row: EndpointRow, predictions: pd.DataFrame
) -> list[PartRow | WindowRow | SliceRow]:
    """Write predictions and merged profiles; give the rows that make them count once they are committed."""
    changed: list[PartRow | WindowRow | SliceRow] = []
    unit: Any = row.window
    groups: Any = predictions.groupby([window_start(predictions["time"], unit), "model", "role"], sort=True)
    for (start, model, role), frame in groups:
        begins: datetime = start.to_pydatetime()
        changed.append(
            parts.write(row.name, "prediction", frame, window_start=begins, model=model, role=role)
        )
        window = WindowRow(
            endpoint=row.name,
            start=begins,
            end=window_end(begins, unit),
            model=model,
            role=role,
            rows=0,
            judged=False,
            updated=now(),
        )
        changed += stored.with_rows(ledger, window, frame)
    return changed


def _add_findings(session: Session, endpoint: str, records: list[dict[str, Any]]) -> None:
    """Add a cycle's schema findings to those known."""
    stored = [
        alerting.finding(row)
        for row in session.scalars(select(SchemaRow).where(SchemaRow.endpoint == endpoint))
    ]
    fresh = findings.schema_findings(
        records, _orders({record["model"] for record in records if "model" in record})
    )
    if not fresh:
        return
    for finding in findings.merge_findings([*stored, *fresh]):
        session.merge(SchemaRow(endpoint=endpoint, **asdict(finding)))


def _orders(tags: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give the input columns of Models in the order of their signatures; none of one that is gone."""
    orders = {}
    for tag in tags:
        with contextlib.suppress(TaxiwayError):
            orders[tag] = registry.load(tag).signature.names
    return orders


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
