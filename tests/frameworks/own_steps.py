"""A transformer and a function of the user's own, in a module file as Taxiway asks for it."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, TransformerMixin


class Ratio(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Adds the ratio of the first two columns."""

    def fit(self, inputs: Any, target: Any = None) -> Ratio:
        self.n_features_in_ = inputs.shape[1]
        return self

    def transform(self, inputs: Any) -> Any:
        return inputs.assign(ratio=inputs.iloc[:, 0] / inputs.iloc[:, 1])


def doubled(inputs: Any) -> Any:
    """A function for a FunctionTransformer."""
    return 2 * inputs
