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
from sklearn import datasets

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Options, adapter_for

from .conftest import Ask, Package, assert_alike

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LABELS = ("tumours", "wine")
LONG = "alcohol and malic acid of wine " * 30


@pytest.fixture(scope="module")
def sentences() -> pd.DataFrame:
    """Lines of what scikit-learn tells of two data sets, and of which of them each tells."""
    rows = [
        (line.strip(), label)
        for label, load in zip(LABELS, (datasets.load_breast_cancer, datasets.load_wine), strict=True)
        for line in load()["DESCR"].splitlines()
        if len(line.split()) > 3
    ]
    return pd.DataFrame(rows, columns=["sentence", "about"])


@pytest.fixture(scope="module")
def folder(sentences: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DistilBERT, trained for a few steps, and its tokenizer."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    words.train_from_iterator(sentences["sentence"], trainer)
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", model_max_length=24
    )
    torch.manual_seed(4)
    config = transformers.DistilBertConfig(
        vocab_size=500,
        dim=32,
        n_layers=2,
        n_heads=2,
        hidden_dim=64,
        max_position_embeddings=24,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model = transformers.DistilBertForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    batch = tokenizer(sentences["sentence"].tolist(), padding=True, truncation=True, return_tensors="pt")
    target = torch.tensor(sentences["about"].map(LABELS.index).to_numpy().copy())
    for _ in range(30):
        optimizer.zero_grad()
        names = ("input_ids", "attention_mask")
        model(**{name: batch[name] for name in names}, labels=target).loss.backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("pipeline")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def original(folder: Path, texts: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {"local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **given)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, **given)
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    found = [pipeline(text, top_k=None, truncation=True) for text in texts]
    scores = {
        label: [one["score"] for row in found for one in row if one["label"] == label] for label in LABELS
    }
    answers: dict[str, Any] = {"label": [row[0]["label"] for row in found]}
    return answers | {f"probability_{label}": np.array(scores[label]) for label in LABELS}


def test_a_folder_answers_over_http_as_the_pipeline_does(
    folder: Path, sentences: pd.DataFrame, package: Package, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = sentences[["sentence"]]

    def refuse(*_: Any) -> None:
        raise AssertionError("packaging went to the network")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        packaged = package(folder, reference)
    asked = pd.DataFrame({"sentence": [*reference["sentence"].iloc[::4], LONG, "", "ünknown 漢字"]})
    given = ask(packaged, asked)
    assert_alike(given, original(folder, asked["sentence"].tolist()))
    assert set(given["label"]) == set(LABELS), "the model learnt nothing"
    assert (packaged.path / "tokenizer.json").is_file()
    assert "transformers" not in (packaged.path / "requirements.txt").read_text()
    assert package(str(folder), reference).version == packaged.version


def test_a_pipeline_is_packaged_as_its_folder_is(
    folder: Path, sentences: pd.DataFrame, package: Package
) -> None:
    pipeline = transformers.pipeline(
        "text-classification",
        model=transformers.AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True),
        device="cpu",
    )
    reference = sentences[["sentence"]]
    pipeline(reference["sentence"].tolist()[:3], padding="max_length", truncation=True)
    assert package(pipeline, reference).version == package(folder, reference).version


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


def of_several_labels(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_safetensors, "weights are a pickle"),
        (with_its_own_code, "code of its own"),
        (without_tokenizer, "no tokenizer.json"),
        (of_another_kind, "not a text classifier"),
        (of_several_labels, "does not choose one label"),
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
