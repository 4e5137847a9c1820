"""Delivers what is queued: in a thread of the agent, with one more for each sink that is being told.

A delivery is marked only after the sink took it, so that one is told again, and never lost, when the agent is
killed between the two; its key is the same each time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from taxiway.control import outbox, senders, silencing, sinks
from taxiway.control.lease import DeposedError
from taxiway.control.ledger import Ledger, now
from taxiway.control.senders import REPEAT, UndeliveredError
from taxiway.control.stoppages import Stoppages
from taxiway.control.tables import AlertRow, DeliveryRow, SinkRow
from taxiway.errors import TaxiwayError

LOOK_SECONDS = 5.0  # between two looks at what comes with time alone: tries, silences, what has stopped
PRUNE_SECONDS = 3600.0
BURST = 10  # messages to one sink at once …
REFILL_SECONDS = 30.0  # … and then one in so many seconds, which tells all that has come meanwhile

log = logging.getLogger("taxiway.delivery")


@dataclass
class Bucket:
    """How many messages a sink may be sent now (a token bucket); ``clock`` gives monotonic seconds."""

    clock: Callable[[], float] = time.monotonic
    room: float = BURST
    _last: float | None = field(default=None, repr=False)

    def look(self) -> int:
        """Give how many may be sent now."""
        at = self.clock()
        gained = 0.0 if self._last is None else (at - self._last) / REFILL_SECONDS
        self.room, self._last = min(float(BURST), self.room + gained), at
        return int(self.room)

    def take(self) -> None:
        """Count one."""
        self.room = max(0.0, self.room - 1)


class Delivery(threading.Thread):
    """Tells every sink what is queued for it, and looks at what comes with time alone.

    Parameters
    ----------
    ledger
        Fenced: an agent that was deposed writes nothing.
    clock
        The time of day.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime] = now) -> None:
        super().__init__(name="taxiway-delivery", daemon=True)  # a sink may never answer
        self.ledger = ledger
        self._clock = clock
        self._ending = False
        self._wake = threading.Event()
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._repeated: dict[str, float] = {}
        self._stoppages = Stoppages(ledger)
        self._look_due = 0.0
        self._prune_due = time.monotonic() + PRUNE_SECONDS
        self._token = ""

    def end(self) -> None:
        """Begin nothing more; a message that is on its way may be told again by the next agent."""
        self._ending = True
        self._wake.set()

    def wake(self) -> None:
        """Look at once: the ledger has changed."""
        self._wake.set()

    def run(self) -> None:
        """Deliver until told to end, or until the lease is lost."""
        while not self._ending:
            self._wake.clear()  # before the ledger is read, so that no change of it is slept over
            try:
                self.round()
            except DeposedError:
                return
            except TaxiwayError as error:
                log.warning("%s", error)
                time.sleep(LOOK_SECONDS)  # nobody waits for this thread
            except Exception:  # whatever it was, the alerts that come later are told
                log.exception("a mistake in the delivery of alerts")
                time.sleep(LOOK_SECONDS)
            else:
                self._wake.wait(LOOK_SECONDS)

    def round(self) -> None:
        """Do what is due."""
        monotonic, token = time.monotonic(), self.ledger.data_version()
        look = monotonic >= self._look_due
        if token == self._token and not look:
            return
        self._token = token
        try:
            if look:
                self._look_due = monotonic + LOOK_SECONDS
                self._look()
        finally:
            self.deliver()  # what cannot be looked at keeps no alert back

    def _look(self) -> None:
        moment = self._clock()
        self._stoppages.look(moment)
        with self.ledger.reading() as session:
            kept = session.scalars(select(DeliveryRow.id).where(DeliveryRow.state == "silenced")).first()
            known = session.scalars(select(SinkRow)).all()
        if any(sink.definition.get("kind") != "apprise" for sink in known):
            senders.prepare()
        if kept is not None:
            with self.ledger.reading() as session:
                outbox.release(session, moment)
                changed = bool(session.dirty)
                session.rollback()
            if changed:
                with self.ledger.transaction() as session:
                    outbox.release(session, moment)
        if time.monotonic() >= self._prune_due:
            self._prune_due = time.monotonic() + PRUNE_SECONDS
            with self.ledger.transaction() as session:
                outbox.prune(session, moment)

    def deliver(self) -> list[threading.Thread]:
        """Begin to tell each sink for which something is due, and that is not being told."""
        moment, begun = self._clock(), []
        with self.ledger.reading() as session:
            rows = outbox.due(session, moment)
            endpoints = dict(session.execute(select(AlertRow.id, AlertRow.endpoint)).all()) if rows else {}
            known = list(session.scalars(select(SinkRow)))
        for sink in known:
            mine = [(row, endpoints.get(row.alert, "")) for row in rows if row.sink == sink.name]
            with self._lock:
                if sink.name in self._busy or not (mine or self._is_repeated(sink)):
                    continue
                self._busy.add(sink.name)
            thread = threading.Thread(
                target=self._tell, args=(sink, mine), name=f"taxiway-sink-{sink.name}", daemon=True
            )
            thread.start()
            begun.append(thread)
        return begun

    def _is_repeated(self, sink: SinkRow) -> bool:
        due = time.monotonic() - self._repeated.get(sink.name, -1e9) >= REPEAT.total_seconds()
        return sink.definition.get("kind") == "alertmanager" and due

    def _tell(self, sink: SinkRow, rows: list[tuple[DeliveryRow, str]]) -> None:
        tried = False
        try:
            bucket = self._buckets.setdefault(sink.name, Bucket())
            for numbers in outbox.groups(rows, bucket.look()):
                if self._ending:
                    return
                told = self._tell_group(sink, numbers)
                tried = True
                if not told:
                    return
                bucket.take()
            if self._is_repeated(sink):
                self._repeat(sink)
        except DeposedError:
            self.end()
        except TaxiwayError as error:
            log.warning("sink %s: %s", sink.name, error)
        except Exception:  # of the code that speaks to one sink: the others are told all the same
            log.exception("sink %s: a mistake in the delivery of alerts", sink.name)
        finally:
            with self._lock:
                self._busy.discard(sink.name)
            self._token = ""  # what came meanwhile is looked for
            if tried:  # else at once the same would wait, and in vain
                self._wake.set()

    def _tell_group(self, sink: SinkRow, numbers: list[int]) -> bool:
        """Send one message, and write down what became of it."""
        moment = self._clock()
        with self.ledger.reading() as session:
            query = select(DeliveryRow).where(DeliveryRow.id.in_(numbers)).order_by(DeliveryRow.id)
            told = outbox.notices(session, session.scalars(query).all())
        try:
            answer = "Its alert is gone."
            if told:
                answer = senders.send(sinks.parse(sink.definition), sink.name, told, moment)
        except (UndeliveredError, TaxiwayError) as error:
            after = error.after if isinstance(error, UndeliveredError) else None
            log.warning("the sink %s did not take a message: %s", sink.name, error)
            with self.ledger.transaction() as session:
                outbox.settle_failed(session, sink.name, numbers, str(error), self._clock(), after)
            return False
        with self.ledger.transaction() as session:
            outbox.settle_told(session, sink.name, numbers, answer, self._clock())
        return True

    def _repeat(self, sink: SinkRow) -> None:
        """Tell Alertmanager again what fires, as it expects; else it takes it for resolved."""
        self._repeated[sink.name] = time.monotonic()
        moment, spec = self._clock(), sinks.parse(sink.definition)
        with self.ledger.reading() as session:
            silences = silencing.active(session, moment)
            firing = session.scalars(select(AlertRow).where(AlertRow.state.in_(("firing", "acknowledged"))))
            told = [
                outbox.notice(session, alert, "firing")
                for alert in firing
                if spec.takes(alert.endpoint, alert.severity)
                and not silencing.covers(silences, alert, moment)
            ]
        answer = ""
        for start in range(0, len(told), outbox.MOST_OF_A_MESSAGE):
            try:
                answer = senders.send(spec, sink.name, told[start : start + outbox.MOST_OF_A_MESSAGE], moment)
            except UndeliveredError as error:
                with self.ledger.transaction() as session:
                    outbox.settle_failed(session, sink.name, [], str(error), moment)
                return
        if answer and sink.failures:
            with self.ledger.transaction() as session:
                outbox.settle_told(session, sink.name, [], answer, moment)
