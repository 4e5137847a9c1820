"""The "Package model" button finds the models of the real frameworks."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from taxiway.lab.discover import discover

X = np.arange(40, dtype="float32").reshape(20, 2)
Y = np.tile([0, 1], 10)


def test_every_framework_is_found_in_a_kernel() -> None:
    xgboost, lightgbm = pytest.importorskip("xgboost"), pytest.importorskip("lightgbm")
    catboost, torch = pytest.importorskip("catboost"), pytest.importorskip("torch")
    keras, transformers = pytest.importorskip("keras"), pytest.importorskip("transformers")
    quiet = {"verbose": -1, "objective": "binary"}
    config = transformers.DistilBertConfig(vocab_size=9, dim=4, n_layers=1, n_heads=1, hidden_dim=4)
    bert = transformers.DistilBertForSequenceClassification(config)
    words = transformers.DistilBertTokenizerFast(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3})
    namespace = {
        "trees": xgboost.XGBClassifier(n_estimators=2).fit(X, Y),
        "booster": xgboost.train({}, xgboost.DMatrix(X, label=Y), num_boost_round=2),
        "leaves": lightgbm.train(quiet, lightgbm.Dataset(X, label=Y), num_boost_round=2),
        "unfitted": lightgbm.LGBMClassifier(),
        "cats": catboost.CatBoostClassifier(iterations=2, verbose=0, allow_writing_files=False).fit(X, Y),
        "net": torch.nn.Linear(2, 1),
        "loss": torch.nn.CrossEntropyLoss(),
        "bert": bert,
        "deep": keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
        "unbuilt": keras.Sequential([keras.layers.Dense(1)]),
        "tags": transformers.pipeline(
            "ner",
            model=transformers.DistilBertForTokenClassification(config),
            tokenizer=words,
            device="cpu",
        ),
        "text": transformers.pipeline("text-classification", model=bert, tokenizer=words, device="cpu"),
    }
    before = set(sys.modules)
    found = {one["variable"]: one for one in discover(namespace)["models"]}
    assert set(sys.modules) == before
    assert {name: (one["framework"], one["fitted"]) for name, one in found.items()} == {
        "trees": ("XGBoost", True),
        "booster": ("XGBoost", True),
        "leaves": ("LightGBM", True),
        "unfitted": ("LightGBM", False),
        "cats": ("CatBoost", True),
        "net": ("PyTorch", True),
        "deep": ("Keras", True),
        "unbuilt": ("Keras", False),
        "tags": ("Hugging Face", True),
        "text": ("Hugging Face", True),
    }
    assert {found[name]["features"] for name in ("trees", "booster", "leaves", "cats", "deep")} == {2}
