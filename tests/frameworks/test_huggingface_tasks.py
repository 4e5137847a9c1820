"""Pipelines of transformers for other tasks than to choose a label, from the object to the HTTP answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Adapter, Options, adapter_for
from taxiway.packaging.frameworks.arrays import frame_of
from taxiway.packaging.inference import columns_of
from taxiway.packaging.proof import prove
from taxiway.serving.agreement import apart
from taxiway.serving.engines.text import TextEngine

from . import language
from .conftest import Ask, Package, assert_alike
from .language import LONG

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

KINDS = ("O", "B-NUMBER", "I-NUMBER", "B-NAME", "I-NAME")


@pytest.fixture(scope="module")
def sentences() -> pd.DataFrame:
    return language.sentences()


@pytest.fixture(scope="module")
def tokenizer(sentences: pd.DataFrame) -> Any:
    return language.tokenizer_of(sentences["sentence"])


@pytest.fixture(scope="module")
def asked(sentences: pd.DataFrame) -> pd.DataFrame:
    texts = [*sentences["sentence"].iloc[::5], LONG, "", "ünknown 漢字 3.14"]
    return pd.DataFrame({"sentence": texts})


def a_pipeline(task: str, model: Any, tokenizer: Any, **more: Any) -> Any:
    return transformers.pipeline(task, model=model.eval(), tokenizer=tokenizer, device="cpu", **more)


def proven(adapter: Adapter, frame: pd.DataFrame, folder: Path) -> Any:
    """Export and compare with the original, as ``package`` does; a difference is an error."""
    return prove(adapter, columns_of(frame), frame, None, folder, waive=False)[0]


def test_several_labels_may_hold_at_once(
    sentences: pd.DataFrame, tokenizer: Any, asked: pd.DataFrame, package: Package, ask: Ask
) -> None:
    traits = {"digit": r"\d", "comma": ",", "capital": "[A-Z]"}
    truth = np.stack([sentences["sentence"].str.contains(sign) for sign in traits.values()], axis=1)
    torch.manual_seed(4)
    config = language.config_of(list(traits), problem_type="multi_label_classification")
    batch = tokenizer(sentences["sentence"].tolist(), padding=True, truncation=True, return_tensors="pt")
    model = transformers.DistilBertForSequenceClassification(config)
    model = language.learn(model, batch, torch.tensor(truth.astype(np.float32)))
    pipeline = a_pipeline("text-classification", model, tokenizer)
    packaged = package(pipeline, sentences[["sentence"]])
    expected: dict[str, Any] = {"label": []} | {f"probability_{name}": [] for name in traits}
    for text in asked["sentence"]:
        found = pipeline(text, top_k=None, truncation=True)
        expected["label"].append(found[0]["label"])
        for one in found:
            expected[f"probability_{one['label']}"].append(one["score"])
    given = ask(packaged, asked)
    assert_alike(given, expected)
    assert (given.filter(like="probability").sum(axis=1) > 1.5).any()


def test_a_regression_on_text(sentences: pd.DataFrame, tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(4)
    config = language.config_of(["length"], problem_type="regression")
    model = transformers.DistilBertForSequenceClassification(config)
    batch = tokenizer(sentences["sentence"].tolist(), padding=True, truncation=True, return_tensors="pt")
    language.learn(model, batch, torch.tensor(sentences["sentence"].str.len().to_numpy(np.float32) / 80))
    folder = language.save(tmp_path / "saved", model, tokenizer)
    adapter = adapter_for(folder)
    assert (adapter.task, adapter.classes) == ("regression", None)
    (tmp_path / "proof").mkdir()
    export = proven(adapter, sentences[["sentence"]], tmp_path / "proof")
    assert [one.name for one in export.outputs] == ["prediction"]
    with pytest.raises(PackagingError, match="does regression"):
        adapter_for(folder, Options(classes=("a", "b")))


@pytest.fixture(scope="module")
def tagger(sentences: pd.DataFrame, tokenizer: Any) -> Any:
    """A DistilBERT that has learnt which tokens are of numbers, and which of words with a capital."""
    torch.manual_seed(4)
    texts = sentences["sentence"].tolist()
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt", return_offsets_mapping=True)
    target = torch.full(batch["input_ids"].shape, -100)
    for row, text in enumerate(texts):
        for place, (start, end) in enumerate(batch["offset_mapping"][row].tolist()):
            if start == end:
                continue
            inside = start > 0 and not text[start - 1].isspace()
            word = text[: start + 1].split()[-1]
            kind = 1 if word[0].isdigit() else 3 if word[0].isupper() else 0
            target[row, place] = kind + inside if kind else 0
    model = transformers.DistilBertForTokenClassification(language.config_of(KINDS))
    return language.learn(model, batch, target, 60)


def test_entities_over_http_and_in_every_aggregation(
    sentences: pd.DataFrame, tokenizer: Any, tagger: Any, asked: pd.DataFrame, package: Package, ask: Ask
) -> None:
    texts = asked["sentence"].tolist()
    pipeline = a_pipeline("ner", tagger, tokenizer, aggregation_strategy="simple")
    packaged = package(pipeline, sentences[["sentence"]])
    given = ask(packaged, asked)
    assert list(given.columns) == ["entities"]
    kinds = assert_found(given["entities"], [pipeline(text) for text in texts])
    assert kinds == {"NUMBER", "NAME"}, "the model learnt nothing"
    requirements = (packaged.path / "requirements.txt").read_text()
    assert "torch" not in requirements
    assert "transformers" not in requirements
    # the graph is the same in every one, and what is read out of it is the pipeline's own
    for side in ("left", "right"):
        other = language.tokenizer_of(sentences["sentence"], side=side)
        for strategy in ("none", "first", "average", "max"):
            pipeline = a_pipeline(
                "ner", tagger, other, aggregation_strategy=strategy, ignore_labels=["I-NAME", "NUMBER"]
            )
            adapter = adapter_for(pipeline)
            told = {"column": "sentence", **adapter._told()}
            (packaged.path / "tokenizer.json").write_text(adapter._tokenizer())
            [found] = TextEngine(packaged.path, told, 1).run({"sentence": np.array(texts, object)}, [])
            assert_found(found, [pipeline(text) for text in texts])
            assert max(map(apart, adapter.answers(asked)["entities"], found)) < 1e-5


def assert_found(given: Any, expected: list[list[dict[str, Any]]]) -> set[str]:
    """Compare entities as JSON with a pipeline's own; give their kinds."""
    kinds = set()
    for text, entities in zip(given, expected, strict=True):
        found = json.loads(text)
        assert [dict(one, score=0) for one in found] == [dict(one, score=0) for one in entities]
        scores = [[one["score"] for one in each] for each in (found, entities)]
        np.testing.assert_allclose(*scores, atol=1e-5)
        kinds |= {one.get("entity_group") for one in found}
    return kinds


@pytest.mark.parametrize("several", [False, True])
def test_zero_shot_with_labels_fixed_when_packaged(
    sentences: pd.DataFrame,
    tokenizer: Any,
    asked: pd.DataFrame,
    package: Package,
    ask: Ask,
    several: bool,
    tmp_path: Path,
) -> None:
    torch.manual_seed(4)
    config = language.config_of(["contradiction", "neutral", "entailment"], initializer_range=0.3)
    model = transformers.DistilBertForSequenceClassification(config)
    pipeline = a_pipeline(
        "zero-shot-classification", model, tokenizer, hypothesis_template="this is of {}", multi_label=several
    )
    labels = ["wine", "tumours", "the mean"]
    reference = sentences[["sentence"]].iloc[::8]
    if several:
        proven(adapter_for(pipeline, Options(classes=tuple(labels))), reference, tmp_path)
        return
    given = ask(package(pipeline, reference, classes=labels), asked)
    found = [pipeline(text or " ", candidate_labels=labels) for text in asked["sentence"]]
    expected: dict[str, Any] = {"label": [one["labels"][0] for one in found]}
    for label in labels:
        expected[f"probability_{label}"] = [one["scores"][one["labels"].index(label)] for one in found]
    assert_alike(given, expected)
    assert given["label"].nunique() > 1


def test_embeddings_are_the_mean_of_the_tokens(
    sentences: pd.DataFrame, tokenizer: Any, asked: pd.DataFrame, package: Package, ask: Ask, tmp_path: Path
) -> None:
    torch.manual_seed(4)
    model = transformers.DistilBertModel(language.config_of(["none"]))
    folder = language.save(tmp_path / "saved", model, tokenizer)
    packaged = package(folder, sentences[["sentence"]].iloc[::4])
    assert packaged.task == "embedding"
    pipeline = a_pipeline("feature-extraction", model, tokenizer)
    cut = {"truncation": True}
    means = np.array([np.mean(pipeline(text, tokenize_kwargs=cut)[0], axis=0) for text in asked["sentence"]])
    given = ask(packaged, asked)
    assert_alike(given, {f"embedding_{index}": means[:, index] for index in range(32)})


def test_images_of_the_models_own_size(package: Package, ask: Ask) -> None:
    digits = datasets.load_digits()
    grey = np.kron(digits.images[::12] * 15, np.ones((1, 2, 2))).astype(np.uint8)
    images = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    torch.manual_seed(4)
    config = transformers.ViTConfig(
        image_size=16,
        patch_size=8,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=10,
        initializer_range=0.2,
    )
    given = {"size": {"height": 16, "width": 16}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
    processor = transformers.ViTImageProcessor(**given)
    model = transformers.ViTForImageClassification(config).eval()
    pipeline = transformers.pipeline("image-classification", model=model, image_processor=processor)
    packaged = package(pipeline, images)
    from PIL import Image

    found = [pipeline(Image.fromarray(one), top_k=10) for one in images[:40]]
    expected: dict[str, Any] = {"label": [one[0]["label"] for one in found]}
    for index in range(10):
        name = f"LABEL_{index}"
        expected[f"probability_{name}"] = [
            one["score"] for row in found for one in row if one["label"] == name
        ]
    assert_alike(ask(packaged, frame_of(images[:40])), expected)
    assert len(set(expected["label"])) > 1
    with pytest.raises(PackagingError, match="8 × 8 pixels, but the model takes 16 × 16"):
        adapter_for(pipeline).answers(frame_of(images[:, :8, :8]))
    with pytest.raises(PackagingError, match="from 0 to 255"):
        adapter_for(pipeline).answers(frame_of(images / 255))


def test_what_is_not_packaged_says_why(tokenizer: Any, tagger: Any, tmp_path: Path) -> None:
    masked = transformers.DistilBertForMaskedLM(language.config_of(["none"]))
    tokenizer.mask_token = "[MASK]"
    with pytest.raises(PackagingError, match=r"fill-mask cannot be packaged: a text with no mask"):
        adapter_for(a_pipeline("fill-mask", masked, tokenizer))
    half = transformers.DistilBertForTokenClassification(language.config_of(KINDS)).half()
    with pytest.raises(PackagingError, match="half precision"):
        adapter_for(a_pipeline("ner", half, tokenizer))
    with pytest.raises(PackagingError, match="overlapping pieces"):
        adapter_for(a_pipeline("ner", tagger, tokenizer, aggregation_strategy="simple", stride=4))
    one = transformers.DistilBertForSequenceClassification(language.config_of(["only"]))
    with pytest.raises(PackagingError, match="only the label 'only'"):
        adapter_for(a_pipeline("text-classification", one, tokenizer))
    judge = transformers.DistilBertForSequenceClassification(language.config_of(["entails", "not"]))
    zero_shot = a_pipeline("zero-shot-classification", judge, tokenizer)
    with pytest.raises(PackagingError, match="labels that it chooses from"):
        adapter_for(zero_shot)
    with pytest.raises(PackagingError, match="alone fills the 24 tokens"):
        adapter_for(zero_shot, Options(classes=("wine", LONG)))
    folder = language.save(tmp_path, judge, tokenizer)
    with pytest.raises(PackagingError, match="2 labels, but there are 3") as raised:
        adapter_for(folder, Options(classes=("a", "b", "c")))
    assert "zero-shot" in (raised.value.hint or "")
