"""What the "Package model" button finds in a kernel."""

from __future__ import annotations

import json
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


def found_with(statements: str) -> list[dict[str, object]]:
    """What is found in a process of its own after some statements, with fake modules of the frameworks."""
    code = (
        f"{FAKES}\n{statements}\n"
        "import json; from taxiway.lab.discover import discover; before = set(sys.modules)\n"
        "models = discover(dict(globals()))['models']; assert set(sys.modules) == before\n"
        "print(json.dumps(models))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


#: Stands in for frameworks that need not be installed: modules of their names with classes of their names.
FAKES = """
import sys, types
def fake(module, name, **members):
    kind = type(name, (), members | {"__module__": module})
    sys.modules.setdefault(module, types.ModuleType(module))
    setattr(sys.modules[module], name, kind)
    return kind
"""


def test_boosters_networks_and_pipelines_are_found_without_importing_anything() -> None:
    models = found_with("""
XGB = fake("xgboost.core", "Booster", feature_names=["a", "b"], num_features=lambda s: 2,
           num_boosted_rounds=lambda s: 3)
LGB = fake("lightgbm.basic", "Booster", feature_name=lambda s: ["c"], num_feature=lambda s: 1,
           num_trees=lambda s: 0)
Cat = fake("catboost.core", "CatBoost", is_fitted=lambda s: True, feature_names_=["d", "e"])
Net = fake("torch.nn.modules.module", "Module", parameters=lambda s: iter(s.weights), weights=[1])
Deep = fake("keras.src.models.model", "Model", built=True, input_shape=(None, 4))
Pipe = fake("transformers.pipelines.base", "Pipeline", task="text-classification")
one, two, three, four, five, six = XGB(), LGB(), Cat(), Net(), Deep(), Pipe()
loss = Net(); loss.weights = []
fill = Pipe(); fill.task = "fill-mask"
""")
    assert [(one["variable"], one["framework"], one["fitted"], one["features"]) for one in models] == [
        ("one", "XGBoost", True, 2),
        ("two", "LightGBM", False, 1),
        ("three", "CatBoost", True, 2),
        ("four", "PyTorch", True, None),
        ("five", "Keras", True, 4),
        ("six", "Hugging Face", True, 1),
    ]
    assert models[0]["columns"] == ["a", "b"]


def test_a_model_that_raises_whatever_it_is_asked_is_found_all_the_same() -> None:
    [model] = found_with("""
def broken(self, *_): raise RuntimeError("broken")
one = fake("catboost.core", "CatBoost", is_fitted=broken, feature_names_=property(broken))()
""")
    assert model["fitted"] is False
    assert model["columns"] is None
