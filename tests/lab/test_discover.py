"""What the "Package model" button finds in a kernel."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taxiway.lab.discover import Discovery, discover


def namespace() -> dict[str, object]:
    X_train = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
    y_train = pd.Series([0, 0, 1, 1], name="rain")
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
    return {
        "X_train": X_train,
        "y_train": y_train,
        "pipeline": fitted,
        "unfitted": LogisticRegression(),
        "scaler": StandardScaler().fit(X_train),
        "LogisticRegression": LogisticRegression,
        "_": fitted,
        "number": 3,
    }


def test_fitted_and_unfitted_estimators_are_told_apart_and_transformers_left_out() -> None:
    models = discover(namespace())["models"]
    assert [(model["variable"], model["fitted"]) for model in models] == [
        ("pipeline", True),
        ("unfitted", False),
    ]
    assert models[0]["columns"] == ["a", "b"]
    assert models[0]["type"] == "Pipeline"


def test_frames_and_series_are_found_with_their_shapes() -> None:
    assert discover(namespace())["data"] == [
        {"variable": "X_train", "kind": "DataFrame", "rows": 4, "columns": ["a", "b"]},
        {"variable": "y_train", "kind": "Series", "rows": 4, "columns": ["rain"]},
    ]


def test_an_estimator_that_raises_when_asked_is_not_fitted() -> None:
    class Broken(LogisticRegression):
        def __sklearn_is_fitted__(self) -> bool:
            raise RuntimeError("broken")

    assert discover({"model": Broken()})["models"][0]["fitted"] is False


def test_the_kernel_is_answered_in_json() -> None:
    bundle = Discovery(namespace())._repr_mimebundle_()
    assert bundle["application/json"] == discover(namespace())
    assert "1 models" not in str(bundle["text/plain"])


def test_a_kernel_without_sklearn_or_pandas_is_searched_without_importing_them() -> None:
    code = (
        "import sys; from taxiway.lab.discover import discover; found = discover({'x': 1, 'y': [2]}); "
        "assert found == {'models': [], 'data': [], 'names': ['x', 'y']}, found; "
        "assert 'pandas' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
