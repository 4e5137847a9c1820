"""An exported model asked over whole frames, by the very engine that will serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export
from taxiway.packaging.frameworks.arrays import values_of
from taxiway.serving.engines import EngineError, open_engine

if TYPE_CHECKING:
    import pandas as pd

Tensor: TypeAlias = "np.ndarray[Any, Any]"

#: Rows in one run: enough to be fast, few enough for a model whose activations are large.
ROWS_AT_ONCE = 5_000


class Session:
    """An export, opened.

    Raises
    ------
    PackagingError
        Its engine does not open it.
    """

    def __init__(self, export: Export) -> None:
        try:
            self._engine = open_engine(export.folder, export.runtime, export.engine)
        except EngineError as error:
            raise PackagingError(
                f"The exported model cannot be served: {error}.", hint="Report it to Taxiway."
            ) from error
        self._columns = export.columns
        self._wanted = list(dict.fromkeys(column.tensor for column in export.columns))

    def feed(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Give the engine's tensors for the rows of a frame; missing is NaN, or the empty text."""
        inputs = self._engine.inputs
        if len(inputs) == 1 and inputs.keys() != set(frame.columns):
            [(name, dtype)] = inputs.items()
            return {name: np.stack([values_of(frame[one], dtype) for one in frame.columns], axis=1)}
        return {name: values_of(frame[name], dtype).reshape(-1, 1) for name, dtype in inputs.items()}

    def run(self, feed: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the model; give its output tensors by name."""
        return dict(zip(self._wanted, self._engine.run(feed, self._wanted), strict=True))

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Give each output column for every row of the frame."""
        parts: dict[str, list[Tensor]] = {column.name: [] for column in self._columns}
        for start in range(0, len(frame), ROWS_AT_ONCE):
            tensors = self.run(self.feed(frame.iloc[start : start + ROWS_AT_ONCE]))
            for column in self._columns:
                tensor = tensors[column.tensor]
                parts[column.name].append(
                    tensor.reshape(-1) if column.index is None else tensor[:, column.index]
                )
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}
