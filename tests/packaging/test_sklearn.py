"""scikit-learn models, converted, answer as they did: over kinds of models, columns and missing values."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDOneClassSVM
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from taxiway.errors import PackagingError
from taxiway.packaging import sources
from taxiway.packaging.frameworks import Options, adapter_for
from taxiway.packaging.inference import columns_of
from taxiway.packaging.parity import Parity
from taxiway.packaging.proof import prove

from .conftest import NUMERIC, Weather, columns


def proven(model: Any, frame: pd.DataFrame) -> tuple[bytes, Parity]:
    adapter = adapter_for(model)
    assert type(model).__module__ in adapter.modules()
    with tempfile.TemporaryDirectory() as folder:
        export, report = prove(adapter, columns_of(frame), frame, None, Path(folder), waive=False)
        data = (export.folder / "model.onnx").read_bytes()
    assert report.passed
    assert report.rows == len(frame)
    return data, report


def outputs_of(model: Any, frame: pd.DataFrame) -> dict[str, str]:
    """Prove a model, and give its outputs with their dtypes."""
    with tempfile.TemporaryDirectory() as folder:
        export, report = prove(adapter_for(model), columns_of(frame), frame, None, Path(folder), waive=False)
    assert report.passed
    return {output.name: output.dtype for output in export.outputs}


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
    "model",
    [
        KMeans(3, random_state=0),
        MiniBatchKMeans(3, random_state=0),
        GaussianMixture(3, random_state=0),
        make_pipeline(StandardScaler(), KMeans(3, random_state=0)),
    ],
    ids=lambda model: type(getattr(model, "steps", [(0, model)])[-1][1]).__name__,
)
def test_a_clusterer_gives_the_number_of_the_cluster(model: Any) -> None:
    inputs, _ = load_iris(return_X_y=True, as_frame=True)
    assert adapter_for(model.fit(inputs)).task == "clustering"
    assert outputs_of(model, inputs) == {"label": "int64"}


@pytest.mark.parametrize(
    "model",
    [
        IsolationForest(n_estimators=20, random_state=0),
        make_pipeline(StandardScaler(), OneClassSVM()),
        make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
        make_pipeline(StandardScaler(), SGDOneClassSVM(random_state=0)),
    ],
    ids=lambda model: type(getattr(model, "steps", [(0, model)])[-1][1]).__name__,
)
def test_an_outlier_detector_gives_a_label_and_a_score(model: Any) -> None:
    inputs, _ = load_wine(return_X_y=True, as_frame=True)
    adapter = adapter_for(model.fit(inputs))
    assert adapter.task == "outliers"
    assert list(adapter.answers(inputs)["score"]) == list(model.decision_function(inputs))
    assert set(adapter.answers(inputs)["label"]) == {-1, 1}
    assert list(outputs_of(model, inputs)) == ["label", "score"]


def several_labels() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Which iris it is, and whether its sepal is long."""
    inputs, kind = load_iris(return_X_y=True, as_frame=True)
    return inputs, pd.DataFrame({"kind": kind, "long": (inputs.iloc[:, 0] > 5.8).astype(int)})


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(10, random_state=0),
        make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
        ExtraTreesClassifier(10, random_state=0),
        MultiOutputClassifier(LogisticRegression(max_iter=1000)),
        make_pipeline(StandardScaler(), MultiOutputClassifier(RandomForestClassifier(5, random_state=0))),
    ],
    ids=["forest", "scaled forest", "extra trees", "one a label", "scaled, a forest a label"],
)
def test_a_classifier_of_several_labels_gives_each_and_its_probabilities(model: Any) -> None:
    inputs, targets = several_labels()
    assert list(outputs_of(model.fit(inputs, targets), inputs)) == [
        *("label_0", "label_1", "probability_0_0", "probability_0_1", "probability_0_2"),
        *("probability_1_0", "probability_1_1"),
    ]
    assert adapter_for(model).classes is None


def test_several_labels_can_be_texts_and_booleans() -> None:
    inputs, targets = several_labels()
    model = MultiOutputClassifier(LogisticRegression(max_iter=1000))
    texts = pd.DataFrame({"kind": targets.kind.map(str), "long": targets.long.map({0: "no", 1: "yes"})})
    assert outputs_of(model.fit(inputs, texts), inputs)["label_1"] == "string"
    assert outputs_of(model.fit(inputs, targets > 0), inputs)["label_0"] == "bool"


@pytest.mark.parametrize(
    "model", [KNeighborsClassifier(), OneVsRestClassifier(LogisticRegression())], ids=str
)
def test_a_multilabel_classifier_says_of_each_label_whether_it_applies(model: Any) -> None:
    inputs, targets = several_labels()
    given = outputs_of(model.fit(inputs, (targets > 0).astype(int)), inputs)
    assert {"label_0", "label_1", "probability_0_1", "probability_1_1"} <= given.keys()


@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(10, random_state=0),
        make_pipeline(StandardScaler(), RandomForestRegressor(10, random_state=0)),
        MultiOutputRegressor(GradientBoostingRegressor(n_estimators=10, random_state=0)),
        MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=10)),
        make_pipeline(StandardScaler(), KNeighborsRegressor()),
    ],
    ids=["forest", "scaled forest", "gradient boosting", "histogram", "neighbours"],
)
def test_a_regressor_of_several_numbers_gives_each(model: Any) -> None:
    inputs, target = load_diabetes(return_X_y=True, as_frame=True)
    both = pd.DataFrame({"y": target, "z": -2 * target})
    assert list(outputs_of(model.fit(inputs, both), inputs)) == ["prediction_0", "prediction_1"]


def test_converting_a_forest_does_not_change_it() -> None:
    inputs, target = load_iris(return_X_y=True, as_frame=True)
    forest = RandomForestClassifier(5, random_state=0).fit(inputs, target)
    before = [tree.tree_.threshold.copy() for tree in forest.estimators_]
    proven(forest, inputs)
    after = [tree.tree_.threshold for tree in forest.estimators_]
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


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


def test_the_modules_of_estimators_within_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a package of the user's own with two modules, both imported, only the one in use goes along."""
    folder = tmp_path / "own_models"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "unused.py").write_text("")
    (folder / "used.py").write_text("from sklearn.linear_model import Ridge\nclass Own(Ridge):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        own = importlib.import_module("own_models.used").Own()
        importlib.import_module("own_models.unused")
        inputs, target = load_diabetes(return_X_y=True, as_frame=True)
        for outer in (
            own,
            make_pipeline(StandardScaler(), own),
            VotingRegressor([("own", own)]),
            StackingRegressor([("own", own)], final_estimator=own),
            MultiOutputRegressor(own),
            GridSearchCV(make_pipeline(own), {"own__alpha": [1.0]}),
            TransformedTargetRegressor(own),
        ):
            multiple = isinstance(outer, MultiOutputRegressor)
            outer.fit(inputs, np.c_[target, target] if multiple else target)
            found = adapter_for(outer).modules()
            assert "own_models.used" in found
            assert sources.collect(found).keys() == {"own_models/__init__.py", "own_models/used.py"}
        kinds, target = load_iris(return_X_y=True, as_frame=True)
        calibrated = CalibratedClassifierCV(make_pipeline(StandardScaler(), LogisticRegression()))
        assert "sklearn.preprocessing._data" in adapter_for(calibrated.fit(kinds, target)).modules()
    finally:
        for name in ("own_models", "own_models.used", "own_models.unused"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(task="regression"), "does classification, not regression"),
        (Options(classes=("a", "b", "c")), "classes= cannot change"),
        (Options(format="savedmodel"), "not as savedmodel"),
    ],
)
def test_what_is_said_of_a_model_that_knows_better_is_refused(options: Options, words: str) -> None:
    inputs, target = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(inputs, target)
    with pytest.raises(PackagingError, match=words) as refused:
        adapter_for(model, options)
    assert refused.value.hint
    same = Options(task="classification", classes=(0, 1, 2), format="onnx")
    assert adapter_for(model, same).classes == (0, 1, 2)
