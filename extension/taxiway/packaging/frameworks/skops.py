"""scikit-learn estimators as they are, where there is no ONNX form: written with skops, never pickled."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging import distributions
from taxiway.packaging.frameworks import Export, Options, Precision
from taxiway.packaging.frameworks import answers as named
from taxiway.packaging.frameworks.extras import need
from taxiway.packaging.frameworks.sklearn import SklearnAdapter
from taxiway.packaging.frameworks.skops_file import written
from taxiway.packaging.manifest import Format
from taxiway.serving.engines.estimator import ask
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd


class SkopsAdapter(SklearnAdapter):
    """A fitted scikit-learn estimator or Pipeline, kept as it is.

    Raises
    ------
    PackagingError
        It is not fitted, or cannot be written, or holds types that were not trusted.
    """

    precisions: tuple[Precision, ...] = ("float64",)
    written: Format = "skops"

    def __init__(self, model: Any, options: Options) -> None:
        need("skops.io")
        super().__init__(model, options)
        self._data, self._trusted = written(model, options.trust)

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write ``model.skops``; see ``Adapter``."""
        from taxiway.serving.engines.skops import FILE

        names = self._names(reference)
        named.check_inputs(columns, names)
        (folder / FILE).write_bytes(self._data)
        answers = ask(self._model, self._given(reference.head(2)), list(names))
        return named.export(
            folder,
            "skops",
            names,
            {name: _served(values.dtype) for name, values in answers.items()},
            precision,
            requires=("skops", "pandas", *distributions.needed_by(self.modules())),
            engine={
                "trusted": self._trusted,
                "named": self.framed,
                "columns": [_reading(column, reference[column.name]) for column in columns],
            },
        )

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        return super().modules() | set(map(_module_of, self._trusted))


def _module_of(name: str) -> str:
    """Give the module that a type is defined in, which a class within a class is not directly."""
    module = name.rpartition(".")[0]
    while "." in module and module not in sys.modules:
        module = module.rpartition(".")[0]
    return module


def _served(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind in "iu":
        return np.dtype(np.int64)
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize != 4 else dtype


def _reading(column: Column, series: pd.Series[Any]) -> dict[str, Any]:
    """Say how the column is made again of what a request brings; see ``engines.skops.Reading``."""
    import pandas as pd

    missing = None
    if column.dtype == "bool" and column.nullable:
        raise PackagingError(
            f"Column {column.name!r} holds truth values and missing ones, which skops models cannot take.",
            hint="Fill it, or make it a number or a text, and fit the model again.",
        )
    if column.dtype == "string" and column.nullable:
        if (series == "").any():
            raise PackagingError(
                f"Column {column.name!r} holds both empty and missing texts, which are one to a server.",
                hint="Make them one of the two, and fit the model again.",
            )
        missing = "none" if any(value is None for value in series) else "nan"
    tensor = "object" if column.dtype == "string" else column.dtype
    if column.nullable and column.dtype in ("int64", "int32"):
        tensor = "float64"
    kind, categories = series.dtype, None
    if isinstance(kind, pd.CategoricalDtype):
        categories = kind.categories.tolist()
    dtype = str(kind)
    if "pyarrow" in dtype:
        dtype = "str" if column.dtype == "string" else tensor
    return {
        "name": column.name,
        "tensor": tensor,
        "dtype": dtype,
        "categories": categories,
        "missing": missing,
    }
