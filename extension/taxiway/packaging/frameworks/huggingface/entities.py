"""Token classifiers: the entities of a text, as one JSON text a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision
from taxiway.packaging.frameworks.huggingface.classification import labels_of
from taxiway.packaging.frameworks.huggingface.text import TextAdapter
from taxiway.packaging.frameworks.neural import Head
from taxiway.packaging.manifest import OutputColumn, Task
from taxiway.serving.engines import ENTITIES
from taxiway.signature import Column, Output

if TYPE_CHECKING:
    import pandas as pd


class EntitiesAdapter(TextAdapter):
    """A pipeline for ``token-classification``, with any ``aggregation_strategy``.

    Raises
    ------
    PackagingError
        It cuts long texts into overlapping pieces.
    """

    task: Task = "entities"

    def __init__(self, pipeline: Any, options: Options) -> None:
        super().__init__(pipeline)
        if options.task not in (None, "entities") or options.classes is not None:
            raise PackagingError(
                "A pipeline for token-classification finds entities of its own labels.",
                hint="Leave task and classes out.",
            )
        if "tokenizer_params" in pipeline._preprocess_params:
            raise PackagingError(
                "The pipeline reads long texts in overlapping pieces (stride), which are not served.",
                hint="Make the pipeline without stride, and send texts that the model takes whole.",
            )
        from taxiway.serving.engines.text import LOGITS

        self._labels = labels_of(pipeline.model.config)
        self.head = Head(None, len(self._labels), "numbers", LOGITS)

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write the tokenizer and the ONNX graph; see ``Adapter``."""
        export = super().export(columns, reference, precision, folder)
        outputs = (Output(ENTITIES, "string"),)
        return replace(export, columns=(OutputColumn(ENTITIES, ENTITIES, None),), outputs=outputs)

    def _told(self) -> dict[str, Any]:
        given = self._pipeline._postprocess_params
        strategy = given.get("aggregation_strategy")
        return {
            "entities": {
                "labels": self._labels,
                "strategy": "none" if strategy is None else strategy.name.lower(),
                "ignored": list(given.get("ignore_labels", ["O"])),
                "unknown": self._pipeline.tokenizer.unk_token_id,
            }
        }

    def _asked(self, texts: list[str]) -> Answers:
        import warnings

        from taxiway.serving.engines.entities import dumps

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a tokenizer knows no words is told once a token
            found = self._pipeline(texts, batch_size=self._rows_at_once)
        rows = [dumps([{**one, "score": float(one["score"])} for one in entities]) for entities in found]
        return {ENTITIES: np.array(rows, dtype=object)}
