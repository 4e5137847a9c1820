"""Clean replay of what is not ONNX: each engine's own pins are enough in a fresh environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from taxiway.packaging.model import Model

from .conftest import Package

for engine in ("skops", "tensorflow", "torch"):
    pytest.importorskip(engine)

from .test_huggingface import folder, sentences  # noqa: E402, F401 - fixtures

pytestmark = pytest.mark.timeout(1200)  # the first time, an engine as large as TensorFlow is downloaded


def assert_replayed(model: Model) -> None:
    found = model.preflight(lambda what: None)
    assert found["clean_replay"].result == "passed", str(found)
    assert "over HTTP" in found["latency_budget"].reason
    assert found["format_safe"].result == "passed"


def test_an_estimator_kept_by_skops_with_the_users_own_source(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skops.io")
    (tmp_path / "own_steps.py").write_text(Path(__file__).with_name("own_steps.py").read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    own_steps = pytest.importorskip("own_steps")
    try:
        inputs, target = load_iris(return_X_y=True, as_frame=True)
        steps = [own_steps.Ratio(), FunctionTransformer(own_steps.doubled), LogisticRegression(max_iter=9000)]
        fitted = make_pipeline(*steps).fit(inputs, target)
        trust = ["own_steps.Ratio", "own_steps.doubled"]
        model = package(fitted, inputs, format="skops", trust=trust, target=target)
    finally:
        sys.modules.pop("own_steps", None)
    assert "own_steps.Ratio" in model.checks["format_safe"].reason
    assert_replayed(model)


def test_a_saved_model_of_keras(package: Package) -> None:
    keras: Any = pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    inputs, _ = load_wine(return_X_y=True, as_frame=True)
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((13,)), keras.layers.Dense(1)])
    assert_replayed(package(model, inputs, task="regression"))


def test_a_text_classifier_of_transformers(package: Package, folder: Path, sentences: pd.DataFrame) -> None:  # noqa: F811
    assert_replayed(package(str(folder), sentences[["sentence"]], task="classification"))
