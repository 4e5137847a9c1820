"""ONNX Runtime on the CPU, for ``model.onnx``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from taxiway.serving.block import Tensor
from taxiway.serving.engines import EngineError

FILE = "model.onnx"

DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}


class OnnxEngine:
    """An ONNX graph whose tensors are numbers, booleans or text.

    Parameters
    ----------
    directory
        Where ``model.onnx`` lies.
    options
        None are known.
    threads
        Threads within one run; more than one costs a small model more than it gives.
    """

    def __init__(self, directory: Path, options: Mapping[str, Any], threads: int) -> None:
        del options
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(directory / FILE), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # onnxruntime raises many unrelated classes, each of which means the same here.
            raise EngineError(f"{FILE} cannot be loaded: {error}") from error
        unknown = sorted({one.type for one in self._session.get_inputs()} - DTYPES.keys())
        if unknown:
            raise EngineError(f"{FILE} has inputs of types that are not served: {', '.join(unknown)}")
        self.inputs: dict[str, np.dtype[Any]] = {
            one.name: DTYPES[one.type] for one in self._session.get_inputs()
        }
        self.outputs: dict[str, np.dtype[Any]] = {
            one.name: DTYPES[one.type] for one in self._session.get_outputs() if one.type in DTYPES
        }

    def run(self, tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Run the graph; see ``Engine``."""
        results: list[Tensor] = self._session.run(list(wanted), dict(tensors))
        return results
