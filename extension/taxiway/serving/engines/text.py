"""Text classifiers: ``tokenizer.json`` makes numbers of text, and ``model.onnx`` labels of the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from taxiway.serving.block import Tensor
from taxiway.serving.engines import EngineError
from taxiway.serving.engines.onnx import OnnxEngine

TOKENIZER = "tokenizer.json"
#: Input of the graph → what of an encoded text fills it.
_READ = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class TextEngine:
    """One column of text in; whatever the graph gives out.

    Parameters
    ----------
    directory
        Where both files lie. The tokenizer's says how it cuts off and pads.
    options
        ``column``: the name of the column.
    threads
        Threads within one run of the graph.
    """

    def __init__(self, directory: Path, options: Mapping[str, Any], threads: int) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(directory / TOKENIZER))
        except Exception as error:
            # tokenizers raises no class of its own
            raise EngineError(f"{TOKENIZER} cannot be loaded: {error}") from error
        self._graph = OnnxEngine(directory, {}, threads)
        self._column = str(options["column"])
        unknown = sorted(set(self._graph.inputs) - set(_READ))
        if unknown:
            raise EngineError(f"the graph has inputs that no tokenizer fills: {', '.join(unknown)}")
        self.inputs: dict[str, np.dtype[Any]] = {self._column: np.dtype(object)}
        self.outputs = self._graph.outputs

    def run(self, tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Tokenize, and run the graph; see ``Engine``."""
        texts = [str(text) for text in tensors[self._column].reshape(-1)]
        encoded = self._tokenizer.encode_batch(texts)
        given = {
            name: np.array([getattr(one, _READ[name]) for one in encoded], dtype=np.int64)
            for name in self._graph.inputs
        }
        return self._graph.run(given, wanted)
