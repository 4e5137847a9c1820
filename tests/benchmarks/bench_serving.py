"""One-row requests a second: our serving process, with everything on, against a bare ASGI callable.

``python -m tests.benchmarks.bench_serving`` prints one table. Both run the same ONNX file (a scaler and
a forest of 100 trees over 30 columns) on the same uvicorn, in turns; the ratio is what counts, because
it holds from machine to machine. Needs ``wrk``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from taxiway.signature import Column, Output, Signature
from tests.load import ask

ROUNDS = 3
SECONDS = 4
CLIENTS = 8

BARE = """
import sys
import numpy, onnxruntime, orjson, uvicorn
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
inputs = [one.name for one in session.get_inputs()]

async def app(scope, receive, send):
    row = orjson.loads((await receive())["body"])[0]
    if len(inputs) == 1:
        feed = {inputs[0]: numpy.array([list(row.values())], dtype=numpy.float32)}
    else:
        feed = {name: numpy.array([[row[name]]], dtype=numpy.float32) for name in inputs}
    label, probabilities = session.run(None, feed)
    body = orjson.dumps({"label": label.tolist(), "probabilities": probabilities.tolist()})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", lifespan="off", log_level="error",
            access_log=False)
"""


def build(folder: Path, *, by_column: bool) -> tuple[Path, dict[str, Any]]:
    """Make the Model, with one tensor a column or with one for all, and give it with a row."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    bunch = load_breast_cancer(as_frame=True)
    frame = bunch.data.set_axis([name.replace(" ", "_") for name in bunch.data.columns], axis="columns")
    names = list(frame.columns)
    forest = RandomForestClassifier(100, random_state=0)
    if by_column:
        pipeline = make_pipeline(ColumnTransformer([("scale", StandardScaler(), names)]), forest)
        types = [(name, FloatTensorType([None, 1])) for name in names]
        pipeline.fit(frame, bunch.target)
    else:
        pipeline = make_pipeline(StandardScaler(), forest)
        types = [("features", FloatTensorType([None, len(names)]))]
        pipeline.fit(frame.to_numpy(), bunch.target)
    folder.mkdir()
    onnx = to_onnx(pipeline, initial_types=types, options={"zipmap": False})
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    outputs = [
        ("label", "label", None),
        ("probability_0", "probabilities", 0),
        ("probability_1", "probabilities", 1),
    ]
    inputs = tuple(
        Column(name, "float64", minimum=float(frame[name].min()), maximum=float(frame[name].max()))
        for name in names
    )
    row = frame.iloc[0].to_dict()
    contents = {
        "model.json": {
            "name": "cancer",
            "version": "0" * 12,
            "outputs": [{"name": name, "tensor": tensor, "index": index} for name, tensor, index in outputs],
        },
        "signature.json": Signature(
            inputs, tuple(Output(name, "float64") for name, _, _ in outputs)
        ).to_dict(),
        "sample.json": {"records": [row], "outputs": {}},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    return folder, row


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: list[str], port: int, row: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 30
    while True:
        try:
            status, text = ask(f"http://127.0.0.1:{port}", "/predict", [row])
        except OSError:
            assert process.poll() is None, command
            assert time.monotonic() < deadline, command
            time.sleep(0.05)
            continue
        assert status == 200, text
        return process


def measure(port: int, script: Path) -> tuple[float, float]:
    """Give requests a second and the median time in milliseconds, as wrk measures them."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "--latency", "-s", str(script)]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/predict"], capture_output=True, text=True, check=True
    ).stdout
    assert "Non-2xx" not in text, text
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms)", text)
    assert rate is not None
    assert median is not None
    return float(rate[1]), float(median[1]) / (1000 if median[2] == "us" else 1)


def compare(folder: Path, *, by_column: bool) -> list[tuple[str, float, float]]:
    """Measure both servers in turns and give the median of each."""
    layout = "a tensor a column" if by_column else "one tensor"
    model, row = build(folder / ("columns" if by_column else "matrix"), by_column=by_column)
    script = folder / "post.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = [==[{json.dumps([row])}]==]\n")
    (folder / "bare.py").write_text(BARE)
    ports = {f"bare ASGI, {layout}": free_port(), f"taxiway, {layout}": free_port()}
    bare, ours = ports.values()
    spool = ["--spool", str(folder / "spool")]
    processes = [
        start([sys.executable, str(folder / "bare.py"), str(model / "model.onnx"), str(bare)], bare, row),
        start(
            [sys.executable, "-m", "taxiway.serving", "--model", str(model), "--port", str(ours), *spool],
            ours,
            row,
        ),
    ]
    try:
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
        for _ in range(ROUNDS):
            for name, port in ports.items():
                results[name].append(measure(port, script))
    finally:
        for process in processes:
            process.terminate()
            process.wait()
    return [
        (name, statistics.median(rate for rate, _ in pairs), statistics.median(median for _, median in pairs))
        for name, pairs in results.items()
    ]


def main() -> int:
    """Print the table."""
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 1
    print(f"one row, 30 columns, {CLIENTS} clients, median of {ROUNDS} x {SECONDS} s, {os.cpu_count()} cores")
    print(f"{'server':34} {'requests/s':>10} {'p50 ms':>7} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as temporary:
        for by_column in (False, True):
            rows = compare(Path(temporary), by_column=by_column)
            for name, rate, median in rows:
                print(f"{name:34} {rate:10,.0f} {median:7.2f} {rate / rows[0][1]:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
