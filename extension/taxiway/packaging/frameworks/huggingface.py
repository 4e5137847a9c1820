"""Hugging Face: pipelines that classify text, from the folder that ``save_pretrained`` wrote or as an object.

Weights are read from safetensors files alone, from the disk alone, and no code that a folder brings along is
run. What is served is the tokenizer's own ``tokenizer.json`` and an ONNX graph that ends with the softmax;
neither PyTorch nor transformers is needed for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision
from taxiway.packaging.frameworks.neural import Head, Purpose, check_size, write_onnx
from taxiway.packaging.manifest import Scalar, Task
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

TASK = "text-classification"
_MOST_TOKENS = 512
_ENDLESS = 1_000_000  # transformers gives tokenizers without a limit one of 1e30
_ROWS_AT_ONCE = 64


class HuggingFaceAdapter:
    """A pipeline for ``text-classification``, or the folder of one.

    Raises
    ------
    PackagingError
        It is another pipeline, holds pickled weights or code of its own, or has no fast tokenizer.
    """

    framework = "transformers"
    task: Task = "classification"
    columns: tuple[str, ...] | None = None
    width: int | None = 1
    precisions: tuple[Precision, ...] = ("float32",)

    def __init__(self, model: Any, options: Options) -> None:
        pipeline = _loaded(model) if isinstance(model, Path) else model
        self._pipeline = _checked(pipeline)
        config = pipeline.model.config
        labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
        self._labels = labels
        named = Options(options.task or "classification", options.classes or labels, options.format)
        if named.task != "classification" or named.format not in (None, "text"):
            raise PackagingError(
                "A text-classification pipeline classifies, and is kept as a tokenizer and an ONNX graph.",
                hint="Leave task and format out.",
            )
        self.classes: tuple[Scalar, ...] | None = Purpose.of(named).classes
        if len(self.classes or ()) != len(labels):
            raise PackagingError(
                f"The pipeline has {len(labels)} labels, but there are {len(self.classes or ())} classes.",
                hint="Leave classes out: the model's own labels are taken.",
            )
        self._head = Head(self.classes, len(labels), "logits")
        limit = min(self._pipeline.tokenizer.model_max_length, _ENDLESS)
        positions = getattr(config, "max_position_embeddings", _MOST_TOKENS)
        self._length = int(limit if limit < _ENDLESS else min(positions, _MOST_TOKENS))

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write the tokenizer and the ONNX graph; see ``Adapter``."""
        del reference  # any text will do
        import torch

        from taxiway.packaging.frameworks.torch import to_onnx
        from taxiway.serving.engines.text import TOKENIZER

        tokenizer, model = self._pipeline.tokenizer, self._pipeline.model
        check_size(sum(one.numel() * 4 for one in model.parameters()), type(model).__name__)
        names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if _takes(model, name)]
        names = [name for name in names if name in tokenizer.model_input_names]
        example = tuple(torch.full((3, 7), int(name != "token_type_ids")) for name in names)
        sizes = [{0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for _ in names]
        place = model.device
        try:
            proto = to_onnx(_logits(model.to("cpu"), names), example, names, sizes)
        finally:
            model.to(place)
        export = write_onnx(proto, self._head, names, folder, precision)
        (folder / TOKENIZER).write_text(_tokenizer(tokenizer, self._length), encoding="utf-8")
        options = {"column": columns[0].name}
        return replace(export, runtime="text", requires=("tokenizers",), engine=options)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the pipeline; see ``Adapter``."""
        [name] = frame.columns
        column = frame[name]
        if not all(isinstance(value, str) for value in column.dropna()):
            raise PackagingError(
                f"Column {name!r} is {column.dtype}, but the pipeline takes text.",
                hint="Pass a reference with one column of text.",
            )
        texts = [text if isinstance(text, str) else "" for text in column]
        found = self._pipeline(
            texts, top_k=None, truncation=True, max_length=self._length, batch_size=_ROWS_AT_ONCE
        )
        places = {label: index for index, label in enumerate(self._labels)}
        probabilities = np.zeros((len(texts), len(places)))
        for row, scores in enumerate(found):
            for one in scores:
                probabilities[row, places[one["label"]]] = one["score"]
        return Head(self.classes, len(places), "probabilities").answers(probabilities)

    def seeds(self) -> dict[str, int | str | None]:
        """Give the seed that torch's generator began with; see ``Adapter``."""
        import torch

        return {"torch": int(torch.initial_seed())}

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        own = type(self._pipeline.model).__module__
        return frozenset({own, "transformers", "tokenizers", "torch"})


def _loaded(folder: Path) -> Any:
    """Open a pipeline's folder: no network, no pickle, no code."""
    config = _config(folder)
    weights = sorted(path.name for path in folder.glob("*.safetensors"))
    if not weights:
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        found = f"its weights are a pickle ({pickled[0]})" if pickled else "it holds no weights"
        raise PackagingError(
            f"{folder} is not opened: {found}.",
            hint="Save it with model.save_pretrained(folder), which writes model.safetensors.",
        )
    if "auto_map" in config:
        raise PackagingError(
            f"{folder} is not opened: it brings code of its own (auto_map in config.json).",
            hint="Package a model whose class transformers itself has.",
        )
    if not (folder / "tokenizer.json").is_file():
        raise PackagingError(
            f"{folder} has no tokenizer.json.",
            hint="Save its fast tokenizer there: tokenizer.save_pretrained(folder).",
        )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import transformers

    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            str(folder), use_safetensors=True, **given
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), use_fast=True, **given)
    except Exception as error:
        # transformers raises many unrelated classes, each of which means the same here
        reason = str(error).strip().partition("\n")[0][:300]
        raise PackagingError(
            f"{folder} holds no text classifier that transformers can open: {reason}",
            hint="Taxiway packages pipelines for text-classification.",
        ) from error
    return transformers.pipeline(TASK, model=model, tokenizer=tokenizer, device="cpu")


def _config(folder: Path) -> dict[str, Any]:
    try:
        body = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architectures = body.get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise PackagingError(
            f"config.json in {folder} cannot be read: {error}.", hint="Save the model again."
        ) from error
    if not any(str(name).endswith("ForSequenceClassification") for name in architectures):
        raise PackagingError(
            f"{folder} holds {', '.join(map(str, architectures)) or 'no model'}, not a text classifier.",
            hint="Taxiway packages pipelines for text-classification.",
        )
    found: dict[str, Any] = body
    return found


def _checked(pipeline: Any) -> Any:
    import transformers

    if not isinstance(pipeline, transformers.Pipeline):
        raise PackagingError(
            f"A {type(pipeline).__name__} of transformers cannot be packaged without its tokenizer.",
            hint=f"Pass transformers.pipeline({TASK!r}, model=model, tokenizer=tokenizer), or its folder.",
        )
    if pipeline.task != TASK:
        raise PackagingError(
            f"Pipelines for {pipeline.task} cannot be packaged.", hint=f"Taxiway packages those for {TASK}."
        )
    if not getattr(pipeline.tokenizer, "is_fast", False):
        raise PackagingError(
            f"The pipeline's {type(pipeline.tokenizer).__name__} is no fast tokenizer.",
            hint="Load it with AutoTokenizer.from_pretrained(folder, use_fast=True).",
        )
    config = pipeline.model.config
    if config.num_labels < 2 or config.problem_type in ("multi_label_classification", "regression"):
        raise PackagingError(
            "The pipeline does not choose one label among several.",
            hint="Package one whose model has problem_type 'single_label_classification'.",
        )
    return pipeline


def _logits(model: Any, names: Sequence[str]) -> Any:
    """Wrap a model so that it takes its inputs by place and gives nothing but its logits."""
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model(**dict(zip(names, tensors, strict=True))).logits

    return Logits()


def _takes(model: Any, name: str) -> bool:
    from inspect import signature

    return name in signature(model.forward).parameters


def _tokenizer(tokenizer: Any, length: int) -> str:
    """Give the tokenizer's JSON, with the cutting-off and padding that the pipeline does."""
    from tokenizers import Tokenizer

    copied = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copied.enable_truncation(length, direction=tokenizer.truncation_side)
    copied.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id or 0,
        pad_type_id=tokenizer.pad_token_type_id,
        pad_token=tokenizer.pad_token or "[PAD]",
    )
    text: str = copied.to_str(pretty=False)
    return text
