from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from taxiway.errors import InputError
from taxiway.monitoring.drift import drift
from taxiway.monitoring.profiles import profile
from taxiway.packaging.importance import check, of_estimator
from tests.monitoring.weather import of_month, of_year, seattle

NUMBERS = ["precipitation", "temp_max", "temp_min", "wind"]


@pytest.fixture(scope="module")
def year():
    return of_year(seattle(), 2012)


def test_a_forest_and_a_linear_model_tell_their_columns(year):
    rain = year["weather"] == "rain"
    forest = RandomForestClassifier(10, random_state=0).fit(year[NUMBERS], rain)
    told = of_estimator(forest, year[NUMBERS])
    assert list(told) == NUMBERS
    assert list(told.values()) == pytest.approx(forest.feature_importances_, abs=1e-5)
    # a feature in other units matters as much as before
    linear = LogisticRegression(max_iter=10_000, C=1e6)
    told = of_estimator(linear.fit(year[NUMBERS], rain), year[NUMBERS])
    scaled = year[NUMBERS].assign(wind=year["wind"] / 1000)
    again = of_estimator(make_pipeline(StandardScaler(), linear).fit(scaled, rain), scaled)
    assert again["wind"] == pytest.approx(told["wind"], abs=0.02)


def test_the_features_that_a_pipeline_makes_add_up_to_their_column(year):
    inputs = year[["wind", "weather"]]
    parts = ColumnTransformer([("kind", OneHotEncoder(), ["weather"]), ("rest", StandardScaler(), ["wind"])])
    model = make_pipeline(parts, LogisticRegression()).fit(inputs, year["temp_max"] > 15)
    told = of_estimator(model, inputs)
    assert set(told) == {"wind", "weather"}
    assert sum(told.values()) == pytest.approx(1, abs=1e-5)


def test_a_model_that_does_not_tell_is_not_guessed_at(year):
    assert of_estimator(KNeighborsClassifier().fit(year[NUMBERS], year["weather"]), year[NUMBERS]) == {}
    assert of_estimator(object(), year) == {}


def test_given_importances_are_checked_by_name():
    assert check({"a": 3, "b": 1}, ["a", "b", "c"]) == {"a": 0.75, "b": 0.25, "c": 0.0}
    assert check({}, ["a"]) == {}
    with pytest.raises(InputError, match="'moon', which is no column"):
        check({"moon": 1}, ["a"])
    with pytest.raises(InputError, match="importance of 'a' is -1"):
        check({"a": -1}, ["a"])
    with pytest.raises(InputError, match="All importances are 0"):
        check({"a": 0}, ["a"])


def test_contributions_are_shares_weighted_by_importance(year):
    january = of_month(seattle(), 2013, 1)
    same = {one.column: one for one in drift(profile(year), profile(january))}
    assert sum(one.contribution for one in same.values()) == pytest.approx(1)
    weights = {"temp_max": 0.0, "temp_min": 1.0, "wind": 1.0}
    found = {one.column: one for one in drift(profile(year), profile(january), weights=weights)}
    assert found["temp_max"].contribution == 0
    assert found["precipitation"].contribution is None
    shares = np.array([found[name].psi for name in ("temp_min", "wind")])
    assert found["temp_min"].contribution == pytest.approx(shares[0] / shares.sum())
