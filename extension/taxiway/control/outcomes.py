"""Outcomes on their way to an endpoint, and what has become of those that arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from taxiway.control import desired, parts
from taxiway.control.ledger import ledger, now
from taxiway.control.tables import WindowRow
from taxiway.errors import RequestError
from taxiway.monitoring.log import INPUT
from taxiway.monitoring.outcomes import OutcomeFinding, Told, by_id, by_keys

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.control.client import EndpointClient

BATCH = 5_000
FUTURE_SECONDS = 60.0
_SHOWN = 3
Progress = Callable[[int, int], None]


class Sent(int):
    """How many outcomes were accepted: a number, with what was odd about the others.

    Attributes
    ----------
    findings
        What was left out, or is odd; empty if nothing is.
    """

    findings: tuple[OutcomeFinding, ...]

    def __new__(cls, accepted: int, findings: Sequence[OutcomeFinding] = ()) -> Sent:
        """Make the number."""
        made = super().__new__(cls, accepted)
        made.findings = tuple(findings)
        return made

    __str__ = int.__repr__

    def __repr__(self) -> str:
        said = f"{int(self):,} outcome{'' if self == 1 else 's'} accepted."
        return " ".join([said, *(finding.text for finding in self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {"accepted": int(self), "findings": [finding.to_dict() for finding in self.findings]}


def prepare(
    endpoint: str,
    table: pd.DataFrame,
    *,
    id: str = "id",
    outcome: str = "outcome",
    time: str | None = None,
    on: Sequence[str] = (),
    tolerance: str | None = None,
    timezone: str = "UTC",
) -> Told:
    """Find out which predictions a table tells the truth about; see ``Endpoint.outcomes``."""
    common: dict[str, Any] = {"outcome": outcome, "time": time, "timezone": timezone, "now": now()}
    if not on:
        return by_id(table, id=id, **common)
    with ledger().reading() as session:
        desired.get(session, endpoint)
        rows = parts.select_parts(session, endpoint, "prediction", role="live")
    columns = ["id", "time", *(INPUT + name for name in on)]
    predictions = parts.read(rows, columns)
    if not rows:  # nothing has been predicted, so nothing can match
        import pandas as pd

        predictions = pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
        predictions["time"] = pd.to_datetime(predictions["time"], utc=True)
    return by_keys(table, predictions, on=on, tolerance=tolerance, **common)


def send(client: EndpointClient, told: Told, progress: Progress | None = None) -> Sent:
    """Send outcomes in batches; all of them were checked before.

    Raises
    ------
    RequestError
        The endpoint refused or did not answer; the hint says how many it had accepted.
    """
    total, accepted = len(told.ids), 0
    for start in range(0, total, BATCH):
        chosen = slice(start, start + BATCH)
        try:
            accepted += client.send_outcomes(
                told.ids[chosen], told.outcomes[chosen], None if told.times is None else told.times[chosen]
            )
        except RequestError as error:
            if accepted:
                error.hint = (
                    f"{accepted:,} of {total:,} outcomes were accepted. Send all of them again: the last of "
                    f"an id holds, so that none counts twice. {error.hint}"
                )
            raise
        if progress is not None:
            progress(accepted, total)
    return Sent(accepted, told.findings)


@dataclass(frozen=True, slots=True, repr=False)
class OutcomeStatus:
    """What has become of an endpoint's outcomes.

    Attributes
    ----------
    received
        Rows, of which some may tell of one prediction again.
    ids, corrected
        Distinct prediction ids, and those of them whose outcome was changed by a later one.
    unknown
        Ids of which no prediction is known (yet): they are kept, and join if it comes.
    predictions, labelled, coverage
        Of live predictions, how many have an outcome.
    newest
        When the last outcome was received, UTC.
    """

    endpoint: str
    received: int
    ids: int
    corrected: int
    unknown: int
    predictions: int
    labelled: int
    coverage: float
    newest: datetime | None
    findings: tuple[OutcomeFinding, ...]

    def __repr__(self) -> str:
        said = (
            f"{self.labelled:,} of {self.predictions:,} predictions have an outcome ({self.coverage:.1%}); "
            f"{self.received:,} outcomes were received, {self.corrected:,} of them corrected later."
        )
        return "\n".join([said, *(f"  {finding.text}" for finding in self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        newest = None if self.newest is None else self.newest.isoformat()
        findings = [finding.to_dict() for finding in self.findings]
        return {**asdict(self), "newest": newest, "findings": findings}


def status(endpoint: str) -> OutcomeStatus:
    """Count an endpoint's outcomes; memory grows with their ids, not with the predictions."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    with ledger().reading() as session:
        desired.get(session, endpoint)
        files = parts.select_parts(session, endpoint, "outcome")
        predicted = parts.select_parts(session, endpoint, "prediction", role="live")
        ahead = session.execute(
            select(func.sum(WindowRow.rows), func.max(WindowRow.start)).where(
                WindowRow.endpoint == endpoint, WindowRow.role == "live", WindowRow.start > now()
            )
        ).one()
    table = parts.read_table(files, ["id", "outcome", "time", "received"])
    frame = (
        pd.DataFrame(columns=["id", "outcome", "time", "received"]) if table is None else table.to_pandas()
    )
    frame = frame.sort_values("received", kind="stable")
    changed = frame.drop_duplicates(["id", "outcome"])["id"]
    ids = pa.array(frame["id"].unique(), pa.string())
    found = pa.array([], pa.string())
    n = labelled = 0
    for part in predicted:
        known = parts.read_table([part], ["id"])
        assert known is not None
        here = known["id"].cast(pa.string())
        mine = here.filter(pc.is_in(here, ids))
        n, labelled = n + part.rows, labelled + len(mine)
        found = pc.unique(pa.chunked_array([found, *mine.chunks], pa.string()))
    unknown = ids.filter(pc.invert(pc.is_in(ids, found))).to_pylist()
    findings = []
    if unknown:
        many = len(unknown) > 1
        text = (
            f"{len(unknown):,} outcome{'s' if many else ''} for {'unknown ids' if many else 'an unknown id'} "
            f"(first: {unknown[0]}); kept, and joined if the prediction comes."
        )
        findings.append(OutcomeFinding("unknown", len(unknown), text, tuple(unknown[:_SHOWN])))
    findings += _future(frame, ahead)
    return OutcomeStatus(
        endpoint=endpoint,
        received=len(frame),
        ids=len(ids),
        corrected=int(changed[changed.duplicated()].nunique()),
        unknown=len(unknown),
        predictions=n,
        labelled=labelled,
        coverage=labelled / n if n else 0.0,
        newest=frame["received"].max().to_pydatetime() if len(frame) else None,
        findings=tuple(findings),
    )


def _future(frame: pd.DataFrame, ahead: Any) -> list[OutcomeFinding]:
    """Tell of times that had not come yet when they were told, and of windows that are still to come."""
    found = []
    late = (
        frame[(frame["time"] - frame["received"]).dt.total_seconds() > FUTURE_SECONDS]
        if len(frame)
        else frame
    )
    if len(late):
        first = f"{late['id'].iloc[0]} at {late['time'].iloc[0]:%Y-%m-%d %H:%M} UTC"
        text = f"{len(late):,} outcomes with a time in the future (first: {first})."
        found.append(OutcomeFinding("future", len(late), text, tuple(late["id"][:_SHOWN])))
    rows, start = ahead
    if rows:
        text = f"{rows:,} predictions with a time in the future, in windows up to {start:%Y-%m-%d %H:%M} UTC."
        found.append(OutcomeFinding("future", int(rows), text))
    return found
