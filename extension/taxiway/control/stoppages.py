"""What has stopped: a log, the traffic, a sink. The agent looks, for the monitor may not run then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
READ_SECONDS = 60.0  # after which a ledger that has not changed is read anew: windows begin with time


@dataclass(frozen=True, slots=True)
class _Quiet:
    """How long an endpoint has been quiet at most, while it was asked again and again."""

    last: datetime
    longest: timedelta


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger says.

    Attributes
    ----------
    seen, specs, quiet
        By endpoint: what was seen last, the rules (of ``""``, those of all), and how quiet it has been.
    offsets
        How far each segment has been read.
    sinks
        Those that take nothing.
    alerts
        Those that are open.
    """

    endpoints: Sequence[EndpointRow]
    seen: dict[str, ObservationRow]
    specs: dict[str, list[RuleSpec]]
    quiet: dict[str, _Quiet]
    offsets: dict[str, int]
    sinks: list[Firing]
    alerts: Sequence[AlertRow]


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
        self._known: _Known | None = None
        self._token = ""
        self._read_due = 0.0

    def look(self, moment: datetime) -> None:
        """Open, update or resolve what changed; where nothing did, nothing is written."""
        known = self._read(moment)
        found: dict[str, list[Firing]] = {"": known.sinks}
        for row in known.endpoints:
            found[row.name] = [*self._stopped_log(known, row), *_no_predictions(known, row, moment)]
        for endpoint, firings in found.items():
            only = RULES if endpoint else ("sink_failed",)
            firings = list(adjusted(firings, {spec.name: spec for spec in known.specs[endpoint]}))
            told = {
                alert.fingerprint
                for alert in known.alerts
                if alert.endpoint == endpoint and alert.rule in only and alert.state != "pending"
            }
            if told != {one.fingerprint for one in firings}:
                with self.ledger.transaction() as session:
                    notices.settle(session, endpoint, firings, only=only, moment=moment)
        if any(alert.state == "pending" for alert in known.alerts):
            self._ripen(known.specs, moment)

    def _read(self, moment: datetime) -> _Known:
        """Read the ledger where it has changed; read each time, it was a third of an idle agent's work."""
        token, clock = self.ledger.data_version(), self._clock()
        if self._known is not None and token == self._token and clock < self._read_due:
            return self._known
        with self.ledger.reading() as session:
            rows = session.scalars(select(EndpointRow).where(EndpointRow.desired != "absent")).all()
            running = [row.name for row in rows if row.desired == "running"]
            quiet = {name: one for name in running if (one := _quiet(session, name, moment)) is not None}
            self._known = _Known(
                endpoints=rows,
                seen={one.endpoint: one for one in session.scalars(select(ObservationRow))},
                specs={name: rules.specs_of(session, name) for name in ("", *(row.name for row in rows))},
                quiet=quiet,
                offsets=dict(session.execute(select(SegmentRow.path, SegmentRow.offset)).all()),
                sinks=list(_failed_sinks(session)),
                alerts=session.scalars(select(AlertRow).where(AlertRow.state != "resolved")).all(),
            )
        self._token, self._read_due = token, clock + READ_SECONDS
        return self._known

    def _ripen(self, specs: dict[str, list[RuleSpec]], moment: datetime) -> None:
        with self.ledger.reading() as session:
            if not notices.are_ripe(session, specs, moment):
                return
        with self.ledger.transaction() as session:
            notices.ripen(session, specs, moment)

    def _stopped_log(self, known: _Known, row: EndpointRow) -> Iterator[Firing]:
        """Tell of a log that an endpoint cannot write, or whose records nobody reads."""
        seen = known.seen.get(row.name)
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
            if self._is_unread(path, known.offsets.get(str(path), 0)):
                yield firing(
                    row.name,
                    "log_stopped",
                    "critical",
                    f"The prediction log of {row.name} is not read any more",
                    f"Records wait in {path.name}. The monitor's log is monitor.log in TAXIWAY_HOME; "
                    "predictions go on and are kept.",
                )
                return

    def _is_unread(self, path: Path, offset: int) -> bool:
        """Whether a record has been waiting where the last look left off."""
        key = str(path)
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


def _no_predictions(known: _Known, row: EndpointRow, moment: datetime) -> Iterator[Firing]:
    """Tell of an endpoint that was asked again and again, and for long has not been."""
    quiet = known.quiet.get(row.name)
    if quiet is None or moment - quiet.last <= QUIET_TIMES * quiet.longest:
        return
    yield firing(
        row.name,
        "no_predictions",
        "warning",
        f"Nobody has asked {row.name} since {quiet.last:%Y-%m-%d %H:%M} UTC",
        f"Before, it was asked at least every {quiet.longest}.",
        value=None,
    )


def _quiet(session: Session, endpoint: str, moment: datetime) -> _Quiet | None:
    """Look how long an endpoint has been quiet before; None where that tells nothing.

    An endpoint that never was asked, or seldom, is left alone: it has to be quiet for three times as long as
    the longest pause between two of its last windows, and than a window. Replayed data tell nothing of it.
    """
    query = (
        select(WindowRow.start, WindowRow.end, WindowRow.updated)
        .where(WindowRow.endpoint == endpoint, WindowRow.role == "live", ahead.begun(moment))
        .order_by(WindowRow.start.desc())
        .limit(100)
    )
    windows = session.execute(query).all()[::-1]
    if len(windows) < FEWEST_WINDOWS:
        return None
    length = windows[-1].end - windows[-1].start
    last = windows[-1].updated
    if not timedelta(0) <= last - windows[-1].start <= 3 * length:
        return None  # its data's times are not the time of day
    pauses = [later.start - earlier.end for earlier, later in pairwise(windows)]
    return _Quiet(last, max(max(pauses), length))


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
