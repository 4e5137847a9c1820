"""A home with the two Models that were packaged for all, and an endpoint that serves one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taxiway.control import agent_process
from taxiway.control.api import deploy
from taxiway.control.endpoint import Endpoint
from tests.control.agents import agents, fake  # noqa: F401 - fixtures
from tests.control.alerts import book, clock, postman, smtp  # noqa: F401 - fixtures
from tests.control.receivers import receiver  # noqa: F401 - fixture
from tests.databases import bare_url, engines, ledger_url, migrated, postgres  # noqa: F401 - fixtures
from tests.waiting import wait_until


@pytest.fixture
def home(taxiway_home: Path, two_versions: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of this test with the two Models in it; whatever it starts is stopped."""
    shutil.copytree(two_versions / "store", taxiway_home / "store")
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
