"""scikit-learn, from the object to the answer over HTTP."""

from __future__ import annotations

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .conftest import Ask, Package, assert_alike


def test_a_pipeline_answers_over_http_as_in_the_notebook(package: Package, ask: Ask) -> None:
    inputs, target = load_iris(return_X_y=True, as_frame=True)
    original = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, target)
    given = ask(package(original, inputs, target=target), inputs)
    probabilities = original.predict_proba(inputs)
    expected = {"label": original.predict(inputs)}
    expected |= {f"probability_{one}": probabilities[:, one] for one in original.classes_}
    assert_alike(given, expected)
