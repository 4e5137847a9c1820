"""scikit-learn models, converted, answer as they did: over kinds of models, columns and missing values."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from taxiway.packaging.frameworks import adapter_for
from taxiway.packaging.inference import columns_of
from taxiway.packaging.parity import Parity
from taxiway.packaging.proof import prove

from .conftest import NUMERIC, Weather, columns


def proven(model: Any, frame: pd.DataFrame) -> tuple[bytes, Parity]:
    with tempfile.TemporaryDirectory() as folder:
        export, report = prove(adapter_for(model), columns_of(frame), frame, None, Path(folder), waive=False)
        data = (export.folder / "model.onnx").read_bytes()
    assert report.passed
    assert report.rows == len(frame)
    return data, report


CLASSIFIERS = [
    LogisticRegression(max_iter=5000),
    make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(StandardScaler(), SVC()),
    make_pipeline(MinMaxScaler(), KNeighborsClassifier()),
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(20, random_state=0),
    make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)),
    GradientBoostingClassifier(n_estimators=20, random_state=0),
    make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=20, random_state=0)),
    HistGradientBoostingClassifier(max_iter=20, random_state=0),
    GaussianNB(),
]


@pytest.mark.parametrize(
    "model", CLASSIFIERS, ids=lambda model: type(getattr(model, "steps", [(0, model)])[-1][1]).__name__
)
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_a_classifier_of_named_columns_answers_alike(model: Any, load: Any) -> None:
    inputs, target = load(return_X_y=True, as_frame=True)
    proven(model.fit(inputs, target), inputs)


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), Ridge()),
        RandomForestRegressor(20, random_state=0),
        ExtraTreesRegressor(20, random_state=0),
        HistGradientBoostingRegressor(max_iter=20, random_state=0),
        make_pipeline(
            StandardScaler(),
            MLPRegressor(hidden_layer_sizes=(8,), max_iter=9000, solver="lbfgs", random_state=0),
        ),
    ],
    ids=lambda model: type(getattr(model, "steps", [(0, model)])[-1][1]).__name__,
)
def test_a_regressor_answers_alike(model: Any) -> None:
    inputs, target = load_diabetes(return_X_y=True, as_frame=True)
    adapter = adapter_for(model.fit(inputs, target))
    assert adapter.task == "regression"
    proven(model, inputs)


def test_several_predictions_become_several_columns(tmp_path: Path) -> None:
    inputs, target = load_diabetes(return_X_y=True, as_frame=True)
    both = pd.DataFrame({"y": target, "z": -2 * target})
    model = LinearRegression().fit(inputs, both)
    export = adapter_for(model).export(columns_of(inputs), inputs, "float64", tmp_path)
    assert [output.name for output in export.outputs] == ["prediction_0", "prediction_1"]
    proven(model, inputs)


@pytest.mark.parametrize(
    "model", [KMeans(3, random_state=0), IsolationForest(n_estimators=20, random_state=0)], ids=str
)
def test_a_model_without_a_target_gives_labels(model: Any) -> None:
    inputs, _ = load_iris(return_X_y=True, as_frame=True)
    proven(model.fit(inputs), inputs)


def test_a_model_fitted_on_an_array_takes_named_columns() -> None:
    inputs, target = load_iris(return_X_y=True, as_frame=True)
    proven(LogisticRegression(max_iter=1000).fit(inputs.to_numpy(), target), inputs)


@pytest.mark.parametrize("labels", ["text", "bool", "int", "float"])
def test_labels_come_back_as_they_were(weather: Weather, labels: str, tmp_path: Path) -> None:
    target: Any = {
        "text": weather.rain.map({True: "rain", False: "dry"}),
        "bool": weather.rain,
        "int": weather.rain.astype(int) + 4,
        "float": weather.rain.astype(float),
    }[labels]
    model = Pipeline([("columns", columns()), ("model", LogisticRegression())]).fit(weather.inputs, target)
    adapter = adapter_for(model)
    export = adapter.export(columns_of(weather.inputs), weather.inputs, "float32", tmp_path)
    kinds = {"text": "string", "bool": "bool", "int": "int64", "float": "int64"}
    assert export.outputs[0].dtype == kinds[labels]
    proven(model, weather.inputs)


@pytest.mark.parametrize("text", ["str", "object", "category"])
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
        make_pipeline(
            SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore")
        ),
    ],
    ids=["as a category", "most frequent", "constant"],
)
def test_missing_numbers_and_texts_are_filled_alike(weather: Weather, text: str, encoder: Any) -> None:
    inputs = weather.inputs.copy()
    inputs.loc[inputs.index[::7], "wind"] = np.nan
    inputs.loc[inputs.index[::5], "season"] = None
    inputs = inputs.astype({"season": text})
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    model = Pipeline([("columns", columns(numeric, encoder)), ("model", LogisticRegression())])
    model.fit(inputs, weather.rain)
    signature = {column.name: column for column in columns_of(inputs)}
    assert signature["wind"].nullable
    assert signature["season"].nullable
    proven(model, inputs)


def test_whole_numbers_and_booleans_can_be_categories(weather: Weather) -> None:
    transformer = ColumnTransformer(
        [
            ("numeric", "passthrough", ["wind", "temp_max"]),
            ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["month", "weekend"]),
            ("order", OrdinalEncoder(), ["season"]),
        ]
    )
    model = Pipeline([("columns", transformer), ("model", HistGradientBoostingClassifier(max_iter=20))])
    proven(model.fit(weather.inputs, weather.rain), weather.inputs)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "Float64", "Int64", "int64", "int8", "double[pyarrow]", "int64[pyarrow]"]
)
def test_every_dtype_of_numbers_is_fed_alike(weather: Weather, dtype: str) -> None:
    inputs = weather.inputs[NUMERIC].round().astype(dtype)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, weather.rain)
    proven(model, inputs)


@pytest.mark.parametrize(
    "model", CLASSIFIERS[:6], ids=lambda model: type(getattr(model, "steps", [(0, model)])[-1][1]).__name__
)
def test_the_same_model_gives_the_same_bytes(model: Any) -> None:
    inputs, target = load_iris(return_X_y=True, as_frame=True)
    model.fit(inputs, target)
    assert proven(model, inputs)[0] == proven(model, inputs)[0]


def test_seeds_are_found_in_every_step(weather: Weather) -> None:
    forest = RandomForestClassifier(5, random_state=np.random.RandomState(3))
    one = make_pipeline(StandardScaler(), forest).fit(weather.inputs[NUMERIC], weather.rain)
    assert adapter_for(one).seeds() == {"randomforestclassifier.random_state": "RandomState"}
    two = RandomForestClassifier(5, random_state=3).fit(weather.inputs[NUMERIC], weather.rain)
    assert adapter_for(two).seeds() == {"random_state": 3}
    three = LogisticRegression(max_iter=1000).fit(weather.inputs[NUMERIC], weather.rain)
    assert adapter_for(three).seeds() == {}
