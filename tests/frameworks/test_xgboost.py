"""XGBoost: boosters and wrappers answer over HTTP as in the notebook, or are refused by name."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from taxiway.errors import PackagingError
from taxiway.packaging import distributions
from taxiway.packaging.frameworks import adapter_for

from .conftest import Ask, Package, assert_alike, with_gaps

xgboost = pytest.importorskip("xgboost")

CANCER, MALIGNANT = load_breast_cancer(return_X_y=True, as_frame=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True, as_frame=True)
IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)


def test_a_classifier_with_missing_values_answers_over_http_as_in_the_notebook(
    package: Package, ask: Ask
) -> None:
    inputs = with_gaps(CANCER)
    original = xgboost.XGBClassifier(n_estimators=20, random_state=0).fit(inputs, MALIGNANT)
    model = package(original, inputs, target=MALIGNANT)
    assert (model.framework, model.task, model.classes) == ("xgboost", "classification", (0, 1))
    table = original.predict_proba(inputs)
    expected = {"label": original.predict(inputs), "probability_0": table[:, 0], "probability_1": table[:, 1]}
    assert_alike(ask(model, inputs), expected)


def test_a_booster_of_its_own_answers_over_http_and_its_classes_can_be_named(
    package: Package, ask: Ask
) -> None:
    inputs = with_gaps(IRIS)
    parameters = {"objective": "multi:softprob", "num_class": 3}
    original = xgboost.train(parameters, xgboost.DMatrix(inputs, label=SPECIES), 10)
    kinds = ("setosa", "versicolor", "virginica")
    model = package(original, inputs, classes=kinds)
    table = original.predict(xgboost.DMatrix(inputs))
    expected: dict[str, Any] = {"label": np.array(kinds)[table.argmax(axis=1)]}
    expected |= {f"probability_{kind}": table[:, index] for index, kind in enumerate(kinds)}
    assert_alike(ask(model, inputs), expected)


def test_a_scaled_pipeline_answers_over_http_as_in_the_notebook(package: Package, ask: Ask) -> None:
    """XGBoost splits at values of the data, so that the last bit of a scaled number decides."""
    inputs = with_gaps(DIABETES)
    original = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=20)).fit(inputs, PROGRESS)
    model = package(original, inputs, target=PROGRESS)
    assert model.framework == "sklearn"
    assert_alike(ask(model, inputs), {"prediction": original.predict(inputs)})


def test_categories_encoded_in_a_pipeline_answer_alike(package: Package) -> None:
    inputs = DIABETES.assign(sex=np.where(DIABETES.sex > 0, "a", "b"))
    encoder = ColumnTransformer(
        [("sex", OneHotEncoder(handle_unknown="ignore"), ["sex"])], remainder="passthrough"
    )
    original = make_pipeline(encoder, xgboost.XGBRegressor(n_estimators=20)).fit(inputs, PROGRESS)
    assert package(original, inputs).parity.passed


@pytest.mark.parametrize(
    "original",
    [
        lambda: xgboost.XGBRegressor(n_estimators=10, objective="count:poisson").fit(DIABETES, PROGRESS),
        lambda: xgboost.XGBRFRegressor(n_estimators=10).fit(DIABETES, PROGRESS),
        lambda: xgboost.XGBRegressor(n_estimators=10).fit(DIABETES.to_numpy(), PROGRESS),
        lambda: MultiOutputRegressor(xgboost.XGBRegressor(n_estimators=5)).fit(
            DIABETES, np.c_[PROGRESS, -PROGRESS]
        ),
        lambda: xgboost.XGBRegressor(n_estimators=90, learning_rate=0.9, early_stopping_rounds=2).fit(
            DIABETES[:300], PROGRESS[:300], eval_set=[(DIABETES[300:], PROGRESS[300:])], verbose=False
        ),
    ],
    ids=["poisson", "forest", "array", "two targets", "stopped early"],
)
def test_other_regressors_answer_alike(package: Package, original: Any) -> None:
    assert package(original(), DIABETES).parity.passed


@pytest.mark.parametrize(
    ("original", "why"),
    [
        (lambda: xgboost.XGBRegressor(booster="dart", n_estimators=5).fit(DIABETES, PROGRESS), "dart"),
        (lambda: xgboost.XGBRegressor(booster="gblinear").fit(DIABETES, PROGRESS), "gblinear"),
        (lambda: xgboost.XGBRegressor(missing=-1).fit(DIABETES, PROGRESS), "-1 for a missing"),
        (lambda: xgboost.XGBRegressor().fit(DIABETES, np.c_[PROGRESS, -PROGRESS]), "several targets"),
        (lambda: xgboost.XGBRFClassifier(n_estimators=5).fit(IRIS, SPECIES), "forest of more than two"),
        (lambda: xgboost.XGBRegressor(), "not fitted"),
        (
            lambda: xgboost.XGBRegressor(enable_categorical=True).fit(
                DIABETES.assign(sex=pd.Categorical(np.where(DIABETES.sex > 0, "a", "b"))), PROGRESS
            ),
            "categories",
        ),
        (
            lambda: xgboost.train(
                {"objective": "binary:logitraw"}, xgboost.DMatrix(CANCER, label=MALIGNANT), 5
            ),
            "binary:logitraw",
        ),
        (
            lambda: make_pipeline(StandardScaler(), xgboost.XGBRegressor(booster="dart")).fit(
                DIABETES, PROGRESS
            ),
            "dart",
        ),
    ],
    ids=["dart", "linear", "missing", "targets", "forest", "unfitted", "categories", "raw", "in a pipeline"],
)
def test_what_has_no_exact_form_is_refused_by_name(package: Package, original: Any, why: str) -> None:
    with pytest.raises(PackagingError, match=why) as refused:
        package(original(), DIABETES)
    assert refused.value.hint


def test_packaging_twice_gives_the_same_version(package: Package) -> None:
    original = xgboost.XGBClassifier(n_estimators=5).fit(IRIS, SPECIES)
    assert package(original, IRIS).version == package(original, IRIS).version


def test_a_missing_converter_names_the_extra(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "onnxmltools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxmltools", None)
    with pytest.raises(PackagingError, match="onnxmltools must be installed") as refused:
        package(xgboost.XGBClassifier(n_estimators=5).fit(IRIS, SPECIES), IRIS)
    assert refused.value.hint == "pip install 'taxiway[xgboost]'"


def test_a_booster_within_an_ensemble_is_needed() -> None:
    inner = xgboost.XGBRegressor(n_estimators=2)
    model = VotingRegressor([("trees", inner), ("line", LinearRegression())]).fit(DIABETES, PROGRESS)
    needed = distributions.needed_by(adapter_for(model).modules())
    assert "scikit-learn" in needed
    assert {"xgboost", "xgboost-cpu"} & needed.keys()
