"""The steps of a window's judgement that need outcomes or do without: performance, estimate, concept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from taxiway.control.labels import Labels, outputs_of, slice_columns
from taxiway.control.ledger import Ledger, now
from taxiway.control.tables import ConceptRow, EndpointRow, WindowRow
from taxiway.monitoring.concept import MOST, Method, concept
from taxiway.monitoring.estimation import MOST_LABELLED, estimate
from taxiway.monitoring.fairness import slice_performance
from taxiway.monitoring.log import INPUT
from taxiway.monitoring.performance import SlicePerformance, performance
from taxiway.monitoring.slices import slicings, split
from taxiway.packaging import registry

if TYPE_CHECKING:
    from taxiway.control.judging import Case

GROWN = 1.05  # by which a window must have grown for its estimate to be made anew


def performance_of(case: Case) -> dict[str, Any] | None:
    """Measure a window and its slices; None if the Model's task has no metrics here."""
    outputs = outputs_of(case.model, case.endpoint.options)
    if outputs is None:
        return None
    sliced = slice_columns(case.model)
    joined = case.labels.join(case.rows([*outputs.columns, *(INPUT + name for name in sliced)]))
    if outputs.prediction not in joined:
        return None
    apart: tuple[SlicePerformance, ...] = ()
    if sliced and joined["outcome"].notna().any():
        apart = slice_performance(joined, outputs, split(joined, slicings(sliced, case.reference)))
    return performance(joined, outputs, slices=apart).to_dict()


def estimated_of(case: Case) -> dict[str, Any] | None:
    """Estimate a window's performance from outcomes of earlier windows alone; a good estimate stays."""
    outputs = outputs_of(case.model, case.endpoint.options)
    if outputs is None or outputs.task == "ranking":
        return None
    before = case.window.estimated
    if before and before["baseline"] is not None and case.window.rows < GROWN * before["n"]:
        return before
    inputs = [INPUT + name for name in case.model.signature.names] if outputs.task == "regression" else []
    columns = [*outputs.columns, *inputs]
    rows = case.rows(columns)
    if outputs.prediction not in rows:
        return None
    earlier = case.labels.history(
        case.window.model,
        columns,
        most=MOST_LABELLED,
        role=case.window.role,
        before=case.window.start,
    )
    found = estimate(rows, earlier, outputs)
    return None if found is None else found.to_dict()


def judge_concept(ledger: Ledger, row: EndpointRow, tag: str, labels: Labels) -> None:
    """Look again for changes of a Model's error, if outcomes have joined since the last time."""
    model = registry.load(tag)
    outputs = outputs_of(model, row.options)
    if outputs is None or not labels.count:
        return
    windows = select(WindowRow).where(
        WindowRow.endpoint == row.name, WindowRow.model == tag, WindowRow.role == "live"
    )
    with ledger.reading() as session:
        known = sum((one.performance or {}).get("n_labelled", 0) for one in session.scalars(windows))
        stored = session.get(ConceptRow, (row.name, tag))
    method = _method(row)
    seen = [known, labels.count]
    if not known or (stored and stored.state["seen"] == seen and stored.state["method"] == method):
        return
    joined = labels.history(tag, outputs.columns, most=MOST)
    if outputs.prediction not in joined:
        return
    state = {**concept(joined, outputs, method=method).to_dict(), "seen": seen}
    with ledger.transaction() as session:
        session.merge(ConceptRow(endpoint=row.name, model=tag, state=state, time=now()))


def _method(row: EndpointRow) -> Method:
    return "page_hinkley" if (row.options or {}).get("detector") == "page_hinkley" else "adwin"
