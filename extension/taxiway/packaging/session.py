"""An exported model asked over whole frames, column by column, as the serving runtime asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.packaging.frameworks import Answers, Export

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
_ROWS_AT_ONCE = 20_000


class Session:
    """ONNX Runtime on the CPU, loaded with an export."""

    def __init__(self, export: Export) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(export.data, options, providers=["CPUExecutionProvider"])
        self._columns = export.columns
        self._inputs = {value.name: _DTYPES[value.type] for value in self._session.get_inputs()}

    def feed(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        """Give one tensor of shape (rows, 1) per column; missing is NaN, or the empty text."""
        return {name: _tensor(frame[name], dtype) for name, dtype in self._inputs.items()}

    def run(self, feed: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """Run the graph; give its output tensors by name."""
        names = list(dict.fromkeys(column.tensor for column in self._columns))
        return dict(zip(names, self._session.run(names, feed), strict=True))

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Give each output column for every row of the frame."""
        parts: dict[str, list[np.ndarray[Any, Any]]] = {column.name: [] for column in self._columns}
        for start in range(0, len(frame), _ROWS_AT_ONCE):
            tensors = self.run(self.feed(frame.iloc[start : start + _ROWS_AT_ONCE]))
            for column in self._columns:
                tensor = tensors[column.tensor]
                parts[column.name].append(
                    tensor.reshape(-1) if column.index is None else tensor[:, column.index]
                )
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _tensor(series: pd.Series[Any], dtype: Any) -> np.ndarray[Any, Any]:
    if dtype is object:
        values = series.astype(object).where(series.notna(), "").to_numpy(dtype=object)
    elif np.issubdtype(dtype, np.floating):
        values = series.to_numpy(dtype=dtype, na_value=np.nan)
    else:
        values = series.to_numpy(dtype=dtype)
    return values.reshape(-1, 1)
