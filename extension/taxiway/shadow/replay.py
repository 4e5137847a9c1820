"""Replay: a candidate is run over recorded traffic, for a verdict in a minute instead of a month."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from taxiway.errors import InputError
from taxiway.monitoring.log import INPUT, OUTPUT

if TYPE_CHECKING:
    import pandas as pd

BATCH = 10_000


def replay(
    predict: Callable[[pd.DataFrame], pd.DataFrame],
    predictions: pd.DataFrame,
    *,
    model: str = "",
    batch: int = BATCH,
) -> pd.DataFrame:
    """Run a candidate over recorded inputs.

    Parameters
    ----------
    predict
        Takes input columns by their own names, gives output columns, row for row.
    predictions
        Recorded predictions, as ``taxiway.monitoring.log.predictions_frame`` gives them.
    model
        The candidate's tag.
    batch
        Rows given to ``predict`` at once.

    Returns
    -------
    pandas.DataFrame
        The same rows (ids, times, inputs) with role ``shadow``, the candidate's outputs and no latency: a
        batch's time says nothing of a request's.

    Raises
    ------
    InputError
        The candidate gave another number of rows than it was given.
    """
    import pandas as pd

    inputs = predictions[[name for name in predictions.columns if name.startswith(INPUT)]]
    inputs = inputs.rename(columns=lambda name: name.removeprefix(INPUT)).reset_index(drop=True)
    parts = []
    for start in range(0, len(inputs), batch):
        given = inputs.iloc[start : start + batch]
        answered = predict(given)
        if len(answered) != len(given):
            raise InputError(
                f"The candidate gave {len(answered)} predictions for {len(given)} rows.",
                hint="A Model gives one prediction for each row; mend the candidate.",
            )
        parts.append(answered.add_prefix(OUTPUT).set_axis(given.index, axis=0))
    kept = predictions.drop(columns=[name for name in predictions.columns if name.startswith(OUTPUT)])
    replayed = kept.reset_index(drop=True).assign(model=model, role="shadow", latency_ms=float("nan"))
    return replayed.join(pd.concat(parts)) if parts else replayed
