"""The process that the commands of this folder are forked from."""

from __future__ import annotations

import pytest

from tests.cli import shell


@pytest.fixture(scope="session", autouse=True)
def imported() -> None:
    shell.start()
