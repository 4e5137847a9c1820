"""What is found in a window: every step of the judgement, one call each into ``taxiway.monitoring``.

A step gets a ``Case`` and gives what its column of the window's row holds. Steps do not know of each other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from taxiway.control import measuring, parts, stored, together
from taxiway.control.labels import Labels
from taxiway.control.ledger import Ledger, record
from taxiway.control.tables import EndpointRow, PartRow, WindowRow
from taxiway.monitoring import profiles
from taxiway.monitoring.drift import drift
from taxiway.monitoring.hiding import hide
from taxiway.monitoring.schema import schema_changes
from taxiway.packaging import registry

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.monitoring.slices import Slicing
    from taxiway.packaging.model import Model

log = logging.getLogger("taxiway.monitor")


@dataclass(frozen=True)
class Case:
    """What a window is judged by; what costs something is read when it is asked for, once.

    Attributes
    ----------
    window
        As it was read; its findings are those of the last time.
    parts
        The Parquet files of its predictions.
    labels
        The outcomes of the endpoint.
    """

    ledger: Ledger
    endpoint: EndpointRow
    window: WindowRow
    model: Model
    parts: Sequence[PartRow]
    labels: Labels

    @cached_property
    def profile(self) -> profiles.View:
        """The window's profile."""
        return stored.load(self.ledger, self.window)

    @property
    def complete(self) -> bool:
        """Whether all its predictions are still kept: else what is measured on rows stays as it was."""
        return sum(part.rows for part in self.parts) >= self.window.rows

    @property
    def reference(self) -> profiles.View:
        """The profile of what the Model was trained on."""
        return stored.reference_of(self.model)

    @property
    def slicings(self) -> list[Slicing]:
        """How the declared slices part the window's rows (``taxiway.monitoring.slices.split``)."""
        return stored.slicings_of(self.model)

    def rows(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Give the window's predictions, or only these columns of them (``id``, ``in.…``, ``out.…``)."""
        return parts.read(self.parts, columns)


def judge(ledger: Ledger, row: EndpointRow) -> bool:
    """Judge the windows of an endpoint that are marked unjudged; tell whether there were any.

    Raises
    ------
    Exception
        What the first window that could not be judged failed with, after all the others were.
    """
    unjudged = select(WindowRow).where(WindowRow.endpoint == row.name, WindowRow.judged.is_(False))
    with ledger.reading() as session:
        windows = list(session.scalars(unjudged.order_by(WindowRow.start)))
    labels = Labels(ledger, row.name)
    failed: Exception | None = None
    for window in windows:
        try:
            _judge_window(ledger, row, window, labels)
        except stored.LostProfileError as error:
            log.error("%s: %s", row.name, error)
            _give_up(ledger, window, error)
        except Exception as error:
            log.exception("%s: the window from %s cannot be judged", row.name, window.start)
            failed = failed or error
    for tag in sorted({window.model for window in windows if window.role == "live"}):
        measuring.judge_concept(ledger, row, tag, labels)
    if failed is not None:
        raise failed
    return bool(windows)


def _give_up(ledger: Ledger, window: WindowRow, error: stored.LostProfileError) -> None:
    """Leave a window whose profile is lost as it was judged last, and have the history say so."""
    with ledger.transaction() as session:
        current = session.get(WindowRow, (window.endpoint, window.start, window.model, window.role))
        if current is None or current.judged:
            return
        current.judged = True
        what = f"The profile of the window from {window.start:%Y-%m-%d %H:%M} is lost: {error.message}"
        record(session, "profile_lost", what, by="agent", endpoint=window.endpoint, model=window.model)


def _judge_window(ledger: Ledger, row: EndpointRow, window: WindowRow, labels: Labels) -> None:
    """Find all that is to be found in a window, then write it, unless rows have come meanwhile."""
    with ledger.reading() as session:
        files = parts.of_window(session, window)
    case = Case(ledger, row, window, registry.load(window.model), files, labels)
    found: dict[str, Any] = {"drift": _drift(case), "quality": _quality(case)}
    if case.complete:
        found |= {
            "performance": measuring.performance_of(case),
            "estimated": measuring.estimated_of(case),
            "multivariate": together.multivariate_of(case),
        }
    with ledger.transaction() as session:
        current = session.get(WindowRow, (row.name, window.start, window.model, window.role))
        if current is None or current.profile != window.profile:
            return
        for name, value in found.items():
            setattr(current, name, value)
        current.judged = True


def _drift(case: Case) -> list[Any]:
    """Compare column by column; outputs contribute nothing, since they follow from the inputs."""
    weights = case.model.importances or dict.fromkeys(case.model.signature.names, 1.0)
    found = [asdict(one) for one in drift(case.reference, case.profile, weights=weights)]
    return list(hide(found, case.model.signature.sensitive))


def _quality(case: Case) -> list[Any]:
    """Tell how the shape of the data differs from the reference's, whose target no window has.

    A window that was profiled after the fact from inputs alone has no outputs, and they are not missing.
    """
    signature = case.model.signature
    outputs = {output.name for output in signature.outputs}
    reference, window = profiles.summary(case.reference), profiles.summary(case.profile)
    names = {*signature.names, *(outputs if outputs & window.keys() else ())}
    before, after = (
        {name: column for name, column in found.items() if name in names} for found in (reference, window)
    )
    return [asdict(one) for one in schema_changes(before, after, sensitive=signature.sensitive)]
