"""A scikit-learn estimator asked for named tensors: alike for the original and for what serves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from taxiway.serving.block import Tensor


def ask(model: Any, rows: Any, wanted: Sequence[str]) -> dict[str, Tensor]:
    """Ask a fitted estimator.

    Parameters
    ----------
    rows
        A DataFrame or an array, as it was fitted on.
    wanted
        ``label`` and ``prediction`` are what it predicts, ``score`` its decision function,
        ``probabilities`` what ``predict_proba`` gives and ``probabilities_<i>`` the i-th array of it.
    """
    given: dict[str, Tensor] = {}
    probabilities: Any = None
    for name in wanted:
        if name in ("label", "prediction"):
            given[name] = _plain(model.predict(rows))
        elif name == "score":
            given[name] = _plain(model.decision_function(rows))
        else:
            if probabilities is None:
                probabilities = model.predict_proba(rows)
            _, _, index = name.partition("_")
            given[name] = _plain(probabilities[int(index)] if index else probabilities)
    return given


def _plain(values: Any) -> Tensor:
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "UST" else array
