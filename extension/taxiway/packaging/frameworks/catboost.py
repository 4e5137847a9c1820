"""CatBoost, through its own ONNX export."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Options
from taxiway.packaging.frameworks.boosters import BoosterAdapter
from taxiway.packaging.frameworks.graph import ModelProto

if TYPE_CHECKING:
    import pandas as pd

_CLASSIFY = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll")
#: Their export leaves out the last step, or the other targets.
_REFUSED = ("Poisson", "Tweedie", "MultiRMSE", "MultiLogloss", "MultiCrossEntropy", "RMSEWithUncertainty")


class CatboostAdapter(BoosterAdapter):
    """A fitted CatBoostClassifier, CatBoostRegressor or CatBoost whose features are all numbers."""

    framework = "catboost"
    title = "CatBoost"
    numbered = False

    def _load(self, options: Options) -> None:
        del options
        if not self._model.is_fitted():
            raise PackagingError(
                f"The {type(self._model).__name__} is not fitted yet.", hint="Call its fit(X, y) first."
            )
        parameters = self._model.get_all_params()
        loss = str(parameters.get("loss_function", "RMSE")).partition(":")[0]
        self._seed = parameters.get("random_seed")
        self._check(loss)
        names = self._model.feature_names_
        numbered = names == [str(index) for index in range(len(names))]
        self.columns = None if numbered else tuple(names)
        self.width = len(names)
        if loss in _CLASSIFY:
            self.task = "classification"
            self.classes = tuple(np.asarray(self._model.classes_).tolist())
            if any(isinstance(value, bool) for value in self.classes):
                raise self.refuse("predicts True and False", "Fit it on target.astype(int), or on texts.")
        else:
            self.task = "regression"

    def seeds(self) -> dict[str, int | str | None]:
        """Give its seed; see ``Adapter``."""
        return {} if self._seed is None else {"random_seed": int(self._seed)}

    def _ask(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        if self.task == "regression":
            return {"prediction": np.asarray(self._model.predict(frame))}
        label = np.asarray(self._model.predict(frame, prediction_type="Class")).reshape(-1)
        table = np.asarray(self._model.predict(frame, prediction_type="Probability"))
        return {"label": label.astype(object) if label.dtype.kind in "UST" else label, "probabilities": table}

    def _converted(self) -> ModelProto:
        import onnx

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            self._model.save_model(str(path), format="onnx")
            return onnx.load(path)

    def _check(self, loss: str) -> None:
        kinds = {
            "categories": self._model.get_cat_feature_indices(),
            "texts": self._model.get_text_feature_indices(),
            "embeddings": self._model.get_embedding_feature_indices(),
        }
        for kind, found in kinds.items():
            if found:
                names = [self._model.feature_names_[index] for index in found[:5]]
                raise self.refuse(
                    f"takes {kind} ({', '.join(map(str, names))})",
                    "Encode them as numbers before the model, and fit it without cat_features.",
                )
        if loss in _REFUSED:
            raise self.refuse(f"has the loss {loss}", "Fit it with another loss function.")
