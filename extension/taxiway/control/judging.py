"""What is found in a window: every step of the judgement, one call each into ``taxiway.monitoring``.

A step gets a ``Case`` and gives what its column of the window's row holds. Steps do not know of each other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from taxiway.control import parts
from taxiway.control.ledger import Ledger
from taxiway.control.tables import EndpointRow, PartRow, WindowRow
from taxiway.monitoring import log as prediction_log
from taxiway.monitoring import performance as performance_of
from taxiway.monitoring import profiles
from taxiway.monitoring.drift import drift
from taxiway.monitoring.schema import schema_changes
from taxiway.packaging import registry

if TYPE_CHECKING:
    import pandas as pd

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
    outcomes
        Every outcome of the endpoint: ``id``, ``outcome``, ``time``, ``received``.
    """

    endpoint: EndpointRow
    window: WindowRow
    model: Model
    parts: Sequence[PartRow]
    outcomes: pd.DataFrame

    @cached_property
    def profile(self) -> profiles.View:
        """The window's profile."""
        return profiles.read(Path(self.window.profile))

    @property
    def reference(self) -> profiles.View:
        """The profile of what the Model was trained on."""
        return _reference(self.model.path / "reference.bin")

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
        outcomes = parts.outcomes(session, row.name) if windows else None
    failed: Exception | None = None
    for window in windows:
        assert outcomes is not None
        try:
            _judge_window(ledger, row, window, outcomes)
        except Exception as error:
            log.exception("%s: the window from %s cannot be judged", row.name, window.start)
            failed = failed or error
    if failed is not None:
        raise failed
    return bool(windows)


def _judge_window(ledger: Ledger, row: EndpointRow, window: WindowRow, outcomes: pd.DataFrame) -> None:
    """Find all that is to be found in a window, then write it, unless rows have come meanwhile."""
    with ledger.reading() as session:
        files = parts.select_parts(
            session,
            row.name,
            "prediction",
            window_start=window.start,
            model=window.model,
            role=window.role,
        )
    case = Case(row, window, registry.load(window.model), files, outcomes)
    found = {
        "drift": _drift(case),
        "quality": _quality(case),
        "performance": _performance(case),
    }
    with ledger.transaction() as session:
        stored = session.get(WindowRow, (row.name, window.start, window.model, window.role))
        if stored is None or stored.profile != window.profile:
            return
        for name, value in found.items():
            setattr(stored, name, value)
        stored.judged = True


def _drift(case: Case) -> list[Any]:
    return [asdict(one) for one in drift(case.reference, case.profile)]


def _quality(case: Case) -> list[Any]:
    """Tell how the shape of the data differs from the reference's, whose target no window has."""
    signature = case.model.signature
    names = {*signature.names, *(output.name for output in signature.outputs)}
    before, after = (
        {name: column for name, column in profiles.summary(view).items() if name in names}
        for view in (case.reference, case.profile)
    )
    return [asdict(one) for one in schema_changes(before, after, sensitive=signature.sensitive)]


def _performance(case: Case) -> dict[str, Any] | None:
    """Measure a window, if its task has metrics here."""
    task = case.model.manifest.task
    prediction = prediction_log.OUTPUT + case.model.manifest.outputs[0].name
    if task not in ("classification", "regression"):
        return None
    outputs = performance_of.Outputs(task, prediction)
    joined = performance_of.join_outcomes(case.rows(outputs.columns), case.outcomes)
    return performance_of.performance(joined, outputs).to_dict()


@lru_cache(maxsize=32)
def _reference(path: Path) -> profiles.View:
    """A Model never changes, so its reference profile is read once."""
    return profiles.read(path)
