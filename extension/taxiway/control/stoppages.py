"""What has stopped: a log, the traffic, a sink. The agent looks, for the monitor may not run then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import ahead, notices, outbox, rules
from taxiway.control.ledger import Ledger
from taxiway.control.tables import AlertRow, EndpointRow, ObservationRow, SegmentRow, SinkRow, WindowRow
from taxiway.monitoring.context import Firing, firing
from taxiway.monitoring.rulebook import RuleSpec, adjusted
from taxiway.serving.spool import list_segments, read_segment

RULES = ("log_stopped", "no_predictions")  # of an endpoint
UNREAD_SECONDS = 300.0
QUIET_TIMES = 3  # as long as the longest pause there ever was
FEWEST_WINDOWS = 8


class Stoppages:
    """Looks at what should go on, and opens or resolves an alert where it does not.

    Parameters
    ----------
    ledger
        The agent's.
    unread_seconds
        How long a record may wait to be read.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        unread_seconds: float = UNREAD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self._unread_seconds = unread_seconds
        self._clock = clock
        self._unread: dict[str, tuple[int, float]] = {}

    def look(self, moment: datetime) -> None:
        """Open, update or resolve what changed; where nothing did, nothing is written."""
        with self.ledger.reading() as session:
            rows = session.scalars(select(EndpointRow).where(EndpointRow.desired != "absent")).all()
            found: dict[str, list[Firing]] = {"": list(_failed_sinks(session))}
            specs: dict[str, list[RuleSpec]] = {"": rules.specs_of(session, "")}
            for row in rows:
                specs[row.name] = rules.specs_of(session, row.name)
                found[row.name] = [*self._stopped_log(session, row), *_no_predictions(session, row, moment)]
            open_alerts = session.scalars(select(AlertRow).where(AlertRow.state != "resolved")).all()
        pending = any(alert.state == "pending" for alert in open_alerts)
        for endpoint, firings in found.items():
            only = RULES if endpoint else ("sink_failed",)
            firings = list(adjusted(firings, {spec.name: spec for spec in specs[endpoint]}))
            known = {
                alert.fingerprint
                for alert in open_alerts
                if alert.endpoint == endpoint and alert.rule in only and alert.state != "pending"
            }
            if known != {one.fingerprint for one in firings}:
                with self.ledger.transaction() as session:
                    notices.settle(session, endpoint, firings, only=only, moment=moment)
        if pending:
            self._ripen(specs, moment)

    def _ripen(self, specs: dict[str, list[RuleSpec]], moment: datetime) -> None:
        with self.ledger.reading() as session:
            if not notices.are_ripe(session, specs, moment):
                return
        with self.ledger.transaction() as session:
            notices.ripen(session, specs, moment)

    def _stopped_log(self, session: Session, row: EndpointRow) -> Iterator[Firing]:
        """Tell of a log that an endpoint cannot write, or whose records nobody reads."""
        seen = session.get(ObservationRow, row.name)
        if row.desired != "running" or row.backend != "local" or seen is None or not seen.spool:
            return
        spool = Path(seen.spool)
        if not spool.is_dir():
            if seen.status == "READY":
                yield firing(
                    row.name,
                    "log_stopped",
                    "critical",
                    f"The prediction log of {row.name} is gone",
                    "It answers, but its log's folder is not there, so that nothing is monitored. "
                    f"`taxiway deploy` of {row.live} makes it anew.",
                )
            return
        for path in list_segments(spool):
            if self._is_unread(session, path):
                yield firing(
                    row.name,
                    "log_stopped",
                    "critical",
                    f"The prediction log of {row.name} is not read any more",
                    f"Records wait in {path.name}. The monitor's log is monitor.log in TAXIWAY_HOME; "
                    "predictions go on and are kept.",
                )
                return

    def _is_unread(self, session: Session, path: Path) -> bool:
        """Whether a record has been waiting where the last look left off."""
        key, segment = str(path), session.get(SegmentRow, str(path))
        offset = segment.offset if segment is not None else 0
        place, since = self._unread.get(key, (-1, 0.0))
        if place != offset:
            self._unread[key] = offset, self._clock()
            return False
        if self._clock() - since < self._unread_seconds:
            return False
        try:
            records, _ = read_segment(path, offset, most=1)
        except FileNotFoundError:
            records = []
        if not records:
            del self._unread[key]
        return bool(records)


def _no_predictions(session: Session, row: EndpointRow, moment: datetime) -> Iterator[Firing]:
    """Tell of an endpoint that was asked again and again, and for long has not been.

    An endpoint that never was, or seldom, is left alone: it has to be quiet for three times as long as the
    longest pause between two of its last windows, and than a window. Replayed data tell nothing of it.
    """
    if row.desired != "running":
        return
    query = (
        select(WindowRow.start, WindowRow.end, WindowRow.updated)
        .where(WindowRow.endpoint == row.name, WindowRow.role == "live", ahead.begun(moment))
        .order_by(WindowRow.start.desc())
        .limit(100)
    )
    windows = session.execute(query).all()[::-1]
    if len(windows) < FEWEST_WINDOWS:
        return
    length = windows[-1].end - windows[-1].start
    last = windows[-1].updated
    if not timedelta(0) <= last - windows[-1].start <= 3 * length:
        return  # its data's times are not the time of day
    pauses = [later.start - earlier.end for earlier, later in pairwise(windows)]
    longest = max(max(pauses), length)
    if moment - last <= QUIET_TIMES * longest:
        return
    yield firing(
        row.name,
        "no_predictions",
        "warning",
        f"Nobody has asked {row.name} since {last:%Y-%m-%d %H:%M} UTC",
        f"Before, it was asked at least every {longest}.",
        value=None,
    )


def _failed_sinks(session: Session) -> Iterator[Firing]:
    """Tell of sinks that take nothing, or that refuse one message while others go through."""
    refused = outbox.refused(session)
    for sink in session.scalars(select(SinkRow)):
        again = f"tried again for {outbox.KEPT.days} days; `taxiway alerts test {sink.name}`."
        if sink.failures >= outbox.SINK_FAILURES:
            title = f"The sink {sink.name} takes no alerts"
            detail = f"{sink.error} What it was not told is kept and {again}"
        elif (row := refused.get(sink.name)) is not None:
            title = f"The sink {sink.name} refuses a message"
            tries = f"It was tried {row.attempts} times, is of alert {row.alert}, is kept and {again}"
            detail = f"{row.error} {tries}"
        else:
            continue
        yield firing("", "sink_failed", "warning", title, detail, sink.name)
