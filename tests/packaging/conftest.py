"""Real data and real models for the packaging tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from vega_datasets import local_data

import taxiway
from taxiway.packaging.model import Model

NUMERIC = ["temp_max", "temp_min", "wind", "month"]


@dataclass(frozen=True)
class Weather:
    """Seattle's weather of 2012: inputs, and whether it rained."""

    inputs: pd.DataFrame
    rain: pd.Series[Any]


def columns_of_weather() -> pd.DataFrame:
    """The inputs: numbers, a whole number, a text and a truth value for each day of 2012."""
    data = _days()
    season = data["date"].dt.quarter.map({1: "winter", 2: "spring", 3: "summer", 4: "autumn"})
    return data[["temp_max", "temp_min", "wind"]].assign(
        month=data["date"].dt.month.astype("int64"),
        season=season,
        weekend=data["date"].dt.day_of_week >= 5,
    )


def _days() -> pd.DataFrame:
    data = local_data.seattle_weather()
    return data[data["date"].dt.year == 2012]


@pytest.fixture(scope="session")
def weather() -> Weather:
    return Weather(columns_of_weather(), (_days()["precipitation"] > 0).rename("rain"))


def columns(numeric: Any = None, text: Any = None) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numeric", numeric or StandardScaler(), [*NUMERIC, "weekend"]),
            ("text", text or OneHotEncoder(handle_unknown="ignore"), ["season"]),
        ]
    )


@pytest.fixture(scope="session")
def classifier(weather: Weather) -> Pipeline:
    pipeline = Pipeline([("columns", columns()), ("model", LogisticRegression())])
    return pipeline.fit(weather.inputs, weather.rain)


@dataclass(frozen=True)
class Packaged:
    """A home in which one Model has been packaged."""

    home: Path
    model: Model


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory, weather: Weather, classifier: Pipeline) -> Packaged:
    """The weather classifier, packaged once for all tests that only look at it."""
    home = tmp_path_factory.mktemp("packaged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXIWAY_HOME", str(home))
        for name in ("BENTOML_HOME", "TAXIWAY_RUN_DIR"):
            patch.delenv(name, raising=False)
        model = taxiway.package(
            classifier,
            replay=False,
            name="rain",
            reference=weather.inputs,
            target=weather.rain,
            metrics={"accuracy": 0.7},
        )
    return Packaged(home, model)


@pytest.fixture
def packaged_home(packaged: Packaged, monkeypatch: pytest.MonkeyPatch) -> Packaged:
    """The same, with TAXIWAY_HOME pointing at it."""
    monkeypatch.setenv("TAXIWAY_HOME", str(packaged.home))
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    return packaged
