"""Embeddings: the mean of what a transformer says of a text's tokens, one column of numbers per dimension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Options
from taxiway.packaging.frameworks.huggingface.text import TextAdapter
from taxiway.packaging.frameworks.neural import Head
from taxiway.packaging.manifest import Task


class EmbeddingAdapter(TextAdapter):
    """A pipeline for ``feature-extraction``; what it gives for each token becomes the mean over all.

    Raises
    ------
    PackagingError
        Its model does not say how wide its hidden states are.
    """

    task: Task = "embedding"

    def __init__(self, pipeline: Any, options: Options) -> None:
        super().__init__(pipeline)
        if options.task not in (None, "embedding") or options.classes is not None:
            raise PackagingError(
                "A pipeline for feature-extraction gives embeddings.", hint="Leave task and classes out."
            )
        width = getattr(pipeline.model.config, "hidden_size", None)
        if not isinstance(width, int):
            raise PackagingError(
                f"The configuration of the {type(pipeline.model).__name__} has no hidden_size.",
                hint="Take the encoder alone.",
            )
        self.head = Head(None, width, "numbers", "embedding")

    def _raw(self, outputs: Any, given: Mapping[str, Any]) -> Any:
        states = outputs[0]
        if "attention_mask" not in given:
            return states.mean(1)
        mask = given["attention_mask"].unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(1) / mask.sum(1)

    def _asked(self, texts: list[str]) -> Answers:
        # one by one, for in a batch the pipeline does not tell which tokens are padding
        cut = {"truncation": True, "max_length": self._length}
        found = self._pipeline(texts, return_tensors=True, tokenize_kwargs=cut)
        return self.head.answers(np.stack([one[0].mean(0).float().cpu().numpy() for one in found]))
