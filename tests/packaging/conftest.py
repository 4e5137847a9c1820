"""What the packaging tests look at: the Model that was packaged for all, and its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores import NUMERIC, Packaged, Weather, columns, columns_of_weather

__all__ = ["NUMERIC", "Packaged", "Weather", "columns", "columns_of_weather"]


@pytest.fixture
def packaged_home(packaged: Packaged, monkeypatch: pytest.MonkeyPatch) -> Packaged:
    """The packaged Model, with TAXIWAY_HOME pointing at its home."""
    monkeypatch.setenv("TAXIWAY_HOME", str(packaged.home))
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    return packaged


@pytest.fixture
def exported(packaged_home: Packaged, tmp_path: Path) -> Path:
    """The packaged Model as a file."""
    folder = tmp_path / "out"
    folder.mkdir()
    return Path(packaged_home.model.export(folder))


@pytest.fixture
def elsewhere(exported: Path, taxiway_home: Path) -> Path:
    """The file, with TAXIWAY_HOME pointing at an empty home."""
    return exported
