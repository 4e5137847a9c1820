"""Models of every framework: packaged, served by a real process, and asked over HTTP.

These tests run where the frameworks are installed (``make test-frameworks``); elsewhere each module skips
itself with ``pytest.importorskip``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

import taxiway
from taxiway.packaging.model import Model

ROOT = Path(__file__).parents[2]
#: Where a process of its own finds Taxiway.
PATHS = {"PYTHONPATH": os.pathsep.join((str(ROOT / "extension"), str(ROOT / "backends")))}
STARTS_WITHIN = 120.0

#: Packages a model: name, reference and all else that ``taxiway.package`` takes.
Package = Callable[..., Model]
#: Serves a Model and gives its answers for the rows of a frame, one column per output.
Ask = Callable[[Model, pd.DataFrame], pd.DataFrame]


@pytest.fixture
def package(taxiway_home: Path) -> Package:
    """``taxiway.package`` into this test's own home, without the clean replay (which has its own tests)."""

    def package(model: Any, reference: pd.DataFrame, *, name: str = "model", **more: Any) -> Model:
        return taxiway.package(model, name=name, reference=reference, replay=False, **more)

    return package


@pytest.fixture
def ask(taxiway_home: Path, tmp_path: Path) -> Iterator[Ask]:
    """Serve a Model with ``python -m taxiway.serving`` and ask it over HTTP; processes end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def ask(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
        path = tmp_path / f"{len(started)}.sock"
        log = tmp_path / f"{len(started)}.log"
        command = [sys.executable, "-m", "taxiway.serving", "--model", str(model.path), "--uds", str(path)]
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [*command, "--spool", str(tmp_path / "spool")],
                stderr=errors,
                env=os.environ | PATHS,
                start_new_session=True,
            )
        started.append(process)
        _wait(path, process, log)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=60) as client:
            response = client.post("http://model/predict", json=rows_of(frame))
        assert response.status_code == 200, response.text
        return pd.DataFrame(response.json()["predictions"], index=frame.index).drop(columns="id")

    yield ask
    for process in started:
        process.kill()
        process.wait()


def with_gaps(inputs: pd.DataFrame) -> pd.DataFrame:
    """Take away some values of two columns."""
    inputs = inputs.copy()
    inputs.iloc[::3, 0] = np.nan
    inputs.iloc[1::4, 2] = np.nan
    return inputs


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client sends them: what is missing is null."""
    return frame.astype(object).where(frame.notna(), None).to_dict(orient="records")


def assert_alike(given: pd.DataFrame, expected: Mapping[str, Any], tolerance: float = 1e-4) -> None:
    """Compare what came over HTTP with what the original object said, column by column."""
    assert list(given.columns) == list(expected)
    for name, values in expected.items():
        answers = given[name].to_numpy()
        if name.startswith("label"):
            assert answers.tolist() == np.asarray(values).tolist(), name
        else:
            np.testing.assert_allclose(
                answers.astype(float), np.asarray(values, dtype=float), rtol=tolerance, atol=tolerance / 10
            )


def _wait(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the process accepts connections, which it does when the Model has answered its sample."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.05)
