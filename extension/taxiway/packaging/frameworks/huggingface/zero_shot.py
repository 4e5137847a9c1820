"""Zero-shot classifiers: whether a text entails each of a few hypotheses, which are fixed when packaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Options
from taxiway.packaging.frameworks.huggingface.text import TextAdapter
from taxiway.packaging.frameworks.neural import Head, Purpose
from taxiway.packaging.manifest import Task

_TEMPLATE = "This example is {}."


class ZeroShotAdapter(TextAdapter):
    """A pipeline for ``zero-shot-classification``, whose candidate labels are given with ``classes``.

    They may also be given to the pipeline itself (``candidate_labels``), as its ``hypothesis_template`` and
    ``multi_label`` are.

    Raises
    ------
    PackagingError
        There are no candidate labels, they leave no room for a text, or the model knows no entailment.
    """

    task: Task = "classification"
    _cut: Literal["longest_first", "only_first"] = "only_first"

    def __init__(self, pipeline: Any, options: Options) -> None:
        super().__init__(pipeline)
        given = pipeline._preprocess_params
        labels = options.classes or tuple(given.get("candidate_labels") or ())
        if len(labels) < 2 or not all(isinstance(label, str) for label in labels):
            raise PackagingError(
                "A zero-shot classifier is packaged with the labels that it chooses from.",
                hint="Pass classes=['one', 'another', ...].",
            )
        self.classes = Purpose.of(Options(options.task or "classification", labels)).classes or ()
        self._template = str(given.get("hypothesis_template", _TEMPLATE))
        self._several = bool(pipeline._postprocess_params.get("multi_label", False))
        self._entailed: int = pipeline.entailment_id
        if self._entailed < 0:
            raise PackagingError(
                "The pipeline's model has no label that says that a text entails a hypothesis.",
                hint="Take one trained on natural language inference, or name that label 'entailment'.",
            )
        if pipeline.tokenizer.padding_side == "left":
            raise PackagingError(
                "The pipeline's tokenizer pads on the left, where one hypothesis moves another's tokens.",
                hint="Set tokenizer.padding_side = 'right'.",
            )
        self._check_room()
        self.head = Head(self.classes, len(labels), "independent" if self._several else "logits")

    def _check_room(self) -> None:
        """Refuse hypotheses that leave no room for a token of the text, as transformers then cuts nothing."""
        tokenizer = self._pipeline.tokenizer
        for hypothesis in self._hypotheses:
            if len(tokenizer("", hypothesis)["input_ids"]) >= self._length:
                raise PackagingError(
                    f"{hypothesis[:60]!r} alone fills the {self._length} tokens that the model takes.",
                    hint="Shorten that class, or the pipeline's hypothesis_template.",
                )

    @property
    def _hypotheses(self) -> list[str]:
        return [self._template.format(label) for label in self.classes or ()]

    def _told(self) -> dict[str, Any]:
        return {"hypotheses": self._hypotheses}

    def _raw(self, outputs: Any, given: Mapping[str, Any]) -> Any:
        """Give one number per text and hypothesis; the head makes a row of each text's."""
        del given
        entailed = outputs.logits[:, self._entailed]
        # the pipeline's own choice of the label that contradicts
        return entailed - outputs.logits[:, -1 if self._entailed == 0 else 0] if self._several else entailed

    def _asked(self, texts: list[str]) -> Answers:
        labels = [str(label) for label in self.classes or ()]
        scores = np.zeros((len(texts), len(labels)))
        given = {"hypothesis_template": self._template, "multi_label": self._several}
        # transformers refuses an empty text, which is like one of a space
        found = self._pipeline(
            [text or " " for text in texts], candidate_labels=labels, batch_size=self._rows_at_once, **given
        )
        for row, answer in enumerate(found):
            for label, score in zip(answer["labels"], answer["scores"], strict=True):
                scores[row, labels.index(label)] = score
        return Head(self.classes, len(labels), "probabilities").answers(scores)
