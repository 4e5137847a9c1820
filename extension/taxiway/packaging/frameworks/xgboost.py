"""XGBoost: boosters and scikit-learn wrappers, through onnxmltools."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Options
from taxiway.packaging.frameworks.boosters import INPUT, BoosterAdapter, numbers
from taxiway.packaging.frameworks.extras import need
from taxiway.packaging.frameworks.graph import ModelProto

if TYPE_CHECKING:
    import pandas as pd

_PROBABLE = ("binary:logistic", "multi:softprob")


class XgboostAdapter(BoosterAdapter):
    """An ``xgboost.Booster``, or a fitted XGBClassifier, XGBRegressor or the like.

    A Booster of the objective ``multi:softmax`` says no probabilities, and neither does its Model.
    """

    framework = "xgboost"
    title = "XGBoost"

    def _load(self, options: Options) -> None:
        self._wrapped = hasattr(self._model, "get_booster")
        try:
            booster = self._model.get_booster() if self._wrapped else self._model
            config = json.loads(booster.save_config())["learner"]
        except Exception as error:
            # what an unfitted model raises differs from release to release
            raise PackagingError(
                f"The {type(self._model).__name__} is not fitted yet.", hint="Call its fit(X, y) first."
            ) from error
        self._seed = config["generic_param"].get("seed")
        self._check(booster, config)
        objective = config["objective"]["name"]
        count = int(config["learner_model_param"]["num_class"])
        if objective in _PROBABLE or objective == "multi:softmax":
            self.task = "classification"
            self.classes = tuple(range(max(count, 2)))
            self.probabilities = self._wrapped or objective in _PROBABLE
            self._rename(options)
        elif objective.startswith(("binary:", "rank:", "survival:")):
            raise self.refuse(
                f"has the objective {objective}",
                "Fit it with another, such as binary:logistic or reg:squarederror.",
            )
        else:
            self.task = "regression"
        names = booster.feature_names
        self.columns = None if names is None else tuple(names)
        self.width = booster.num_features()
        self._booster = booster[: self._model.best_iteration + 1] if self._stopped_early() else booster

    def seeds(self) -> dict[str, int | str | None]:
        """Give its seed; see ``Adapter``."""
        return {} if self._seed is None else {"seed": int(self._seed)}

    def _ask(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        if self._wrapped:
            predicted = np.asarray(self._model.predict(frame))
            if self.task == "regression":
                return {"prediction": predicted}
            return {
                "label": self._named(predicted),
                "probabilities": np.asarray(self._model.predict_proba(frame)),
            }
        from xgboost import DMatrix

        names, kinds = self._booster.feature_names, self._booster.feature_types
        raw = self._booster.predict(DMatrix(numbers(frame), feature_names=names, feature_types=kinds))
        if self.task == "regression":
            return {"prediction": raw}
        if not self.probabilities:
            return {"label": self._named(raw)}
        table = np.stack([1 - raw, raw], axis=1) if raw.ndim == 1 else raw
        return {"label": self._named(table.argmax(axis=1)), "probabilities": table}

    def _named(self, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        names = np.array(self.classes, dtype=object if isinstance((self.classes or (0,))[0], str) else None)
        return np.asarray(names[labels.astype(np.int64)])

    def _converted(self) -> ModelProto:
        onnxmltools = need("onnxmltools")
        from onnxmltools.convert.common.data_types import FloatTensorType

        booster = self._booster.copy()
        booster.feature_names = None  # the converter reads features by number
        return onnxmltools.convert_xgboost(
            booster, initial_types=[(INPUT, FloatTensorType([None, self.width]))], target_opset=15
        )

    def _stopped_early(self) -> bool:
        return self._wrapped and self._model.early_stopping_rounds is not None

    def _check(self, booster: Any, config: dict[str, Any]) -> None:
        kind = config["learner_train_param"]["booster"]
        if kind != "gbtree":
            raise self.refuse(f"has the booster {kind}", "Fit it with booster='gbtree'.")
        parallel = int(config["gradient_booster"]["gbtree_model_param"]["num_parallel_tree"])
        if parallel > 1 and int(config["learner_model_param"]["num_class"]) > 2:
            raise self.refuse(
                "is a forest of more than two classes", "Use scikit-learn's RandomForestClassifier."
            )
        if int(config["learner_model_param"]["num_target"]) > 1:
            raise self.refuse(
                "predicts several targets at once",
                "Wrap one model a target: sklearn.multioutput.MultiOutputRegressor(XGBRegressor()).",
            )
        if "c" in (booster.feature_types or ()):
            raise self.refuse(
                "takes categories (enable_categorical)",
                "Put the encoder into the model: make_pipeline(ColumnTransformer([('text', "
                "OneHotEncoder(handle_unknown='ignore'), [...])], remainder='passthrough'), model).",
            )
        missing = getattr(self._model, "missing", math.nan)
        if missing is not None and not math.isnan(missing):
            raise self.refuse(
                f"takes {missing:g} for a missing value", "Replace it by NaN in the data, and fit again."
            )
