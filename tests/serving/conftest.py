"""A real serving process for each test that asks for one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from taxiway.serving.spool import list_segments, read_segment
from taxiway.signature import Column, Output, Signature
from tests.load import ask
from tests.models import NUMBERS, BuiltModel, build_model, iris_frame


@dataclass
class Served:
    """A serving process, its URL and its spool."""

    process: subprocess.Popen[str]
    url: str
    spool: Path
    client: httpx.Client

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return self.client.post(path, json=body, **more)

    def send(self, content: str | bytes) -> httpx.Response:
        """Post a body to ``/predict`` just as it is."""
        return self.client.post("/predict", content=content)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def takes(self) -> bool:
        """Whether it takes new connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(urlsplit(self.url).port or 0))) == 0

    def records(self) -> list[dict[str, Any]]:
        return [record for segment in list_segments(self.spool) for record in read_segment(segment)[0]]


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    return build_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def nullable_iris(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    return build_model(tmp_path_factory.mktemp("models"), nullable=True)


@pytest.fixture
def serve(taxiway_home: Path, iris: BuiltModel) -> Iterator[Serve]:
    """Start ``python -m taxiway.serving``; every process is ended after the test."""
    started: list[Served] = []

    def start(*options: str, model: BuiltModel = iris, before: str = "") -> Served:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        spool = taxiway_home / "spool"
        program = ["-m", "taxiway.serving"]
        if before:  # a statement that changes what no flag does
            program = ["-c", f"{before}\nfrom taxiway.serving.__main__ import main, sys\nsys.exit(main())"]
        command = [sys.executable, *program, "--model", str(model.path), "--spool", str(spool)]
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        served = Served(process, url, spool, httpx.Client(base_url=url, timeout=20, verify=False))
        started.append(served)
        deadline = time.monotonic() + 30
        while process.poll() is None:
            try:
                ask(url, "/ping")
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        return served

    yield start
    for served in started:
        served.client.close()
        served.process.kill()
        served.process.wait()
        assert served.process.stderr is not None
        served.process.stderr.close()


@pytest.fixture
def process(serve: Serve) -> Served:
    """One that serves irises as it does by default."""
    return serve()


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """A regression of three numbers' sum and a fourth, in one tensor; it gives one number a row."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    frame, _ = iris_frame()
    inputs = frame[NUMBERS].to_numpy()
    pipeline = make_pipeline(LinearRegression()).fit(inputs, inputs[:, :3].sum(axis=1))
    onnx = to_onnx(pipeline, initial_types=[("features", DoubleTensorType([None, 4]))])
    folder = tmp_path_factory.mktemp("models") / "numbers"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    signature = Signature(
        tuple(Column(name, "float64") for name in NUMBERS), (Output("prediction", "float64"),)
    )
    output = {"name": "prediction", "tensor": "variable", "index": None}
    for name, content in (
        ("model.json", {"name": "numbers", "version": "0" * 12, "outputs": [output]}),
        ("signature.json", signature.to_dict()),
        ("sample.json", {"records": frame[NUMBERS].head(3).to_dict("records"), "outputs": {}}),
    ):
        (folder / name).write_text(json.dumps(content))
    return BuiltModel(folder, "numbers", "0" * 12, pipeline, frame)
