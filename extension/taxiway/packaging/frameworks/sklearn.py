"""scikit-learn: estimators and Pipelines fitted on a DataFrame (or on an array of as many columns)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision
from taxiway.packaging.frameworks import answers as named
from taxiway.packaging.frameworks.graph import canonical
from taxiway.packaging.frameworks.graph_outputs import split
from taxiway.packaging.frameworks.sklearn_conversion import convert, parts
from taxiway.packaging.manifest import Format, Scalar, Task
from taxiway.serving.engines.estimator import ask
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

#: With one of these a linear model takes no notice of its random_state.
_EXACT_SOLVERS = frozenset(
    ("auto", "cholesky", "lbfgs", "lsqr", "newton-cg", "newton-cholesky", "sparse_cg", "svd")
)
#: What is fitted on an array as well, and tells by its ``feature_names_in_`` that it was not.
_ARRAYS = frozenset(("lightgbm", "sklearn", "xgboost"))
#: What has one of these is a step, and what is under one of those is a step, or holds some.
_METHODS = ("fit", "predict", "predict_proba", "transform", "get_params")
_INNER = (
    "best_estimator_",
    "calibrated_classifiers_",
    "estimator",
    "estimator_",
    "estimators_",
    "final_estimator_",
    "regressor_",
    "steps",
    "transformer_",
    "transformer_list",
    "transformers_",
)


class SklearnAdapter:
    """A fitted scikit-learn estimator or Pipeline.

    A model that predicts several labels at once gives ``label_<i>`` and ``probability_<i>_<class>``, an
    outlier detector ``label`` (1 or -1) and ``score`` (its ``decision_function``).

    Raises
    ------
    PackagingError
        It is not fitted, or does not predict.
    """

    framework = "sklearn"
    precisions: tuple[Precision, ...] = ("float32", "float64")
    #: The format of the file that it becomes.
    written: Format = "onnx"

    def __init__(self, model: Any, options: Options) -> None:
        self._model = model
        kind = type(model).__name__
        if not hasattr(model, "predict"):
            raise PackagingError(
                f"{kind} has no predict(): it is a transformer, not a model.",
                hint="Package a Pipeline whose last step predicts.",
            )
        self._check_fitted(kind)
        self.task: Task = _task(model)
        self._labels = _labels(model) if self.task == "classification" else []
        self.classes: tuple[Scalar, ...] | None = self._labels[0] if len(self._labels) == 1 else None
        named.check_options("scikit-learn", options, self.task, self.classes, self.written)
        names = getattr(model, "feature_names_in_", None)
        self.columns: tuple[str, ...] | None = None if names is None else tuple(str(name) for name in names)
        #: A step of the user's own, which keeps no names, may still take its columns by name.
        self.framed = names is not None or _first(model).__module__.partition(".")[0] not in _ARRAYS
        width = getattr(model, "n_features_in_", None)
        self.width: int | None = None if width is None else int(width)

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Convert to ONNX; see ``Adapter``."""
        names = self._names(reference)
        named.check_inputs(columns, names)
        proto = convert(self._model, columns, reference, precision)
        values = [value for labels in self._labels for value in labels]
        boolean = bool(values) and all(isinstance(value, bool) for value in values)
        data = canonical(
            proto,
            [column.name for column in columns],
            split(proto, list(names)),
            boolean=frozenset({"label"}) if boolean else frozenset(),
        )
        return named.onnx_export(folder, data, names, precision)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the original; see ``Adapter``."""
        names = self._names(frame)
        return named.flat(names, ask(self._model, self._given(frame), list(names)))

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
        return frozenset(type(step).__module__ for step in _every(self._model))

    def _given(self, frame: pd.DataFrame) -> Any:
        return frame if self.framed else frame.to_numpy()

    def _names(self, frame: pd.DataFrame) -> dict[str, list[str]]:
        """Name the tensors and output columns."""
        if self.task == "regression":
            given = ask(self._model, self._given(frame.head(1)), ["prediction"])["prediction"]
            return named.of_numbers(given.size)
        if self.task == "outliers":
            score = hasattr(self._model, "decision_function")
            return {"label": ["label"], "score": ["score"]} if score else {"label": ["label"]}
        probable = hasattr(self._model, "predict_proba")
        if self.task == "clustering":
            return {"label": ["label"]}
        if len(self._labels) == 1:
            return named.of_classes(self.classes, probabilities=probable)
        names = {"label": [f"label_{index}" for index in range(len(self._labels))]}
        given = self._model.predict_proba(self._given(frame.head(1))) if probable else []
        if isinstance(given, np.ndarray):  # one column a label: how probable it is that it applies
            names["probabilities"] = [
                f"probability_{index}_{labels[-1]}" for index, labels in enumerate(self._labels)
            ]
        elif probable:
            for index, labels in enumerate(self._labels):
                names[f"probabilities_{index}"] = [f"probability_{index}_{value}" for value in labels]
        return names

    def _check_fitted(self, kind: str) -> None:
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        try:
            check_is_fitted(self._model)
        except NotFittedError as error:
            raise PackagingError(
                f"The {kind} is not fitted yet.", hint="Call its fit(X_train, y_train) first."
            ) from error


def _every(model: Any) -> Iterator[Any]:
    """Give the model, and every step and estimator among its parameters and in what it was fitted to."""
    todo, seen = [model], set()
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (str, type)):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, (list, tuple)) or (isinstance(one, np.ndarray) and one.dtype.kind == "O"):
            todo += one.ravel().tolist() if isinstance(one, np.ndarray) else one
        elif any(hasattr(one, name) for name in _METHODS):
            yield one
            todo += one.get_params(deep=True).values() if hasattr(one, "get_params") else ()
            todo += [getattr(one, name) for name in _INNER if name in getattr(one, "__dict__", ())]


def _first(model: Any) -> type:
    from sklearn.pipeline import Pipeline

    return type(model.steps[0][1] if isinstance(model, Pipeline) else model)


def _task(model: Any) -> Task:
    from sklearn import base
    from sklearn.utils import get_tags

    if base.is_classifier(model):
        return "classification"
    if base.is_regressor(model):
        return "regression"
    if base.is_clusterer(model) or get_tags(model).estimator_type == "density_estimator":
        return "clustering"
    if base.is_outlier_detector(model):
        return "outliers"
    raise PackagingError(
        f"{type(model).__name__} is neither a classifier nor a regressor.",
        hint="Let it inherit sklearn.base.ClassifierMixin or RegressorMixin.",
    )


def _labels(model: Any) -> list[tuple[Scalar, ...]]:
    """Give the classes of each label that the model predicts."""
    classes = model.classes_
    if _is_multilabel(model):
        return [(0, 1)] * len(classes)
    labels = [
        tuple(np.asarray(values).tolist()) for values in (classes if isinstance(classes, list) else [classes])
    ]
    for values in labels:
        if not all(isinstance(value, (str, int, float)) for value in values):
            raise PackagingError(
                f"The classes of the model are neither text nor numbers: {values[:3]}.",
                hint="Fit it on labels that are text, numbers or booleans.",
            )
    return labels


def _is_multilabel(model: Any) -> bool:
    """Whether the model says of each of several labels whether it applies, as one array of 0 and 1."""
    from sklearn.pipeline import Pipeline

    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    binarizer = getattr(last, "_label_binarizer", getattr(last, "label_binarizer_", None))
    return str(getattr(binarizer, "y_type_", "")).startswith("multilabel")
