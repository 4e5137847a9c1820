"""What every protocol has in common: the answers, the checks, the log, the metrics, the limits, the token."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pandas as pd
import pyarrow as pa
import pytest

from taxiway.serving.app import create_app
from taxiway.serving.destination import Destination
from taxiway.serving.requests import batch_of
from taxiway.serving.spool import list_segments, read_segment
from tests.load import ask
from tests.models import NUMBERS, BuiltModel
from tests.serving.conftest import Serve

ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"
Rows = list[dict[str, Any]]
#: For all requests: to read the certificates of authorities takes longer than a request.
CLIENT = httpx.Client(timeout=20, verify=False, limits=httpx.Limits(max_keepalive_connections=0))


def csv_body(rows: Rows) -> str:
    return pd.DataFrame(rows).to_csv(index=False)


def ndjson_body(rows: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def arrow_body(rows: Rows) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def by_column(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in rows[0]}


def split(rows: Rows) -> dict[str, Any]:
    return {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}


def tensors(rows: Rows) -> list[dict[str, Any]]:
    def one(name: str, values: list[Any]) -> dict[str, Any]:
        kind = "BYTES" if any(isinstance(value, str) for value in values) else "FP64"
        return {"name": name, "shape": [len(values)], "datatype": kind, "data": values}

    return [one(name, values) for name, values in by_column(rows).items()]


def read_csv(response: httpx.Response) -> Rows:
    return pd.read_csv(io.StringIO(response.text)).to_dict("records")


def read_bare_csv(response: httpx.Response) -> Rows:
    names = ["label", "probability_setosa", "probability_versicolor", "probability_virginica"]
    return pd.read_csv(io.StringIO(response.text), header=None, names=names).to_dict("records")


def read_lines(response: httpx.Response) -> Rows:
    return [json.loads(line) for line in response.text.splitlines()]


def read_arrow(response: httpx.Response) -> Rows:
    table = pa.ipc.open_stream(response.content).read_all()
    table.validate(full=True)
    return table.to_pylist()


def read_predictions(response: httpx.Response) -> Rows:
    return response.json()["predictions"]


def read_outputs(response: httpx.Response) -> Rows:
    return pd.DataFrame(response.json()["outputs"]).to_dict("records")


def read_classes(response: httpx.Response) -> Rows:
    return [{f"probability_{name}": score for name, score in row} for row in response.json()["result"]]


def read_tensors(response: httpx.Response) -> Rows:
    outputs = response.json()["outputs"]
    return pd.DataFrame({one["name"]: one["data"] for one in outputs}).to_dict("records")


@dataclass(frozen=True)
class Way:
    """One way to ask, and to read the answer."""

    name: str
    path: str
    body: Callable[[Rows], Any]
    read: Callable[[httpx.Response], Rows]
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, url: str, model: BuiltModel, rows: Rows, **headers: str) -> httpx.Response:
        path = self.path.format(name=model.name, version=model.version)
        body = self.body(rows)
        content = json.dumps(body) if isinstance(body, dict | list) else body
        kind = {"Content-Type": "application/json"} if isinstance(body, dict | list) else {}
        return CLIENT.post(f"{url}{path}", content=content, headers={**kind, **self.headers, **headers})


def way(name: str, path: str, body: Any, read: Any, kind: str = "", accept: str = "") -> Way:
    headers = {key: value for key, value in (("Content-Type", kind), ("Accept", accept)) if value}
    return Way(name, path, body, read, headers)


V1, V2 = "/v1/models/{name}", "/v2/models/{name}"
WAYS = [
    way("records", "/predict", lambda rows: rows, read_predictions),
    way("columns", "/predict", lambda rows: {"columns": by_column(rows)}, read_predictions),
    way("split", "/predict", lambda rows: {"split": split(rows)}, read_predictions),
    way("csv-json", "/predict", csv_body, read_predictions, "text/csv"),
    way("csv-csv", "/predict", csv_body, read_csv, "text/csv; charset=utf-8", "text/csv"),
    way("json-csv", "/predict", lambda rows: rows, read_csv, "application/json", "text/csv"),
    way("arrow-json", "/predict", arrow_body, read_predictions, ARROW),
    way("arrow-arrow", "/predict", arrow_body, read_arrow, ARROW, ARROW),
    way(
        "json-arrow", "/predict", lambda rows: rows, read_arrow, "application/json", f"{ARROW};q=1, */*;q=.1"
    ),
    way("ndjson", "/predict", ndjson_body, read_lines, NDJSON),
    way("ndjson-json", "/predict", ndjson_body, read_predictions, NDJSON, "application/json"),
    way("sagemaker-json", "/invocations", lambda rows: rows, read_predictions),
    way("sagemaker-csv", "/invocations", csv_body, read_bare_csv, "text/csv"),
    way(
        "sagemaker-bare-csv",
        "/invocations",
        lambda rows: pd.DataFrame(rows).to_csv(index=False, header=False),
        read_bare_csv,
        "text/csv",
    ),
    way("sagemaker-lines", "/invocations", ndjson_body, read_lines, "application/jsonlines"),
    way("sagemaker-csv-json", "/invocations", csv_body, read_predictions, "text/csv", "application/json"),
    way("mlflow-split", "/invocations", lambda rows: {"dataframe_split": split(rows)}, read_predictions),
    way("mlflow-records", "/invocations", lambda rows: {"dataframe_records": rows}, read_predictions),
    way("mlflow-instances", "/invocations", lambda rows: {"instances": rows}, read_predictions),
    way("mlflow-inputs", "/invocations", lambda rows: {"inputs": by_column(rows)}, read_predictions),
    way("tf-instances", V1 + ":predict", lambda rows: {"instances": rows}, read_predictions),
    way(
        "tf-lists",
        V1 + "/versions/{version}:predict",
        lambda rows: {"instances": [list(row.values()) for row in rows]},
        read_predictions,
    ),
    way("tf-inputs", V1 + "/labels/live:predict", lambda rows: {"inputs": by_column(rows)}, read_outputs),
    way("tf-classify", V1 + ":classify", lambda rows: {"examples": rows}, read_classes),
    way("oip", V2 + "/infer", lambda rows: {"inputs": tensors(rows)}, read_tensors),
    way(
        "oip-version", V2 + "/versions/{version}/infer", lambda rows: {"inputs": tensors(rows)}, read_tensors
    ),
]
every_way = pytest.mark.parametrize("one", WAYS, ids=[one.name for one in WAYS])


@pytest.fixture(scope="module")
def url(iris: BuiltModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """One process for all protocols, and its spool."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spool = tmp_path_factory.mktemp("spool")
    command = [sys.executable, "-m", "taxiway.serving", "--model", str(iris.path), "--spool", str(spool)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--max-rows", "500"], stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            ask(address, "/ping")
            break
        except OSError:
            time.sleep(0.05)
    yield address, spool
    process.kill()
    process.wait()


def last_record(spool: Any) -> dict[str, Any]:
    return [record for segment in list_segments(spool) for record in read_segment(segment)[0]][-1]


@every_way
def test_every_way_gives_the_answers_of_predict_and_is_logged_alike(
    one: Way, url: tuple[str, Any], iris: BuiltModel
) -> None:
    address, spool = url
    rows = iris.rows(20, start=40)
    expected = CLIENT.post(f"{address}/predict", json=rows).json()["predictions"]
    wanted = last_record(spool)
    response = one.ask(address, iris, rows, **{"X-Request-Id": f"way-{one.name}"})
    assert response.status_code == 200, response.text
    assert response.headers["x-request-id"] == f"way-{one.name}"
    given = one.read(response)
    assert len(given) == 20
    for row, other in zip(given, expected, strict=True):
        assert {name: other[name] for name in row if name != "id"} == {
            name: value for name, value in row.items() if name != "id"
        }
        assert set(row) >= set(other) - {"id", "label"}
    logged = last_record(spool)
    assert logged["ids"] == [f"way-{one.name}-{row}" for row in range(20)]
    for name in ("kind", "model", "role", "inputs", "outputs", "findings"):
        assert logged[name] == wanted[name]


@every_way
def test_every_way_refuses_a_text_in_a_number_column_with_the_sentence_and_the_hint(
    one: Way, url: tuple[str, Any], iris: BuiltModel
) -> None:
    address, spool = url
    rows = [row | {"sepal_width": "warm"} for row in iris.rows(2)]
    response = one.ask(address, iris, rows)
    if one.read is read_lines:
        problems = read_lines(response)
        assert response.status_code == 200
        assert [problem["row"] for problem in problems] == [0, 1]
    else:
        problems = [response.json()]
        assert response.status_code == 422
        if one.path == "/invocations":
            assert problems[0]["error_code"] == "INVALID_PARAMETER_VALUE"
            assert problems[0]["message"] == problems[0]["error"]
    for problem in problems:
        assert "Column 'sepal_width' in row" in problem["error"]
        assert "expected float64, found string" in problem["error"]
        assert problem["hint"]
        assert problem["findings"][0]["kind"] == "retyped"
    logged = last_record(spool)
    assert (logged["kind"], logged["rows"], logged["findings"][0]["column"]) == ("rejected", 2, "sepal_width")


@every_way
def test_every_way_tells_of_an_extra_column(one: Way, url: tuple[str, Any], iris: BuiltModel) -> None:
    address, spool = url
    rows = [row | {"account_type": "gold"} for row in iris.rows(2)]
    if one.name in ("sagemaker-bare-csv", "tf-lists"):
        pytest.skip("columns without names cannot be extra")
    response = one.ask(address, iris, rows)
    assert response.status_code == 200, response.text
    (finding,) = last_record(spool)["findings"]
    assert (finding["kind"], finding["column"]) == ("extra", "account_type")
    assert "account_type" in response.text or "account_type" in response.headers["x-taxiway-findings"]


@every_way
def test_every_way_is_limited_in_rows(one: Way, url: tuple[str, Any], iris: BuiltModel) -> None:
    response = one.ask(url[0], iris, iris.rows(501))
    if one.read is read_lines:
        assert len(read_lines(response)) == 501
        return
    assert response.status_code == 413
    assert "501" in response.json()["error"]
    assert response.json()["hint"]


def test_mlflows_client(url: tuple[str, Any], iris: BuiltModel) -> None:
    """MLflow's own, where it is installed: with the SageMaker SDK."""
    scoring = pytest.importorskip("mlflow.pyfunc.scoring_server.client")
    address = urlsplit(url[0])
    client = scoring.ScoringServerClient(address.hostname, address.port)
    client.wait_server_ready(10)
    assert re.fullmatch(r"\d+\.\d+\.\d+", client.get_version())
    frame = iris.frame.iloc[48:55]
    rows = CLIENT.post(f"{url[0]}/predict", json=frame.to_dict("records")).json()["predictions"]
    given = client.invoke(frame).get_predictions()
    pd.testing.assert_frame_equal(given, pd.DataFrame(rows).drop(columns="id"))
    with pytest.raises(Exception, match=r"422.*INVALID_PARAMETER_VALUE.*'sepal_length' in row 0"):
        client.invoke(frame.assign(sepal_length="warm"))


def test_every_route_asks_for_the_token_is_limited_and_counted(
    serve: Serve, iris: BuiltModel, tmp_path: Any
) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret")
    served = serve("--token-file", str(secret), "--max-body", "300")
    for one in WAYS:
        assert one.ask(served.url, iris, iris.rows(1)).status_code == 401, one.name
        answered = one.ask(served.url, iris, iris.rows(20), Authorization="Bearer s3cret")
        assert answered.status_code == (200 if one.read is read_lines else 413), one.name
    for path in (
        "/v2",
        "/v2/models/iris",
        "/v1/models/iris",
        "/v1/models/iris/metadata",
        "/version",
        "/docs",
    ):
        assert served.get(path).status_code == 401
    for path in ("/v2/health/live", "/v2/health/ready", "/health"):
        assert served.get(path).status_code == 200
    text = served.client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).text
    assert 'taxiway_requests_total{route="/v1/models/{name}:predict",status="401"} 1' in text
    assert 'taxiway_requests_total{route="/v2/models/{name}/infer",status="413"} 1' in text
    routes = {line.split('"')[1] for line in text.splitlines() if line.startswith("taxiway_requests_total{")}
    assert not [route for route in routes if iris.version in route]


class Shadow(threading.Thread):
    """A Unix socket that answers as a shadow does, and remembers what it was asked."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.asked: list[tuple[bytes, Any]] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(path)
        self._door.listen()
        self.start()

    def run(self) -> None:
        line, _ = self._door.accept()
        with line, self._door:
            self._answer(line)

    def _answer(self, line: socket.socket) -> None:
        data = b""
        while part := line.recv(65536):
            data += part
            while b"\r\n\r\n" in data:
                head, _, rest = data.partition(b"\r\n\r\n")
                fields = dict(row.split(b": ", 1) for row in head.split(b"\r\n")[1:])
                length = int(fields[b"content-length"])
                if len(rest) < length:
                    break
                self.asked.append((fields[b"x-request-id"], json.loads(rest[:length])))
                data = rest[length:]
                line.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def test_the_shadow_is_asked_the_same_whatever_the_protocol(iris: BuiltModel, tmp_path: Any) -> None:
    app = create_app(iris.path, tmp_path / "spool")
    path = str(tmp_path / "shadow.sock")
    shadow = Shadow(path)
    rows = iris.rows(2)

    async def ask_all() -> None:
        app.mirror.direct(Destination(path))
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as http:
            for one in WAYS:
                body = one.body(rows)
                content = json.dumps(body) if isinstance(body, dict | list) else body
                headers = {"X-Request-Id": one.name, "Content-Type": "application/json", **one.headers}
                where = one.path.format(name=iris.name, version=iris.version)
                assert (await http.post(where, content=content, headers=headers)).status_code == 200
        await app.mirror.drain(5.0)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, ask_all()).result()
    shadow.join(10)
    assert [name.decode() for name, _ in shadow.asked] == [one.name for one in WAYS]
    names = [*NUMBERS, "site"]
    for name, body in shadow.asked:
        batch = batch_of(body, names, max_rows=10)
        assert [
            dict(zip(names, row, strict=True)) for row in zip(*batch.columns.values(), strict=True)
        ] == rows
        assert batch.ids in (None, [f"{name.decode()}-0", f"{name.decode()}-1"])
