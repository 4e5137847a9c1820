"""A Model packaged once for the whole session, and endpoints that serve it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taxiway.control import agent_process
from taxiway.control.api import deploy
from taxiway.control.endpoint import Endpoint
from taxiway.demo import weather
from taxiway.packaging import package
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store holds two versions of ``rain``: of 2012, and of 2012 and 2013."""
    home = tmp_path_factory.mktemp("packaged")
    days = weather.days()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXIWAY_HOME", str(home))
        for until in (2012, 2013):
            known = days[days["date"].dt.year <= until]
            fitted = weather.pipeline().fit(known[weather.FEATURES], known["rain"])
            package(
                fitted,
                replay=False,
                name="rain",
                reference=known[weather.FEATURES],
                target=known["rain"],
                metrics={"accuracy": 0.73},
            )
    return home


@pytest.fixture
def home(taxiway_home: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of this test with the two Models in it; whatever it starts is stopped."""
    shutil.copytree(packaged / "store", taxiway_home / "store")
    monkeypatch.setenv("TAXIWAY_MONITOR_INTERVAL", "0.3")
    yield taxiway_home
    agent_process.stop()


@pytest.fixture
def tags(home: Path) -> tuple[str, str]:
    """The older and the newer Model's tag."""
    from taxiway.packaging.registry import list_models

    newer, older = list_models("rain")
    return older.tag, newer.tag


@pytest.fixture
def endpoint(tags: tuple[str, str]) -> Endpoint:
    """The older Model, live on ``rain``."""
    return deploy(tags[0], endpoint="rain", window="month")


@pytest.fixture
def until() -> Callable[..., object]:
    """Wait for something to be so."""
    return wait_until
