"""LightGBM: boosters and wrappers answer over HTTP as in the notebook, or are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from taxiway.errors import PackagingError

from .conftest import Ask, Package, assert_alike, with_gaps

lightgbm = pytest.importorskip("lightgbm")

CANCER, MALIGNANT = load_breast_cancer(return_X_y=True, as_frame=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True, as_frame=True)
IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
QUIET = {"n_estimators": 20, "verbose": -1}


def test_a_classifier_of_texts_with_missing_values_answers_over_http_as_in_the_notebook(
    package: Package, ask: Ask
) -> None:
    inputs, target = with_gaps(CANCER), np.where(MALIGNANT, "benign", "malignant")
    original = lightgbm.LGBMClassifier(**QUIET).fit(inputs, target)
    model = package(original, inputs, target=target)
    assert (model.framework, model.classes) == ("lightgbm", ("benign", "malignant"))
    table = original.predict_proba(inputs)
    expected = {"label": original.predict(inputs)}
    expected |= {f"probability_{kind}": table[:, index] for index, kind in enumerate(original.classes_)}
    assert_alike(ask(model, inputs), expected)


def test_a_booster_of_its_own_answers_over_http_as_in_the_notebook(package: Package, ask: Ask) -> None:
    inputs = with_gaps(DIABETES)
    original = lightgbm.train(
        {"objective": "regression", "verbose": -1}, lightgbm.Dataset(inputs, PROGRESS), 20
    )
    assert_alike(ask(package(original, inputs), inputs), {"prediction": original.predict(inputs)})


def test_a_pipeline_answers_over_http_as_in_the_notebook(package: Package, ask: Ask) -> None:
    inputs = with_gaps(DIABETES).assign(sex=np.where(DIABETES.sex > 0, "a", "b"))
    encoder = ColumnTransformer(
        [("sex", OneHotEncoder(handle_unknown="ignore"), ["sex"])], remainder=StandardScaler()
    )
    original = make_pipeline(encoder, lightgbm.LGBMRegressor(**QUIET)).fit(inputs, PROGRESS)
    assert_alike(ask(package(original, inputs), inputs), {"prediction": original.predict(inputs)})


@pytest.mark.parametrize(
    "original",
    [
        lambda: lightgbm.LGBMClassifier(**QUIET).fit(IRIS, SPECIES),
        lambda: lightgbm.LGBMClassifier(**QUIET).fit(IRIS, SPECIES > 0),
        lambda: lightgbm.train(
            {"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(IRIS, SPECIES), 10
        ),
        lambda: lightgbm.LGBMRegressor(objective="poisson", **QUIET).fit(IRIS, SPECIES + 1),
        lambda: lightgbm.LGBMRegressor(boosting_type="dart", **QUIET).fit(IRIS, SPECIES),
        lambda: lightgbm.LGBMRegressor(**QUIET).fit(
            IRIS.round().astype("int64"), SPECIES, categorical_feature=[0, 1]
        ),
    ],
    ids=["three classes", "booleans", "booster", "poisson", "dart", "numbered categories"],
)
def test_other_models_answer_alike(package: Package, original: Any) -> None:
    model = original()
    inputs = (
        IRIS.round().astype("int64") if "categorical" in str(getattr(model, "_other_params", "")) else IRIS
    )
    assert package(model, inputs).parity.passed


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}, "random forest"),
        ({"zero_as_missing": True}, "0 for a missing value"),
        ({"use_missing": False}, "NaN for 0"),
        ({"linear_tree": True}, "linear models in its leaves"),
        ({"objective": "mape"}, "mape"),
    ],
    ids=str,
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a pipeline"])
def test_what_has_no_exact_form_is_refused_by_name(
    package: Package, parameters: dict[str, Any], why: str, inside: bool
) -> None:
    model = lightgbm.LGBMRegressor(**parameters, **QUIET)
    model = make_pipeline(StandardScaler(), model) if inside else model
    with pytest.raises(PackagingError, match=why) as refused:
        package(model.fit(DIABETES, PROGRESS), DIABETES)
    assert refused.value.hint


def test_categories_of_pandas_are_refused_with_what_to_do(package: Package) -> None:
    inputs = DIABETES.assign(sex=pd.Categorical(np.where(DIABETES.sex > 0, "a", "b")))
    with pytest.raises(PackagingError, match="categories") as refused:
        package(lightgbm.LGBMRegressor(**QUIET).fit(inputs, PROGRESS), inputs)
    assert "OneHotEncoder" in refused.value.hint


def test_columns_in_another_order_and_unfitted_models_are_refused(package: Package) -> None:
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(CANCER, MALIGNANT), 5)
    with pytest.raises(PackagingError, match="another order"):
        package(booster, CANCER[CANCER.columns[::-1]])
    with pytest.raises(PackagingError, match="not fitted"):
        package(lightgbm.LGBMRegressor(), CANCER)
