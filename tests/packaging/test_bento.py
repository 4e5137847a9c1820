"""A Bento answers as the Model does, on its own, and tells nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from taxiway.packaging import bento

from .conftest import Packaged, Weather


@contextmanager
def served(tag: str, home: Path, **more: str) -> Iterator[tuple[str, psutil.Process]]:
    """``bentoml serve`` on a free port of loopback, ended with all its children."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", **more}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    log = home / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True, cwd=home
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                # Both are the Model's own answers; 401 where a token is asked for.
                if httpx.get(f"{url}/schema", timeout=5).status_code in (200, 401):
                    break
            except httpx.HTTPError:
                pass
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        with suppress(ProcessLookupError):  # where the test itself has ended it
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def test_a_served_bento_predicts_as_the_model_with_its_own_copy_and_calls_nobody(
    packaged_home: Packaged, weather: Weather, classifier: Any, tmp_path: Path
) -> None:
    model = packaged_home.model
    assert model.bento == model.tag
    home = tmp_path / "bentoml"
    shutil.copytree(packaged_home.home / "bentoml", home, symlinks=True)
    copy = home / "bentos" / model.name / model.version / "src" / "taxiway" / "serving" / "__init__.py"
    copy.write_text(
        copy.read_text() + "\nimport os, pathlib\npathlib.Path(os.environ['MARK']).write_text(__file__)\n"
    )
    rows = weather.inputs.iloc[::30]
    mark, spool = tmp_path / "mark", tmp_path / "spool"
    with served(model.tag, home, MARK=str(mark), TAXIWAY_SPOOL=str(spool)) as (url, process):
        answer = httpx.post(f"{url}/predict", json=rows.to_dict("records"), timeout=10)
        refused = httpx.post(f"{url}/predict", json=[{"wind": "calm"}], timeout=10)
        everyone = [process, *process.children(recursive=True)]
        peers = {one.raddr.ip for each in everyone for one in each.net_connections("inet") if one.raddr}
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model"] == model.tag
    assert [one["label"] for one in body["predictions"]] == classifier.predict(rows).tolist()
    given = [one["probability_True"] for one in body["predictions"]]
    assert given == pytest.approx(classifier.predict_proba(rows)[:, 1].tolist(), abs=1e-5)
    assert refused.status_code == 422
    assert Path(mark.read_text()) == copy, "the installed Taxiway was imported instead of the Bento's own"
    assert any(spool.glob("*.spool"))
    assert "TAXIWAY_SPOOL" not in (home / "serve.log").read_text()
    assert peers <= {"127.0.0.1", "::1"}


def test_a_bento_pins_what_serving_needs_and_nothing_of_the_notebook(packaged_home: Packaged) -> None:
    model = packaged_home.model
    folder = packaged_home.home / "bentoml" / "bentos" / model.name / model.version
    pinned = (folder / "env" / "python" / "requirements.txt").read_text().splitlines()
    names = {line.partition("==")[0] for line in pinned if "==" in line}
    assert {"numpy", "onnxruntime", "orjson", "uvicorn", "bentoml", "obstore"} <= names
    assert names.isdisjoint({"jupyterlab", "whylogs", "papermill", "pandas", "scikit-learn", "skl2onnx"})
    assert all("==" in line for line in pinned if line and not line.startswith(("#", "-")))
    assert f"tag: {model.tag}" in (folder / "bento.yaml").read_text()
    sources = {path.name for path in (folder / "src" / "taxiway").iterdir()}
    assert sources == {"__init__.py", "py.typed", "serving", "signature.py"}


def test_building_a_bento_again_builds_nothing(packaged_home: Packaged) -> None:
    model = packaged_home.model
    assert bento.exists(model.tag)
    bento.ensure(Path("nowhere"), model.tag)


def test_bentoml_is_told_not_to_send_usage_statistics(packaged_home: Packaged) -> None:
    asked = """
import json
from bentoml._internal.utils.analytics.usage_stats import do_not_track
print(json.dumps(do_not_track()))
"""
    done = subprocess.run(
        [sys.executable, "-c", asked], env=bento.environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) is True


def test_packaging_imports_no_bentoml_in_the_kernel() -> None:
    code = "import sys, taxiway.packaging.packing; print('bentoml' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=bento.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
