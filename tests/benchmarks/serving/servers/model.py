"""What the peers' services share: the session, and one row of JSON taken through it."""

from __future__ import annotations

import os
from typing import Any

import numpy
import onnxruntime


class Session:
    """The ONNX file named by ``BENCH_MODEL``, on one thread."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        [self._input] = [one.name for one in self._session.get_inputs()]

    def predict(self, rows: list[dict[str, float]]) -> dict[str, Any]:
        matrix = numpy.array([list(row.values()) for row in rows], dtype=numpy.float32)
        label, probabilities = self._session.run(None, {self._input: matrix})
        return {"label": label.tolist(), "probabilities": probabilities.tolist()}
