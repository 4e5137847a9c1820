"""Hugging Face: pipelines of transformers, from the folder that ``save_pretrained`` wrote or as an object.

Weights are read from safetensors files alone, from the disk alone, and no code that a folder brings along is
run. What is served is an ONNX graph and, for text, the tokenizer's own ``tokenizer.json``; neither PyTorch
nor transformers is needed for it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Adapter, Options

#: Task of a pipeline → the module of this package and the class that adapt it.
TASKS = {
    "text-classification": ("classification", "TextClassificationAdapter"),
    "token-classification": ("entities", "EntitiesAdapter"),
    "zero-shot-classification": ("zero_shot", "ZeroShotAdapter"),
    "feature-extraction": ("embedding", "EmbeddingAdapter"),
    "image-classification": ("images", "ImageAdapter"),
}
_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
#: Why others are not packaged; of the rest, because their input is no row of a table.
_REASONS = {
    "fill-mask": "a text with no mask, or with several, has no one answer",
    "question-answering": "it searches long contexts in pieces, which no one graph does",
    "table-question-answering": "its input is a table, and not a row of one",
    **dict.fromkeys(
        ("text-generation", "text2text-generation", "summarization", "translation"),
        "it writes one token after the other, which no one run of a graph does",
    ),
}


def adapter_for(model: Any, options: Options) -> Adapter:
    """Choose the adapter of a pipeline, or of a folder, by its task.

    Raises
    ------
    PackagingError
        It is no pipeline, one for another task, or in half precision.
    """
    if isinstance(model, Path):
        from taxiway.packaging.frameworks.huggingface.folder import opened

        model = opened(model)
    import transformers

    if not isinstance(model, transformers.Pipeline):
        raise PackagingError(
            f"A {type(model).__name__} of transformers cannot be packaged without its tokenizer.",
            hint="Pass transformers.pipeline(TASK, model=model, tokenizer=tokenizer), or its folder.",
        )
    task = _ALIASES.get(model.task, model.task)
    if task not in TASKS:
        reason = _REASONS.get(task.partition("_")[0], "its input is no text or image that a row could hold")
        raise PackagingError(
            f"Pipelines for {model.task} cannot be packaged: {reason}.",
            hint=f"Taxiway packages those for {', '.join(TASKS)}.",
        )
    if options.format not in (None, "text", "onnx"):
        raise PackagingError(
            f"Pipelines are packaged as ONNX graphs, not as {options.format}.", hint="Leave format out."
        )
    if next(model.model.parameters()).element_size() < 4:
        raise PackagingError(
            f"The {type(model.model).__name__} is in half precision, which is not served on a CPU.",
            hint="Package it in single precision: pipeline.model.float().",
        )
    module, name = TASKS[task]
    adapter: Adapter = getattr(import_module(f"{__name__}.{module}"), name)(model, options)
    return adapter
