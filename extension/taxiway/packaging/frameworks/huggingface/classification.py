"""Text classifiers, of one label among several or of several at once, and regressions on text."""

from __future__ import annotations

from typing import Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Options
from taxiway.packaging.frameworks.huggingface.text import TextAdapter
from taxiway.packaging.frameworks.neural import Ending, Head, Purpose
from taxiway.packaging.manifest import Task

#: A model's ``problem_type`` → what its logits are.
_ENDINGS: dict[str | None, Ending] = {
    None: "logits",
    "single_label_classification": "logits",
    "multi_label_classification": "independent",
    "regression": "numbers",
}


class TextClassificationAdapter(TextAdapter):
    """A pipeline for ``text-classification``, of any ``problem_type``.

    Where several labels may hold at once, ``label`` is the most probable one, as it is the pipeline's answer,
    and the probabilities do not sum to 1.

    Raises
    ------
    PackagingError
        Its labels are not those that were given, or there is only one.
    """

    def __init__(self, pipeline: Any, options: Options) -> None:
        super().__init__(pipeline)
        self._labels = labels_of(pipeline.model.config)
        self.head = head_of(pipeline.model.config, options)
        self.task: Task = "regression" if self.head.classes is None else "classification"
        self.classes = self.head.classes

    def _asked(self, texts: list[str]) -> Answers:
        found = self._pipeline(
            texts, top_k=None, truncation=True, max_length=self._length, batch_size=self._rows_at_once
        )
        return scored(found, self._labels, self.head)


def labels_of(config: Any) -> tuple[str, ...]:
    """Name a model's labels in the order of its logits."""
    return tuple(str(config.id2label[index]) for index in range(config.num_labels))


def head_of(config: Any, options: Options) -> Head:
    """Say what the logits of a model mean that classifies whole inputs.

    Raises
    ------
    PackagingError
        Its labels are not those that were given, or there is only one.
    """
    labels, ending = labels_of(config), _ENDINGS[config.problem_type]
    task: Task = "regression" if ending == "numbers" else "classification"
    if options.task not in (None, task) or (options.classes is not None and task == "regression"):
        raise PackagingError(
            f"The pipeline's model does {task}, as its problem_type says.", hint="Leave task and classes out."
        )
    if task == "regression":
        return Head(None, len(labels), "numbers")
    if len(labels) < 2:
        raise PackagingError(
            f"The pipeline's model has only the label {labels[0]!r}, and so nothing to choose.",
            hint="If it predicts a number, say so: pipeline.model.config.problem_type = 'regression'.",
        )
    classes = Purpose.of(Options("classification", options.classes or labels)).classes or ()
    if len(classes) != len(labels):
        entails = any(label.lower().startswith("entail") for label in labels)
        raise PackagingError(
            f"The pipeline has {len(labels)} labels, but there are {len(classes)} classes.",
            hint="Pass transformers.pipeline('zero-shot-classification', ...) to choose classes of your own."
            if entails
            else "Leave classes out: the model's own labels are taken.",
        )
    return Head(classes, len(labels), ending)


def scored(found: list[list[dict[str, Any]]], labels: tuple[str, ...], head: Head) -> Answers:
    """Put the scores that a pipeline gives into output columns."""
    places = {label: index for index, label in enumerate(labels)}
    scores = np.zeros((len(found), len(places)))
    for row, answers in enumerate(found):
        for one in answers:
            scores[row, places[one["label"]]] = one["score"]
    return Head(head.classes, head.width, "numbers" if head.classes is None else "probabilities").answers(
        scores
    )
