"""What every test shares: a home of its own, and the promise that nothing is left running."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

os.environ.setdefault("WHYLOGS_NO_ANALYTICS", "True")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
# Set before NumPy is imported: with more threads than free cores, BLAS and OpenMP turn their wheels waiting
# for each other, and a model of 30 columns takes ten times the processor time to fit.
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")


from tests.stores import classifier, packaged, two_versions, weather  # noqa: E402, F401 - fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that nobody waits for it in the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every live process, other than this one, whose TAXIWAY_HOME is ``home``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("TAXIWAY_HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def taxiway_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TAXIWAY_HOME of this test; fails the test if a process of it outlives it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("TAXIWAY_HOME", str(home))
    for name in ("BENTOML_HOME", "TAXIWAY_DATABASE_URL", "TAXIWAY_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield home
    deadline = time.monotonic() + 5
    while (left := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    described = []
    for process in left:
        try:
            described.append(" ".join(process.cmdline()))
            process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    assert not described, f"processes were left behind: {described}"
