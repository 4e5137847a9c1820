"""A pipeline's folder, opened without the network, a pickle, or code that it brings along."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.errors import PackagingError

_MEAN = "pooling_mode_mean_tokens"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the name of a model's class ends with, the class that opens it, and the pipeline's task."""

    ending: str
    opener: str
    task: str


_KINDS = (
    _Kind("ForSequenceClassification", "AutoModelForSequenceClassification", "text-classification"),
    _Kind("ForTokenClassification", "AutoModelForTokenClassification", "token-classification"),
    _Kind("ForImageClassification", "AutoModelForImageClassification", "image-classification"),
    _Kind("Model", "AutoModel", "feature-extraction"),
)


def opened(folder: Path) -> Any:
    """Make the pipeline of a folder.

    Raises
    ------
    PackagingError
        It holds pickled weights, code of its own, or no model of a kind that is packaged.
    """
    config = _json(folder / "config.json")
    if not isinstance(config, dict):
        raise PackagingError(f"config.json in {folder} holds no object.", hint="Save the model again.")
    kind = _kind(folder, config)
    _check(folder, config, kind)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import transformers

    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        opener = getattr(transformers, kind.opener)
        model = opener.from_pretrained(str(folder), use_safetensors=True, **given)
        if kind.task == "image-classification":
            beside = {
                "image_processor": transformers.AutoImageProcessor.from_pretrained(str(folder), **given)
            }
        else:
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), use_fast=True, **given)
            beside = {"tokenizer": tokenizer}
    except Exception as error:
        # transformers raises many unrelated classes, each of which means the same here
        reason = str(error).strip().partition("\n")[0][:300]
        raise PackagingError(
            f"{folder} holds no model for {kind.task} that transformers can open: {reason}",
            hint="Save model and tokenizer (or image processor) there again, with this release.",
        ) from error
    # some releases open the weights as they were saved, and all numbers of half precision are in single too
    return transformers.pipeline(kind.task, model=model.float(), device="cpu", **beside)


def _kind(folder: Path, config: dict[str, Any]) -> _Kind:
    architectures = [str(name) for name in config.get("architectures") or []]
    for kind in _KINDS:
        if any(name.endswith(kind.ending) for name in architectures):
            return kind
    raise PackagingError(
        f"{folder} holds {', '.join(architectures) or 'no model'}, which is of no kind that is packaged.",
        hint=f"Taxiway packages folders for {', '.join(kind.task for kind in _KINDS)}.",
    )


def _check(folder: Path, config: dict[str, Any], kind: _Kind) -> None:
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
    if kind.task == "image-classification":
        if not (folder / "preprocessor_config.json").is_file():
            raise PackagingError(
                f"{folder} has no preprocessor_config.json.",
                hint="Save its image processor there: processor.save_pretrained(folder).",
            )
    elif not (folder / "tokenizer.json").is_file():
        raise PackagingError(
            f"{folder} has no tokenizer.json.",
            hint="Save its fast tokenizer there: tokenizer.save_pretrained(folder).",
        )
    if (folder / "modules.json").is_file():
        _check_pooling(folder)


def _check_pooling(folder: Path) -> None:
    """Refuse a folder of sentence-transformers that does more than to take the mean of the tokens."""
    steps = _json(folder / "modules.json")
    kinds = [str(step.get("type", "")).rpartition(".")[2] for step in steps]
    modes = [_MEAN]
    if kinds[1:] == ["Pooling"]:
        pooling = _json(folder / str(steps[1].get("path", "")) / "config.json")
        modes = [name for name, on in pooling.items() if name.startswith("pooling_mode") and on is True]
    if kinds[1:] not in ([], ["Pooling"]) or modes != [_MEAN]:
        raise PackagingError(
            f"{folder} is one of sentence-transformers with the steps {', '.join(kinds)}, "
            "and embeddings are packaged as the mean over the tokens.",
            hint="If the mean is what you want, package a copy without modules.json.",
        )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackagingError(f"{path} cannot be read: {error}.", hint="Save the model again.") from error
