"""XGBoost and LightGBM as steps of a scikit-learn Pipeline: skl2onnx is told of onnxmltools' converters."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from taxiway.packaging.frameworks import adapter_for
from taxiway.packaging.frameworks.extras import need

#: Module → (its class, what the converter calls it, what it is).
_WRAPPERS = {
    "xgboost": (
        ("XGBClassifier", "XGBoostXGBClassifier", "classifier"),
        ("XGBRFClassifier", "XGBoostXGBRFClassifier", "classifier"),
        ("XGBRegressor", "XGBoostXGBRegressor", "regressor"),
        ("XGBRFRegressor", "XGBoostXGBRFRegressor", "regressor"),
    ),
    "lightgbm": (
        ("LGBMClassifier", "LightGbmLGBMClassifier", "classifier"),
        ("LGBMRegressor", "LightGbmLGBMRegressor", "regressor"),
    ),
}


def register(steps: Sequence[Any]) -> None:
    """Check the boosters among fitted steps, and register what skl2onnx does not know of them yet.

    Raises
    ------
    PackagingError
        One of them does what has no ONNX form, or onnxmltools is not installed.
    """
    roots = set()
    for step in steps:
        root = type(step).__module__.partition(".")[0]
        if root in _WRAPPERS:
            adapter_for(step)
            roots.add(root)
    for module in sorted(roots):
        for name, alias, kind in _WRAPPERS[module]:
            _register(getattr(import_module(module), name), alias, module, kind)


def _register(wrapper: Any, alias: str, module: str, kind: str) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common import shape_calculator

    if wrapper in sklearn_operator_name_map:
        return
    title = {"xgboost": "XGBoost", "lightgbm": "LightGbm"}[module]
    where = f"onnxmltools.convert.{module}.operator_converters.{title}"
    convert = getattr(need(where, module), f"convert_{module}")
    classifies = kind == "classifier"
    update_registered_converter(
        wrapper,
        alias,
        getattr(shape_calculator, f"calculate_linear_{kind}_output_shapes"),
        convert,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False]} if classifies else None,
    )
