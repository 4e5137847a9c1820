"""Homes in which Models were packaged, once for a whole run of the tests.

Each of the processes that share the tests' work gets a copy of its own, since a test may spoil what it uses.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
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
from taxiway.packaging import registry
from taxiway.packaging.model import Model

NUMERIC = ["temp_max", "temp_min", "wind", "month"]


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[], object]) -> Path:
    """Give a home that ``fill`` has filled; it is called by the first process that asks, for all of them."""
    mine = factory.mktemp(name) / "home"
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"{name}-for-all"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.is_dir():
            with pytest.MonkeyPatch.context() as patch:
                half = shared.with_suffix(".half")
                shutil.rmtree(half, ignore_errors=True)  # of one that failed
                patch.setenv("TAXIWAY_HOME", str(half))
                for variable in ("BENTOML_HOME", "TAXIWAY_RUN_DIR"):
                    patch.delenv(variable, raising=False)
                half.mkdir()
                fill()
            half.rename(shared)
    shutil.copytree(shared, mine, symlinks=True)
    return mine


# --- the weather of Seattle, and a classifier of it


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


# --- homes


@dataclass(frozen=True)
class Packaged:
    """A home in which one Model has been packaged."""

    home: Path
    model: Model


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory, weather: Weather, classifier: Pipeline) -> Packaged:
    """The weather classifier, packaged once for all tests that only look at it."""

    def fill() -> None:
        taxiway.package(
            classifier,
            replay=False,
            name="rain",
            reference=weather.inputs,
            target=weather.rain,
            metrics={"accuracy": 0.7},
        )

    home = once(tmp_path_factory, "packaged", fill)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXIWAY_HOME", str(home))
        return Packaged(home, registry.load("rain"))


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store holds two versions of ``rain``: of 2012, and of 2012 and 2013."""
    return once(tmp_path_factory, "two-versions", package_two_versions)


def package_two_versions() -> None:
    """Package two versions of ``rain`` in the home of the settings."""
    from taxiway.demo import weather

    days = weather.days()
    for until in (2012, 2013):
        known = days[days["date"].dt.year <= until]
        fitted = weather.pipeline().fit(known[weather.FEATURES], known["rain"])
        taxiway.package(
            fitted,
            replay=False,
            name="rain",
            reference=known[weather.FEATURES],
            target=known["rain"],
            metrics={"accuracy": 0.73},
        )
