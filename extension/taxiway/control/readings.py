"""What the monitor found, as DataFrames for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from taxiway.control import desired, parts
from taxiway.control.ledger import ledger
from taxiway.control.tables import WindowRow
from taxiway.control.views import main_metric
from taxiway.errors import ConflictError
from taxiway.packaging import registry

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.shadow.compare import ShadowReport

DRIFT_COLUMNS = (
    "window",
    "model",
    "role",
    "rows",
    "column",
    "drifted",
    "kind",
    "psi",
    "test",
    "statistic",
    "p_value",
)
PERFORMANCE_COLUMNS = ("window", "model", "role", "metric", "value", "low", "high", "n", "coverage")


def drift(endpoint: str) -> pd.DataFrame:
    """Give one row per window and column, oldest window first."""
    rows = [
        {"window": window.start, "model": window.model, "role": window.role, "rows": window.rows, **entry}
        for window in _windows(endpoint)
        for entry in window.drift
        if window.role == "live"
    ]
    return _frame(rows, DRIFT_COLUMNS)


def performance(endpoint: str) -> pd.DataFrame:
    """Give the main metric of every window that has outcomes, oldest first."""
    rows = []
    for window in _windows(endpoint):
        metric = main_metric(window.performance)
        if metric is not None:
            rows.append({"window": window.start, "model": window.model, "role": window.role, **metric})
    return _frame(rows, PERFORMANCE_COLUMNS)


def predictions(endpoint: str) -> pd.DataFrame:
    """Give the prediction log, oldest file first."""
    from taxiway.monitoring.log import predictions_frame

    with ledger().reading() as session:
        desired.get(session, endpoint)
        rows = parts.select_parts(session, endpoint, "prediction")
    return parts.read(rows) if rows else predictions_frame([])


def labelled(endpoint: str) -> pd.DataFrame:
    """Give inputs and outcome of every live prediction whose outcome is known, by the inputs' own names."""
    from taxiway.monitoring.log import INPUT, predictions_frame
    from taxiway.monitoring.performance import join_outcomes

    with ledger().reading() as session:
        desired.get(session, endpoint)
        rows = parts.select_parts(session, endpoint, "prediction", role="live")
        outcomes = parts.outcomes(session, endpoint)
    joined = join_outcomes(parts.read(rows) if rows else predictions_frame([]), outcomes)
    known = joined[joined["outcome"].notna()]
    inputs = [name for name in known.columns if name.startswith(INPUT)]
    chosen = known[["id", "time", *inputs, "outcome"]].rename(columns=lambda name: name.removeprefix(INPUT))
    return chosen.sort_values("time", kind="stable").reset_index(drop=True)


def shadow_report(endpoint: str) -> ShadowReport:
    """Compare the endpoint's shadow with its live Model on what both have answered."""
    from taxiway.monitoring.log import OUTPUT, predictions_frame
    from taxiway.shadow.compare import compare

    with ledger().reading() as session:
        row = desired.get(session, endpoint)
        if row.shadow is None:
            raise ConflictError(f"Endpoint {endpoint!r} has no shadow.", hint="Start one first.")
        live = parts.select_parts(session, endpoint, "prediction", model=row.live, role="live")
        shadow = parts.select_parts(session, endpoint, "prediction", model=row.shadow, role="shadow")
        outcomes = parts.outcomes(session, endpoint)
    model = registry.load(row.live)
    named = model.slices or [column.name for column in model.signature.inputs if column.categories]
    slices = [f"in.{name}" for name in named]
    return compare(
        parts.read(live) if live else predictions_frame([]),
        parts.read(shadow) if shadow else predictions_frame([]),
        outcomes,
        task=model.task,
        slices=slices,
        prediction=OUTPUT + model.outputs[0].name,
    )


def _windows(endpoint: str) -> list[WindowRow]:
    with ledger().reading() as session:
        desired.get(session, endpoint)
        return list(
            session.scalars(
                select(WindowRow)
                .where(WindowRow.endpoint == endpoint)
                .order_by(WindowRow.start, WindowRow.model)
            )
        )


def _frame(rows: list[dict[str, object]], columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=columns if not rows else None)
    frame["window"] = pd.to_datetime(frame["window"], utc=True)
    return frame[[*columns, *[name for name in frame.columns if name not in columns]]]
