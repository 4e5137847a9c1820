"""What an adapter needs that is not installed, and the extra of Taxiway that brings it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from taxiway.errors import PackagingError

#: What an adapter imports → the extra; the converter of several frameworks is in the extra of each.
_EXTRAS = {
    "catboost": "catboost",
    "keras": "tensorflow",
    "lightgbm": "lightgbm",
    "onnxmltools": "xgboost",
    "onnxscript": "torch",
    "skops": "skops",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
    "tokenizers": "transformers",
    "torch": "torch",
    "transformers": "transformers",
    "xgboost": "xgboost",
}


def need(module: str, extra: str | None = None) -> Any:
    """Import a module that an extra of Taxiway brings.

    Raises
    ------
    PackagingError
        It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise missing(error, extra) from error


def missing(error: ImportError, extra: str | None = None) -> PackagingError:
    """Give the error that says what must be installed; ``extra`` brings it, or the one that is known to."""
    name = (error.name or str(error)).partition(".")[0]
    found = extra or _EXTRAS.get(name)
    return PackagingError(
        f"{name} must be installed to package this model.",
        hint=f"pip install {name}" if found is None else f"pip install 'taxiway[{found}]'",
    )
