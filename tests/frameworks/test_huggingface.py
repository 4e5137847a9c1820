"""A text classifier of transformers, from its folder to the answer over HTTP."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Options, adapter_for

from . import language
from .conftest import Ask, Package, assert_alike
from .language import LONG, TOPICS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def sentences() -> pd.DataFrame:
    return language.sentences()


@pytest.fixture(scope="module")
def folder(sentences: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DistilBERT, trained for a few steps, and its tokenizer."""
    tokenizer = language.tokenizer_of(sentences["sentence"])
    torch.manual_seed(4)
    model = transformers.DistilBertForSequenceClassification(language.config_of(TOPICS))
    batch = tokenizer(sentences["sentence"].tolist(), padding=True, truncation=True, return_tensors="pt")
    target = torch.tensor(sentences["about"].map(TOPICS.index).to_numpy().copy())
    language.learn(model, batch, target)
    return language.save(tmp_path_factory.mktemp("pipeline"), model, tokenizer)


def original(folder: Path, texts: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {"local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **given)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, **given)
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    found = [pipeline(text, top_k=None, truncation=True) for text in texts]
    scores = {
        label: [one["score"] for row in found for one in row if one["label"] == label] for label in TOPICS
    }
    answers: dict[str, Any] = {"label": [row[0]["label"] for row in found]}
    return answers | {f"probability_{label}": np.array(scores[label]) for label in TOPICS}


def test_a_folder_answers_over_http_as_the_pipeline_does(
    folder: Path, sentences: pd.DataFrame, package: Package, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = sentences[["sentence"]]

    def refuse(*_: Any) -> None:
        raise AssertionError("packaging went to the network")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        packaged = package(str(folder), reference)
    asked = pd.DataFrame({"sentence": [*reference["sentence"].iloc[::4], LONG, "", "ünknown 漢字"]})
    given = ask(packaged, asked)
    assert_alike(given, original(folder, asked["sentence"].tolist()))
    assert set(given["label"]) == set(TOPICS), "the model learnt nothing"
    assert (packaged.path / "tokenizer.json").is_file()
    assert "transformers" not in (packaged.path / "requirements.txt").read_text()
    pipeline = transformers.pipeline(
        "text-classification",
        model=transformers.AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True),
        device="cpu",
    )
    pipeline(reference["sentence"].tolist()[:3], padding="max_length", truncation=True)
    assert package(pipeline, reference).version == packaged.version, "the object is another than its folder"


def without_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_its_own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "own.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('code of the folder was run')")


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def of_another_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["DistilBertForMaskedLM"]}))


def with_a_pooling_of_its_own(folder: Path) -> None:
    steps = [{"type": "models.Transformer"}, {"type": "models.Pooling", "path": "1_Pooling"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_safetensors, "weights are a pickle"),
        (with_its_own_code, "code of its own"),
        (without_tokenizer, "no tokenizer.json"),
        (of_another_kind, "DistilBertForMaskedLM, which is of no kind"),
        (with_a_pooling_of_its_own, "mean over the tokens"),
    ],
)
def test_what_is_not_opened_says_why(folder: Path, tmp_path: Path, change: Any, words: str) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    change(tmp_path / "copy")
    with pytest.raises(PackagingError, match=words) as raised:
        adapter_for(tmp_path / "copy")
    assert raised.value.hint


def test_bad_input_gets_a_clear_error(folder: Path, sentences: pd.DataFrame, package: Package) -> None:
    with pytest.raises(PackagingError, match="without its tokenizer"):
        adapter_for(
            transformers.AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
        )
    with pytest.raises(PackagingError, match="2 labels, but there are 3"):
        adapter_for(folder, Options(classes=("a", "b", "c")))
    with pytest.raises(PackagingError, match="takes text"):
        package(folder, pd.DataFrame({"sentence": [1.0, 2.0]}))
    with pytest.raises(PackagingError):
        package(folder, sentences)
