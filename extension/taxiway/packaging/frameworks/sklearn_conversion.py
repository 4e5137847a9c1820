"""scikit-learn to ONNX through skl2onnx, with what it must be given to be exact.

- The model is converted from a copy in which missing text is the empty string, for ONNX has no other.
- In double precision, trees still get their features rounded to float32, as scikit-learn's own trees do
  (skl2onnx documentation, "Issues when switching to float").
- Where a converter declares double precision and computes in single, what it computes is declared.
- A model that does not begin with a ColumnTransformer gets one, for a column is an input each.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Precision
from taxiway.packaging.frameworks.sklearn_boosters import register
from taxiway.packaging.frameworks.sklearn_text import in_any_locale, tokenizers
from taxiway.packaging.frameworks.skops_file import suggestion
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd


def convert(model: Any, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision) -> Any:
    """Convert a fitted estimator to an ONNX ModelProto, its graph's names not yet canonical.

    Raises
    ------
    PackagingError
        A step has no ONNX form.
    """
    _mend_skl2onnx()
    register(list(_fitted(model)))
    prepared = _prepared(model, reference, precision)
    options = dict(tokenizers(list(parts(prepared))))
    failure: Exception | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skl2onnx reads attributes that scikit-learn has deprecated
        for whole_numbers in (True, False):
            types = _input_types(columns, precision, whole_numbers)
            try:
                return _runnable(in_any_locale(_converted(prepared, types, options)))
            except Exception as error:  # noqa: BLE001 - skl2onnx and ONNX Runtime raise anything
                failure = failure or error
    raise _explained(model, failure) from failure


def _converted(model: Any, types: Sequence[tuple[str, Any]], options: Mapping[int, Any]) -> Any:
    from skl2onnx import convert_sklearn, get_latest_tested_opset_version

    # version 3 of ai.onnx.ml is the latest that every converter knows
    opset = {"": get_latest_tested_opset_version(), "ai.onnx.ml": 3}
    convert = partial(convert_sklearn, model, name="taxiway", initial_types=list(types), target_opset=opset)
    try:
        # the option goes by the identity of the model, so that the outermost one gets it
        return convert(options={id(model): {"zipmap": False}, **options} if _classifies(model) else options)
    except NameError:  # a classifier without probabilities knows no such option
        return convert(options=options)


def _classifies(model: Any) -> bool:
    return hasattr(model, "classes_")


def _runnable(model: Any) -> Any:
    """Give the graph back if ONNX Runtime accepts its types, which skl2onnx does not check."""
    from onnx import TensorProto

    try:
        _open(model)
    except Exception:  # ONNX Runtime raises anything
        kinds = [
            output.type.sequence_type.elem_type if output.type.HasField("sequence_type") else output.type
            for output in model.graph.output
        ]
        doubles = [kind.tensor_type for kind in kinds if kind.tensor_type.elem_type == TensorProto.DOUBLE]
        if not doubles:
            raise
        for kind in doubles:
            kind.elem_type = TensorProto.FLOAT
        _open(model)
    return model


def _open(model: Any) -> None:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # what it would print is in what it raises
    onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def _input_types(
    columns: Sequence[Column], precision: Precision, whole_numbers: bool
) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        Int64TensorType,
        StringTensorType,
    )

    real = FloatTensorType if precision == "float32" else DoubleTensorType
    types: list[tuple[str, Any]] = []
    for column in columns:
        if column.dtype == "string":
            kind = StringTensorType
        elif whole_numbers and not column.nullable and column.dtype in ("int64", "int32", "bool"):
            kind = Int64TensorType
        else:
            kind = real
        types.append((column.name, kind([None, 1])))
    return types


def _prepared(model: Any, reference: pd.DataFrame, precision: Precision) -> Any:
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    model = copy.deepcopy(model)
    for step in _fitted(model):
        _mark_missing_text(step)
        if hasattr(step, "tree_"):
            _floor_thresholds(step)
        if hasattr(step, "get_booster"):
            step.get_booster().feature_names = None  # the converter reads features by number
    steps = list(model.steps) if isinstance(model, Pipeline) else [("model", model)]
    if not isinstance(steps[0][1], ColumnTransformer):
        every = ColumnTransformer([("every", "passthrough", list(reference.columns))])
        steps.insert(0, ("columns", every.fit(reference.head(2))))
    if precision == "float64" and _rounds_its_features(steps[-1][1]):
        from skl2onnx.sklapi import CastTransformer

        steps.insert(-1, ("round", CastTransformer(dtype=np.float32)))
    return Pipeline(steps)


def parts(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every estimator inside a fitted model with the path of step names that leads to it."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import FeatureUnion, Pipeline

    if isinstance(model, Pipeline):
        children = [(name, step) for name, step in model.steps]
    elif isinstance(model, ColumnTransformer):
        children = [(name, step) for name, step, _ in model.transformers_]
    elif isinstance(model, FeatureUnion):
        children = list(model.transformer_list)
    else:
        yield path, model
        return
    for name, child in children:
        if child is not None and not isinstance(child, str):
            yield from parts(child, f"{path}.{name}" if path else str(name))


def _fitted(model: Any) -> Iterator[Any]:
    """Give every fitted estimator inside a model, however deep."""
    for _, step in parts(model):
        yield step
        for inner in _inner(step):
            yield from _fitted(inner)


def _mark_missing_text(step: Any) -> None:
    """Let a fitted step take the empty string for a missing text, as the exported graph does."""
    import numpy as np
    import pandas as pd
    from sklearn.impute import SimpleImputer

    if isinstance(step, SimpleImputer) and step.statistics_.dtype.kind in "OUS":
        step.missing_values = ""
    categories = getattr(step, "categories_", None)
    if isinstance(categories, list):
        step.categories_ = [
            np.array(["" if pd.isna(value) else value for value in kinds], dtype=object)
            if kinds.dtype.kind == "O"
            else kinds.astype(np.int64)
            if kinds.dtype.kind == "b"
            else kinds
            for kinds in categories
        ]


def _rounds_its_features(step: Any) -> bool:
    """Whether it is made of trees of scikit-learn or XGBoost, which all round their features to float32."""
    inner = _inner(step)
    return (
        hasattr(step, "tree_")
        or hasattr(step, "get_booster")
        or (bool(inner) and all(map(_rounds_its_features, inner)))
    )


def _inner(step: Any) -> list[Any]:
    import numpy as np

    inner = np.array(getattr(step, "estimators_", ()), dtype=object).ravel()
    return [one for one in inner if hasattr(one, "get_params")]


def _floor_thresholds(step: Any) -> None:
    """Round a tree's thresholds down to float32: for features in float32 that changes no answer.

    Some converters round them to the nearest, which does.
    """
    import numpy as np

    thresholds = step.tree_.threshold
    rounded = thresholds.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    thresholds[:] = np.where(rounded > thresholds, below, rounded)


def _explained(model: Any, failure: Exception | None) -> PackagingError:
    """Say which step it is that has no ONNX form."""
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from sklearn.preprocessing import FunctionTransformer

    for path, step in parts(model):
        own_function = isinstance(step, FunctionTransformer) and step.func is not None
        if own_function or type(step) not in sklearn_operator_name_map:
            where = f"Step {path!r}" if path else "The model"
            kind = f"a FunctionTransformer of {step.func!r}" if own_function else f"a {type(step).__name__}"
            return PackagingError(f"{where} is {kind}, which has no ONNX form.", hint=suggestion(model))
    reason = str(failure).strip().partition("\n")[0][:300]
    return PackagingError(f"The model could not be converted to ONNX: {reason}", hint=suggestion(model))


@cache
def _mend_skl2onnx() -> None:
    """Make skl2onnx 1.20 write whole numbers where it has NumPy booleans, which onnx 1.23 refuses.

    Without it no histogram gradient boosting can be converted.
    """
    from skl2onnx.common import tree_ensemble

    original = tree_ensemble.add_node

    def add_node(*args: Any, **kwargs: Any) -> Any:
        if "nodes_missing_value_tracks_true" in kwargs:
            kwargs["nodes_missing_value_tracks_true"] = int(kwargs["nodes_missing_value_tracks_true"])
        return original(*args, **kwargs)

    tree_ensemble.add_node = add_node
