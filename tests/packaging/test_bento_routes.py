"""``bentoml serve`` of a Bento answers every route as the local runtime does."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from .conftest import Packaged, Weather
from .test_bento import served

ARROW = "application/vnd.apache.arrow.stream"
TOKEN = "s3cret"
COUNTED = re.compile(r"^(taxiway_\w+_total(?:\{.*\})?) (\d+)$", re.MULTILINE)


@contextmanager
def local(model: Path, spool: Path) -> Iterator[str]:
    """The serving process of the local backend, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "taxiway.serving", "--model", str(model), "--spool", str(spool)]
    command += ["--port", str(port), "--token-env", "TAXIWAY_TOKEN"]
    process = subprocess.Popen(command, env={**os.environ, "TAXIWAY_TOKEN": TOKEN}, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/ping")
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


def requests(schema: dict[str, Any], rows: Any, name: str) -> list[tuple[str, str, Any, dict[str, str]]]:
    """Every route that the schema describes, asked for in every way, well and badly."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    records = rows.to_dict("records")
    lines = "".join(json.dumps(record) + "\n" for record in records) + "{bad\n"
    asked: list[tuple[str, str, Any, dict[str, str]]] = []
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            contents = route.get("requestBody", {}).get("content", {})
            asked.append((method, path, None, {}))
            asked.append(("get" if method == "post" else "post", path, None, {}))
            for kind, content in contents.items():
                example = content.get("example")
                body = example if isinstance(example, str) else json.dumps(example)
                asked.append((method, path, body, {"Content-Type": kind}))
                asked.append((method, path, b"{", {"Content-Type": kind}))
    for path in ("/predict", "/invocations"):
        for kind, body in (
            ("text/csv", rows.to_csv(index=False)),
            ("application/x-ndjson", lines),
            (ARROW, sink.getvalue()),
            ("application/json", json.dumps(records)),
            ("application/xml", "<a/>"),
        ):
            for accept in ("*/*", "application/json", "text/csv", ARROW, "application/x-ndjson", "image/png"):
                asked.append(("post", path, body, {"Content-Type": kind, "Accept": accept}))
    asked.append(("post", "/outcomes", json.dumps({"outcomes": [{"id": "a", "outcome": True}]}), {}))
    asked.append(("post", f"/v1/models/{name}:predict", json.dumps({"instances": [{"wind": "calm"}]}), {}))
    asked.append(("get", "/nowhere", None, {}))
    asked.append(("get", "/v2/models/nobody", None, {}))
    for path, methods in schema["paths"].items():
        for method in methods:
            asked += [(method, path, None, {"Authorization": said}) for said in ("", "Bearer wrong", TOKEN)]
    for path in ("/predict", "/invocations", "/outcomes"):
        asked.append(("post", path, b" " * (16 * 2**20 + 1), {"Content-Type": "application/json"}))
    asked.append(("post", "/predict", json.dumps([records[0]] * 10_001), {}))
    return asked


def counts(client: httpx.Client, url: str) -> Counter[str]:
    """What ``/metrics`` counts."""
    return Counter({name: int(count) for name, count in COUNTED.findall(client.get(f"{url}/metrics").text)})


def test_a_bento_and_the_local_runtime_answer_every_route_alike(
    packaged_home: Packaged, weather: Weather, tmp_path: Path
) -> None:
    model = packaged_home.model
    home = tmp_path / "bentoml"
    shutil.copytree(packaged_home.home / "bentoml", home, symlinks=True)
    folder = home / "models" / model.name / model.version
    differ = []
    statuses: Counter[int] = Counter()
    with (
        local(folder, tmp_path / "spool") as here,
        served(model.tag, home, TAXIWAY_TOKEN=TOKEN) as (there, _),
        httpx.Client(timeout=20, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
    ):
        schema = client.get(f"{here}/schema").json()
        asked = requests(schema, weather.inputs.iloc[::60], model.name)
        before = [counts(client, url) for url in (here, there)]
        for number, (method, path, body, headers) in enumerate(asked):
            answers = []
            for url in (here, there):
                answer = client.request(
                    method,
                    f"{url}{path}",
                    content=body,
                    headers={"X-Request-Id": f"same-{number}", "Host": "endpoint", **headers},
                )
                told = {name: value for name, value in answer.headers.items() if name != "date"}
                content = answer.content
                if path == "/metrics":
                    # What was counted differs in time and in the requests that waited for the start.
                    content = b"\n".join(sorted(set(re.findall(rb"^# .*|^\w+", content, re.MULTILINE))))
                answers.append((answer.status_code, told, content))
                statuses[answer.status_code] += 1
            if answers[0] != answers[1]:
                differ.append((method, path, headers, *answers))
        after = [counts(client, url) for url in (here, there)]
    assert len(asked) > 150
    counted = [one - other for one, other in zip(after, before, strict=True)]
    assert counted[0] == counted[1]
    assert counted[0]["taxiway_predictions_total"] > 100
    assert not differ, "\n".join(map(str, differ[:10]))
    assert statuses[401] > 60
    assert statuses[413] == 8
    log = (home / "serve.log").read_text()
    assert log.count("set TAXIWAY_SPOOL") == 1, "no folder was named, and once is enough"
