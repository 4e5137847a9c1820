"""CatBoost answers over HTTP as in the notebook, or is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Options, adapter_for

from .conftest import Ask, Package, assert_alike, with_gaps

catboost = pytest.importorskip("catboost")

DIABETES, PROGRESS = load_diabetes(return_X_y=True, as_frame=True)
IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
QUIET = {"iterations": 20, "verbose": 0, "allow_writing_files": False}


@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_a_classifier_with_missing_values_answers_over_http_as_in_the_notebook(
    package: Package, ask: Ask, texts: bool
) -> None:
    inputs = with_gaps(IRIS)
    target = np.array(["setosa", "versicolor", "virginica"])[SPECIES] if texts else SPECIES.to_numpy()
    original = catboost.CatBoostClassifier(**QUIET).fit(inputs, target)
    model = package(original, inputs, target=target)
    assert (model.framework, model.task) == ("catboost", "classification")
    table = original.predict_proba(inputs)
    expected: dict[str, Any] = {"label": original.predict(inputs).ravel()}
    expected |= {f"probability_{kind}": table[:, index] for index, kind in enumerate(original.classes_)}
    assert_alike(ask(model, inputs), expected)


@pytest.mark.parametrize("loss", ["RMSE", "MAE", "Quantile:alpha=0.9"])
def test_a_regressor_answers_over_http_as_in_the_notebook(package: Package, ask: Ask, loss: str) -> None:
    inputs = with_gaps(DIABETES)
    original = catboost.CatBoostRegressor(loss_function=loss, **QUIET).fit(inputs, PROGRESS)
    assert_alike(ask(package(original, inputs), inputs), {"prediction": original.predict(inputs)})


@pytest.mark.parametrize(
    ("original", "why"),
    [
        (
            lambda: catboost.CatBoostRegressor(cat_features=["sex"], **QUIET).fit(
                DIABETES.assign(sex=np.where(DIABETES.sex > 0, "a", "b")), PROGRESS
            ),
            r"categories \(sex\)",
        ),
        (
            lambda: catboost.CatBoostRegressor(loss_function="Poisson", **QUIET).fit(DIABETES, PROGRESS),
            "Poisson",
        ),
        (
            lambda: catboost.CatBoostRegressor(loss_function="MultiRMSE", **QUIET).fit(
                DIABETES, np.c_[PROGRESS, -PROGRESS]
            ),
            "MultiRMSE",
        ),
        (lambda: catboost.CatBoostClassifier(**QUIET).fit(DIABETES, PROGRESS > 100), "True and False"),
        (lambda: catboost.CatBoostRegressor(), "not fitted"),
    ],
    ids=["categories", "poisson", "several", "booleans", "unfitted"],
)
def test_what_has_no_exact_form_is_refused_by_name(package: Package, original: Any, why: str) -> None:
    with pytest.raises(PackagingError, match=why) as refused:
        package(original(), DIABETES)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(task="classification"), "does regression, not classification"),
        (Options(classes=("a", "b")), "knows no classes"),
        (Options(format="savedmodel"), "not as savedmodel"),
    ],
)
def test_what_is_said_of_a_model_that_knows_better_is_refused(options: Options, words: str) -> None:
    model = catboost.CatBoostRegressor(**QUIET).fit(DIABETES, PROGRESS)
    with pytest.raises(PackagingError, match=words):
        adapter_for(model, options)
