"""One real Jupyter server for the tests of this folder; its state is a file that each test writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.lab import seeds
from tests.lab.jupyter import TOKEN, Jupyter


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A server with the extension and a control plane that answers from a file."""
    folder = tmp_path_factory.mktemp("jupyter")
    seed = folder / "seed.json"
    seeds.write(seed, seeds.full())
    with Jupyter(folder, seed=seed) as server:
        yield server


@pytest.fixture
def seed(jupyter: Jupyter) -> Path:
    """The file of the state, as ``seeds.full`` has it."""
    assert jupyter.seed is not None
    seeds.write(jupyter.seed, seeds.full())
    jupyter.seed.with_name("calls.jsonl").unlink(missing_ok=True)
    return jupyter.seed


@pytest.fixture
def client(jupyter: Jupyter) -> Iterator[httpx.Client]:
    """An HTTP client with the server's token."""
    with httpx.Client(
        base_url=f"{jupyter.url}/taxiway/api", headers={"Authorization": f"token {TOKEN}"}, timeout=20
    ) as client:
        yield client
