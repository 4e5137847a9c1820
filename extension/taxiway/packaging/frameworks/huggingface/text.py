"""What the pipelines on text share: one column, the tokenizer's own file, and a graph over its numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Precision
from taxiway.packaging.frameworks.neural import Head, write_onnx
from taxiway.packaging.manifest import Scalar, Task
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 64
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_MOST_TOKENS = 512
_ENDLESS = 1_000_000  # transformers gives tokenizers without a limit one of 1e30


class TextAdapter(ABC):
    """A pipeline that takes text, one column of it.

    Raises
    ------
    PackagingError
        It has no fast tokenizer.
    """

    framework = "transformers"
    columns: tuple[str, ...] | None = None
    width: int | None = 1
    precisions: tuple[Precision, ...] = ("float32",)
    task: Task
    classes: tuple[Scalar, ...] | None = None
    #: What the numbers that ``_raw`` gives mean.
    head: Head
    #: What of a text that is too long, or of its pair, is cut off.
    _cut: Literal["longest_first", "only_first"] = "longest_first"

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        if not getattr(pipeline.tokenizer, "is_fast", False):
            raise PackagingError(
                f"The pipeline's {type(pipeline.tokenizer).__name__} is no fast tokenizer.",
                hint="Load it with AutoTokenizer.from_pretrained(folder, use_fast=True).",
            )
        # padding on the left moves the places of shorter texts: each alone is answered as it is alone
        self._rows_at_once = 1 if pipeline.tokenizer.padding_side == "left" else _ROWS_AT_ONCE
        limit = min(pipeline.tokenizer.model_max_length, _ENDLESS)
        positions = getattr(pipeline.model.config, "max_position_embeddings", _MOST_TOKENS)
        #: Tokens at most.
        self._length = int(limit if limit < _ENDLESS else min(positions, _MOST_TOKENS))

    @abstractmethod
    def _asked(self, texts: list[str]) -> Answers:
        """Ask the pipeline."""

    def _raw(self, outputs: Any, given: Mapping[str, Any]) -> Any:
        """Take the one tensor that the head reads out of a model's outputs; ``given`` are its inputs."""
        del given
        return outputs.logits

    def _told(self) -> dict[str, Any]:
        """Give what the engine must be told besides the column."""
        return {}

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write the tokenizer and the ONNX graph; see ``Adapter``."""
        del reference  # any text will do
        import torch

        from taxiway.packaging.frameworks.torch import to_onnx
        from taxiway.serving.engines.text import TOKENIZER

        tokenizer, model = self._pipeline.tokenizer, self._pipeline.model
        names = [name for name in _INPUTS if name in signature(model.forward).parameters]
        names = [name for name in names if name in tokenizer.model_input_names]
        example = tuple(torch.full((3, 7), int(name != "token_type_ids")) for name in names)
        sizes = [{0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for _ in names]
        place = model.device
        try:
            module = self._module(model.to("cpu"), names)
            proto = to_onnx(module, example, names, sizes)
        finally:
            model.to(place)
        weights = module.state_dict().keys()
        export = write_onnx(proto, self.head, names, folder, precision, weights=weights)
        (folder / TOKENIZER).write_text(self._tokenizer(), encoding="utf-8")
        told = {"column": columns[0].name, **self._told()}
        return replace(export, runtime="text", requires=("tokenizers",), engine=told)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the pipeline; see ``Adapter``."""
        [name] = frame.columns
        column = frame[name]
        if not all(isinstance(value, str) for value in column.dropna()):
            raise PackagingError(
                f"Column {name!r} is {column.dtype}, but the pipeline takes text.",
                hint="Pass a reference with one column of text.",
            )
        return self._asked([text if isinstance(text, str) else "" for text in column])

    def seeds(self) -> dict[str, int | str | None]:
        """Give the seed that torch's generator began with; see ``Adapter``."""
        import torch

        return {"torch": int(torch.initial_seed())}

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        own = type(self._pipeline.model).__module__
        return frozenset({own, "transformers", "tokenizers", "torch"})

    def _module(self, model: Any, names: Sequence[str]) -> Any:
        """Wrap a model so that it takes its inputs by place, and gives one tensor."""
        import torch

        raw = self._raw

        class Wrapped(torch.nn.Module):  # type: ignore[misc, unused-ignore]
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, *tensors: Any) -> Any:
                given = dict(zip(names, tensors, strict=True))
                return raw(self.model(**given), given)

        return Wrapped()

    def _tokenizer(self) -> str:
        """Give the tokenizer's JSON, with the cutting-off and padding that the pipeline does."""
        from tokenizers import Tokenizer

        given = self._pipeline.tokenizer
        copied = Tokenizer.from_str(given.backend_tokenizer.to_str())
        copied.enable_truncation(self._length, direction=given.truncation_side, strategy=self._cut)
        copied.enable_padding(
            direction=given.padding_side,
            pad_id=given.pad_token_id or 0,
            pad_type_id=given.pad_token_type_id,
            pad_token=given.pad_token or "[PAD]",
        )
        text: str = copied.to_str(pretty=False)
        return text
