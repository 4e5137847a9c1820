"""scikit-learn: estimators and Pipelines fitted on a DataFrame (or on an array of as many columns)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision, dtype_name
from taxiway.packaging.frameworks.graph import canonical
from taxiway.packaging.frameworks.sklearn_conversion import convert, parts
from taxiway.packaging.manifest import OutputColumn, Scalar, Task
from taxiway.signature import Column, Output

if TYPE_CHECKING:
    import pandas as pd

#: With one of these a linear model takes no notice of its random_state.
_EXACT_SOLVERS = frozenset(
    ("auto", "cholesky", "lbfgs", "lsqr", "newton-cg", "newton-cholesky", "sparse_cg", "svd")
)


class SklearnAdapter:
    """A fitted scikit-learn estimator or Pipeline.

    Raises
    ------
    PackagingError
        It is not fitted, or does not predict.
    """

    framework = "sklearn"
    precisions: tuple[Precision, ...] = ("float32", "float64")

    def __init__(self, model: Any, options: Options) -> None:
        del options  # a scikit-learn estimator knows its task and classes itself
        self._model = model
        kind = type(model).__name__
        if not hasattr(model, "predict"):
            raise PackagingError(
                f"{kind} has no predict(): it is a transformer, not a model.",
                hint="Package a Pipeline whose last step predicts.",
            )
        self._check_fitted(kind)
        self.task: Task = _task(model)
        self.classes: tuple[Scalar, ...] | None = _classes(model) if self.task == "classification" else None
        names = getattr(model, "feature_names_in_", None)
        self.columns: tuple[str, ...] | None = None if names is None else tuple(str(name) for name in names)
        width = getattr(model, "n_features_in_", None)
        self.width: int | None = None if width is None else int(width)

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Convert to ONNX; see ``Adapter``."""
        from taxiway.serving.engines.onnx import FILE, OnnxEngine

        self._check_names(columns)
        proto = convert(self._model, columns, reference, precision)
        tensors = self._tensors()
        old = [output.name for output in proto.graph.output][: len(tensors)]
        boolean = self.classes is not None and all(isinstance(value, bool) for value in self.classes)
        data = canonical(
            proto,
            [column.name for column in columns],
            dict(zip(old, tensors, strict=True)),
            boolean=frozenset({"label"}) if boolean else frozenset(),
        )
        (folder / FILE).write_bytes(data)
        dtypes = OnnxEngine(folder, {}, 1).outputs
        flat = self._flat(reference)
        outputs = tuple(Output(column.name, dtype_name(dtypes[column.tensor])) for column in flat)
        return Export(folder, "onnx", tuple(flat), outputs, precision)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the original; see ``Adapter``."""
        given = frame if self.columns is not None else frame.to_numpy()
        predicted = np.asarray(self._model.predict(given))
        if self.task == "regression":
            wide = predicted.reshape(len(frame), -1)
            names = _prediction_names(wide.shape[1])
            return {name: wide[:, index] for index, name in enumerate(names)}
        answers: Answers = {"label": predicted}
        if self._has_probabilities:
            probabilities = np.asarray(self._model.predict_proba(given))
            for index, value in enumerate(self.classes or ()):
                answers[f"probability_{value}"] = probabilities[:, index]
        return answers

    def seeds(self) -> dict[str, int | str | None]:
        """Give each step's ``random_state``; see ``Adapter``."""
        found: dict[str, int | str | None] = {}
        for path, step in parts(self._model):
            if getattr(step, "solver", None) in _EXACT_SOLVERS:
                continue
            for name, value in step.get_params(deep=True).items():
                if name == "random_state" or name.endswith("__random_state"):
                    key = f"{path}.{name}" if path else name
                    whole = isinstance(value, (int, np.integer))
                    found[key] = int(value) if whole else None if value is None else type(value).__name__
        return found

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        steps = [self._model, *(step for _, step in parts(self._model))]
        return frozenset(type(step).__module__.partition(".")[0] for step in steps)

    @property
    def _has_probabilities(self) -> bool:
        return self.classes is not None and hasattr(self._model, "predict_proba")

    def _tensors(self) -> tuple[str, ...]:
        if self.task == "regression":
            return ("prediction",)
        return ("label", "probabilities") if self._has_probabilities else ("label",)

    def _flat(self, reference: pd.DataFrame) -> list[OutputColumn]:
        """Give the output columns, in order."""
        if self.task == "regression":
            wide = self.answers(reference.head(1))
            return [OutputColumn(name, "prediction", index) for index, name in enumerate(wide)]
        flat = [OutputColumn("label", "label", None)]
        if self._has_probabilities:
            for index, value in enumerate(self.classes or ()):
                flat.append(OutputColumn(f"probability_{value}", "probabilities", index))
        return flat

    def _check_fitted(self, kind: str) -> None:
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        try:
            check_is_fitted(self._model)
        except NotFittedError as error:
            raise PackagingError(
                f"The {kind} is not fitted yet.", hint="Call its fit(X_train, y_train) first."
            ) from error

    def _check_names(self, columns: Sequence[Column]) -> None:
        own = {"label", "probabilities", "prediction", "target"}
        own.update(f"probability_{value}" for value in self.classes or ())
        for column in columns:
            if column.name in own or (self.task == "regression" and column.name.startswith("prediction_")):
                raise PackagingError(
                    f"The input column {column.name!r} bears the name of an output.",
                    hint="Rename it in the training data, and fit the model again.",
                )


def _task(model: Any) -> Task:
    from sklearn import base

    if base.is_classifier(model):
        return "classification"
    if base.is_regressor(model):
        return "regression"
    if base.is_clusterer(model):
        return "clustering"
    if base.is_outlier_detector(model):
        return "outliers"
    raise PackagingError(
        f"{type(model).__name__} is neither a classifier nor a regressor.",
        hint="Let it inherit sklearn.base.ClassifierMixin or RegressorMixin.",
    )


def _classes(model: Any) -> tuple[Scalar, ...]:
    classes = model.classes_
    if isinstance(classes, list):
        raise PackagingError(
            f"{type(model).__name__} predicts {len(classes)} labels at once.",
            hint="Package one classifier per label.",
        )
    values = tuple(np.asarray(classes).tolist())
    if not all(isinstance(value, (str, int, float)) for value in values):
        raise PackagingError(
            f"The classes of the model are neither text nor numbers: {values[:3]}.",
            hint="Fit it on labels that are text, numbers or booleans.",
        )
    return values


def _prediction_names(width: int) -> tuple[str, ...]:
    return ("prediction",) if width == 1 else tuple(f"prediction_{index}" for index in range(width))
