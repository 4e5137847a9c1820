"""Text: ``tokenizer.json`` makes numbers of it, and ``model.onnx`` answers of the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from taxiway.serving.block import Tensor
from taxiway.serving.engines import EngineError
from taxiway.serving.engines.entities import EntityReader
from taxiway.serving.engines.onnx import OnnxEngine

TOKENIZER = "tokenizer.json"
#: The graph's output where entities are read out of it.
LOGITS = "logits"
#: Input of the graph → what of an encoded text fills it.
_READ = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class TextEngine:
    """One column of text in; whatever the graph gives out, or the entities that are read out of it.

    Parameters
    ----------
    directory
        Where both files lie. The tokenizer's says how it cuts off and pads.
    options
        ``column``: the name of the column. ``hypotheses``: each text is encoded with each of these in turn,
        and the graph makes one row of them again. ``entities``: what ``EntityReader`` is told.
    threads
        Threads within one run of the graph.
    device
        Where the graph runs; see ``OnnxEngine``.
    """

    def __init__(
        self, directory: Path, options: Mapping[str, Any], threads: int, device: str = "cpu"
    ) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(directory / TOKENIZER))
        except Exception as error:
            # tokenizers raises no class of its own
            raise EngineError(f"{TOKENIZER} cannot be loaded: {error}") from error
        self._graph = OnnxEngine(directory, {}, threads, device)
        self.device = self._graph.device
        # on the left it moves the places of a shorter text, whose answer then hangs on those beside it
        self._alone = (self._tokenizer.padding or {}).get("direction") == "left"
        self._column = str(options["column"])
        self._hypotheses: Sequence[str] = options.get("hypotheses", ())
        found = options.get("entities")
        self._entities = None if found is None else EntityReader(self._tokenizer, found)
        unknown = sorted(set(self._graph.inputs) - set(_READ))
        if unknown:
            raise EngineError(f"the graph has inputs that no tokenizer fills: {', '.join(unknown)}")
        self.inputs: dict[str, np.dtype[Any]] = {self._column: np.dtype(object)}

    def run(self, tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Tokenize, and run the graph; see ``Engine``."""
        texts = [str(text) for text in tensors[self._column].reshape(-1)]
        if not self._alone or len(texts) == 1:
            return self._run_together(texts, wanted)
        parts = [self._run_together([text], wanted) for text in texts]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _run_together(self, texts: Sequence[str], wanted: Sequence[str]) -> list[Tensor]:
        pairs = [(text, other) for text in texts for other in self._hypotheses]
        encoded = self._tokenizer.encode_batch(pairs or texts)
        given = {
            name: np.array([getattr(one, _READ[name]) for one in encoded], dtype=np.int64)
            for name in self._graph.inputs
        }
        if self._entities is None:
            return self._graph.run(given, wanted)
        [logits] = self._graph.run(given, [LOGITS])
        return [self._entities.read(texts, encoded, logits)]
