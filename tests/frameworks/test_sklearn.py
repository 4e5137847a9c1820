"""scikit-learn, from the object to the answer over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from sklearn.cluster import Birch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taxiway.errors import PackagingError

from .conftest import PATHS, Ask, Package, assert_alike


def test_a_pipeline_answers_over_http_as_in_the_notebook(package: Package, ask: Ask) -> None:
    inputs, target = load_iris(return_X_y=True, as_frame=True)
    original = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, target)
    given = ask(package(original, inputs, target=target), inputs)
    probabilities = original.predict_proba(inputs)
    expected = {"label": original.predict(inputs)}
    expected |= {f"probability_{one}": probabilities[:, one] for one in original.classes_}
    assert_alike(given, expected)


def test_no_other_framework_is_imported_for_it() -> None:
    code = """if True:
        import sys
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression
        from taxiway.packaging.frameworks import adapter_for
        adapter_for(LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True)))
        others = {"xgboost", "lightgbm", "catboost", "torch", "tensorflow", "keras", "transformers", "skops"}
        print(sorted(others & sys.modules.keys()))
    """
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | PATHS
    )
    assert answer.stdout.strip() == "[]"


def test_without_skops_the_extra_is_named(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("skops", "skops.io"):
        monkeypatch.setitem(sys.modules, name, None)
    inputs, _ = load_iris(return_X_y=True, as_frame=True)
    original = Birch(n_clusters=3).fit(inputs)
    for more in ({}, {"format": "skops"}):
        with pytest.raises(PackagingError) as refused:
            package(original, inputs, **more)
        assert "pip install 'taxiway[skops]'" in refused.value.hint
