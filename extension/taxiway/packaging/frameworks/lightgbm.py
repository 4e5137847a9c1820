"""LightGBM: boosters and scikit-learn wrappers, through onnxmltools."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Options
from taxiway.packaging.frameworks.boosters import INPUT, BoosterAdapter, numbers
from taxiway.packaging.frameworks.extras import need
from taxiway.packaging.frameworks.graph import ModelProto

if TYPE_CHECKING:
    import pandas as pd

#: What the text of a model says of the parameters that matter here: ``[boosting: gbdt]``.
_PARAMETER = re.compile(r"^\[(boosting|zero_as_missing|use_missing|linear_tree|seed): (.*)\]$", re.MULTILINE)


class LightgbmAdapter(BoosterAdapter):
    """A ``lightgbm.Booster``, or a fitted LGBMClassifier, LGBMRegressor or the like."""

    framework = "lightgbm"
    title = "LightGBM"

    def _load(self, options: Options) -> None:
        self._wrapped = hasattr(self._model, "booster_") or hasattr(self._model, "get_params")
        if self._wrapped and not self._model.__sklearn_is_fitted__():
            raise PackagingError(
                f"The {type(self._model).__name__} is not fitted yet.", hint="Call its fit(X, y) first."
            )
        self._booster = self._model.booster_ if self._wrapped else self._model
        text = self._booster.model_to_string()
        self._parameters = dict(_PARAMETER.findall(text))
        self._check()
        objective = next(iter(re.findall(r"^objective=(\S+)", text, re.MULTILINE)), "")
        if objective in ("binary", "multiclass", "multiclassova"):
            count = int(re.findall(r"^num_class=(\d+)", text, re.MULTILINE)[0])
            self.task = "classification"
            self.classes = (
                tuple(self._model.classes_.tolist()) if self._wrapped else tuple(range(max(count, 2)))
            )
            if not self._wrapped:
                self._rename(options)
        else:
            self.task = "regression"
        self.width = self._booster.num_feature()
        self._features = self._booster.feature_name()

    def seeds(self) -> dict[str, int | str | None]:
        """Give its seed; see ``Adapter``."""
        return {"seed": int(self._parameters["seed"])} if "seed" in self._parameters else {}

    def _ask(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        self._check_order(frame)
        raw = np.asarray(self._booster.predict(numbers(frame)))
        if self.task == "regression":
            return {"prediction": np.asarray(self._model.predict(frame)) if self._wrapped else raw}
        table = np.stack([1 - raw, raw], axis=1) if raw.ndim == 1 else raw
        if self._wrapped:
            table = np.asarray(self._model.predict_proba(frame))
            return {"label": np.asarray(self._model.predict(frame)), "probabilities": table}
        names = np.array(self.classes, dtype=object if isinstance((self.classes or (0,))[0], str) else None)
        return {"label": names[table.argmax(axis=1)], "probabilities": table}

    def _converted(self) -> ModelProto:
        onnxmltools = need("onnxmltools", "lightgbm")
        from onnxmltools.convert.common.data_types import FloatTensorType

        return onnxmltools.convert_lightgbm(
            self._booster,
            initial_types=[(INPUT, FloatTensorType([None, self.width]))],
            zipmap=False,
            target_opset=15,
        )

    def _check(self) -> None:
        if self._booster.pandas_categorical:
            raise self.refuse(
                "takes categories of pandas",
                "Put the encoder into the model: make_pipeline(ColumnTransformer([('text', "
                "OneHotEncoder(handle_unknown='ignore'), [...])], remainder='passthrough'), model).",
            )
        if self._parameters.get("boosting") == "rf":
            raise self.refuse("is a random forest (boosting 'rf')", "Fit it with boosting_type='gbdt'.")
        if self._parameters.get("zero_as_missing") == "1":
            raise self.refuse("takes 0 for a missing value", "Replace it by NaN, and fit again.")
        if self._parameters.get("use_missing") == "0":
            raise self.refuse(
                "takes NaN for 0 (use_missing=False)", "Fill what is missing, and leave it out."
            )
        if self._parameters.get("linear_tree") == "1":
            raise self.refuse("has linear models in its leaves", "Fit it without linear_tree.")

    def _check_order(self, frame: pd.DataFrame) -> None:
        """Compare the names, which LightGBM keeps with ``_`` for a space, with the frame's."""
        given = [re.sub(r"\s", "_", str(name)) for name in frame.columns]
        if given != self._features and sorted(given) == sorted(self._features):
            raise PackagingError(
                "The reference has the columns of the model, in another order.",
                hint=f"Pass reference[{self._features}].",
            )
