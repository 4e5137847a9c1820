"""Tells what requests had that the signature does not say before their rows are profiled and judged.

Profiles and judgements take whylogs, pandas and scikit-learn, whose import alone takes seconds; what the
serving process has found in a request takes none of them. Nothing is kept here but alerts: the cycle that
follows reads the same records, counts them, and finds their alerts open.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import alerting, notices, rules
from taxiway.control.lease import DeposedError
from taxiway.control.ledger import Ledger
from taxiway.control.tables import EndpointRow, ObservationRow, SegmentRow
from taxiway.errors import TaxiwayError
from taxiway.monitoring.context import Firing
from taxiway.monitoring.findings import SchemaFinding, merge_findings, schema_findings
from taxiway.monitoring.rulebook import evaluate
from taxiway.packaging import registry
from taxiway.packaging.model import Model
from taxiway.serving.spool import list_segments, read_segment
from taxiway.settings import settings

MOST_RECORDS = 200  # of an endpoint, and …
MOST_BYTES = 2**18  # … about so many bytes: the cycle reads it all again

log = logging.getLogger("taxiway.monitor")


class Watch(threading.Thread):
    """Looks once in an interval of the monitor's, while a cycle may take much longer."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(name="taxiway-first-look", daemon=True)
        self.ledger = ledger
        self._ending = threading.Event()

    def run(self) -> None:
        """Look until told to end, or until another agent has the lease."""
        while not self._ending.wait(settings().monitor_interval):
            try:
                look(self.ledger)
            except DeposedError:
                return
            except TaxiwayError as error:
                log.warning("%s", error)

    def end(self) -> None:
        """End with the look that is under way."""
        self._ending.set()
        self.join()


def look(ledger: Ledger) -> None:
    """Open the alerts of what the first of the records that nobody has read yet have found."""
    with ledger.reading() as session:
        spools = select(ObservationRow.endpoint, ObservationRow.spool)
        spools = spools.join(EndpointRow, EndpointRow.name == ObservationRow.endpoint)
        places = dict(session.execute(select(SegmentRow.path, SegmentRow.offset)).all())
        endpoints = dict(session.execute(spools.where(EndpointRow.desired != "absent")).all())
    for endpoint, spool in endpoints.items():
        if not spool:
            continue
        try:
            fresh = schema_findings(_unread(Path(spool), places))
            if fresh:
                _tell(ledger, endpoint, fresh)
        except DeposedError:
            raise
        except TaxiwayError as error:
            log.warning("%s: %s", endpoint, error)
        except Exception:  # a record that no version of ours wrote must not hide the other endpoints'
            log.exception("%s: the cycle looks again at what it was asked", endpoint)


def _unread(spool: Path, places: dict[str, int]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    left = MOST_BYTES
    for path in list_segments(spool):
        if left <= 0 or len(records) >= MOST_RECORDS:
            break
        start = places.get(str(path), 0)
        with contextlib.suppress(FileNotFoundError):
            found, end = read_segment(path, start, most=MOST_RECORDS - len(records), most_bytes=left)
            records += found
            left -= end - start
    return records


def _tell(ledger: Ledger, endpoint: str, fresh: Sequence[SchemaFinding]) -> None:
    """Settle the rules by which the new findings add an alert, if any does; the others wait for the cycle."""
    with ledger.reading() as session:
        row = session.get_one(EndpointRow, endpoint)
        model = registry.load(row.live)
        known = {one.fingerprint for one in _firings(session, row, model, ())}
        added = {
            one.rule for one in _firings(session, row, model, fresh) if one.fingerprint not in known
        } - set(notices.OUTSIDE_RULES)
    if not added:
        return
    with ledger.transaction() as session:
        row = session.get_one(EndpointRow, endpoint)
        if row.live == model.tag:
            told = _of(added, _firings(session, row, model, fresh))
            notices.settle(session, endpoint, told, only=added)


def _firings(
    session: Session, row: EndpointRow, model: Model, fresh: Sequence[SchemaFinding]
) -> list[Firing]:
    context = alerting.context(session, row, model)
    schema = merge_findings([*context.schema, *fresh])
    return evaluate(replace(context, schema=schema), rules.specs_of(session, row.name))


def _of(names: Collection[str], firings: Sequence[Firing]) -> list[Firing]:
    return [one for one in firings if one.rule in names]
