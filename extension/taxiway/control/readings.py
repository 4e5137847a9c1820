"""What the monitor found, as DataFrames for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from taxiway.control import desired, parts, views
from taxiway.control.ahead import begun
from taxiway.control.ledger import ledger, now
from taxiway.control.tables import ConceptRow, WindowRow
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

ESTIMATED = {"estimated": "value", "estimated_low": "low", "estimated_high": "high", "note": "text"}
SLICE_COLUMNS = (
    "window",
    "model",
    "role",
    "column",
    "slice",
    "name",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "coverage",
    "gap",
    "p_value",
    "worse",
)
CONCEPT_COLUMNS = ("model", "time", "metric", "before", "after", "n", "method")
ALERT_COLUMNS = (
    *("id", "endpoint", "rule", "severity", "title", "detail", "column", "window", "value", "threshold"),
    *("state", "since", "first_seen", "last_seen", "count", "silenced_until", "window_start"),
)


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
    """Give the main metric of every window that has outcomes or an estimate, oldest first."""
    rows = []
    for window in _windows(endpoint):
        metric, estimated = views.main_metric(window.performance), window.estimated
        if metric is None and estimated is None:
            continue
        row: dict[str, object] = {"window": window.start, "model": window.model, "role": window.role}
        if estimated is not None:
            row["metric"] = estimated["metric"]
            row |= {name: estimated[key] for name, key in ESTIMATED.items()}
        if window.performance:
            others = window.performance["metrics"].items()
            row |= {name: one["value"] for name, one in others if name != window.performance["metric"]}
        rows.append({**row, **(metric or {})})
    return _frame(rows, (*PERFORMANCE_COLUMNS, *ESTIMATED))


def slices(endpoint: str) -> pd.DataFrame:
    """Give the performance within each slice of every window, oldest first."""
    rows = []
    for window in _windows(endpoint):
        measured = window.performance or {}
        for one in measured.get("slices", ()):
            main = one["metrics"].get(measured["metric"]) or {}
            others = {name: other["value"] for name, other in one["metrics"].items()}
            others.pop(measured["metric"], None)
            rows.append(
                {
                    **{"window": window.start, "model": window.model, "role": window.role},
                    **{name: one[name] for name in ("column", "value", "name", "gap", "p_value", "worse")},
                    **{"slice": one["value"], "metric": measured["metric"], "n": one["n_labelled"]},
                    **{name: main.get(name) for name in ("value", "low", "high")},
                    "coverage": one["coverage"],
                    **others,
                }
            )
    return _frame(rows, SLICE_COLUMNS)


def concept(endpoint: str) -> pd.DataFrame:
    """Give the changes of the error that were noticed, of each Model, oldest first."""
    import pandas as pd

    with ledger().reading() as session:
        desired.get(session, endpoint)
        found = list(session.scalars(select(ConceptRow).where(ConceptRow.endpoint == endpoint)))
    rows = [
        {"model": row.model, "metric": row.state["metric"], "method": row.state["method"], **change}
        for row in found
        for change in row.state["changes"]
    ]
    frame = pd.DataFrame(rows, columns=CONCEPT_COLUMNS)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame.sort_values("time", kind="stable").reset_index(drop=True)


def alerts(endpoint: str) -> pd.DataFrame:
    """Give one row per alert, as ``views.alerts`` lists them."""
    import pandas as pd

    return pd.DataFrame(views.alerts(endpoint), columns=ALERT_COLUMNS)


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
    """Give the windows that have begun, oldest first."""
    with ledger().reading() as session:
        desired.get(session, endpoint)
        return list(
            session.scalars(
                select(WindowRow)
                .where(WindowRow.endpoint == endpoint, begun(now()))
                .order_by(WindowRow.start, WindowRow.model)
            )
        )


def _frame(rows: list[dict[str, object]], columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=columns if not rows else None)
    frame = frame.assign(**{name: None for name in columns if name not in frame})
    frame["window"] = pd.to_datetime(frame["window"], utc=True)
    return frame[[*columns, *[name for name in frame.columns if name not in columns]]]
