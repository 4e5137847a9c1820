from __future__ import annotations

import asyncio
import gzip
import http.server
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from taxiway.serving.app import create_app
from taxiway.serving.destination import Destination
from taxiway.serving.spool import list_segments, read_segment
from tests.models import BuiltModel
from tests.waiting import wait_until

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}


class Collector(http.server.ThreadingHTTPServer):
    """An OTLP/HTTP collector that keeps what it is sent; a silent one never answers."""

    daemon_threads = True

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.silent = silent
        self.over = threading.Event()
        self.received: list[tuple[str, bytes]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[dict[str, Any]]:
        """Every span, with its attributes and its resource's."""
        found = []
        for path, body in list(self.received):
            if path != "/v1/traces":
                continue
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += [
                        {
                            "trace": span.trace_id.hex(),
                            "span": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "name": span.name,
                            "kind": span.kind,
                            "failed": span.status.code == 2,
                            "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                            **_attributes(resource.resource.attributes),
                            **_attributes(span.attributes),
                        }
                        for span in scope.spans
                    ]
        return found

    def numbers(self, role: str) -> dict[str, dict[str, Any]]:
        """The newest value of each metric of a role, by its name and its attributes."""
        found: dict[str, dict[str, Any]] = {}
        for path, body in list(self.received):
            if path != "/v1/metrics":
                continue
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                if _attributes(resource.resource.attributes)["taxiway.role"] != role:
                    continue
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        points = metric.sum.data_points or metric.histogram.data_points
                        for point in points:
                            told = sorted(_attributes(point.attributes).items())
                            key = ",".join(f"{name}={value}" for name, value in told)
                            value = point.count if metric.HasField("histogram") else point.as_int
                            found.setdefault(metric.name, {})[key] = value
        return found


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        collector.received.append((self.path, body))
        if collector.silent:
            collector.over.wait(60)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "500")
        yield made
        made.over.set()
        made.shutdown()


def start_shadow(model: BuiltModel, folder: Path, path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "taxiway.serving", "--role", "shadow", "--drain-seconds", "0.2"]
    command += ["--model", str(model.path), "--spool", str(folder), "--uds", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: listens(path), "the shadow")
    return process


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def records(folder: Path) -> list[dict[str, Any]]:
    return [record for segment in list_segments(folder) for record in read_segment(segment)[0]]


def test_a_trace_goes_from_the_caller_through_the_live_one_to_the_shadow_and_to_the_collector(
    collector: Collector, iris: BuiltModel, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    shadow = start_shadow(iris, tmp_path / "shadow", path)
    app = create_app(iris.path, tmp_path / "live")
    row, bad = iris.rows(1), [{"sepal_length": "secret-length"}]

    async def ask_all() -> None:
        app.mirror.direct(Destination(str(path)))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://live") as client:
            for body, headers, status in (
                (row, PARENT | {"x-request-id": "one"}, 200),
                (iris.rows(3), PARENT | {"x-request-id": "many"}, 200),
                (bad, PARENT | {"x-request-id": "bad"}, 422),
                (row, {"x-request-id": "alone"}, 200),
            ):
                answer = await client.post("/predict", json=body, headers=headers)
                assert answer.status_code == status
            await client.get("/healthz")
        while app.metrics.mirrored["sent"] < 3:
            await asyncio.sleep(0.02)
        await app.mirror.drain(0)

    asyncio.run(asyncio.wait_for(ask_all(), 30))
    app.close()
    shadow.terminate()
    assert shadow.wait(20) == 0
    spans = {(span["taxiway.role"], span["taxiway.request"]): span for span in collector.spans()}
    asked = {("live", one) for one in ("one", "many", "bad", "alone")}
    assert spans.keys() == asked | {("shadow", one) for one in ("one", "many", "alone")}
    for (role, request), span in spans.items():
        above = spans["live", request]["span"] if role == "shadow" else CALLER if request != "alone" else ""
        assert span["parent"] == above
        assert (span["trace"] == TRACE) == (request != "alone")
        assert span["trace"] == spans["live", request]["trace"]
        assert (span["name"], span["kind"], span["http.route"]) == ("POST /predict", 2, "/predict")
        assert span["http.response.status_code"] == (422 if request == "bad" else 200)
        assert (span["service.name"], span["service.version"]) == (iris.name, iris.version)
        assert not span["failed"]
        assert span["seconds"] > 0
    for folder, role in ((tmp_path / "live", "live"), (tmp_path / "shadow", "shadow")):
        written = {record["request"]: record.get("trace") for record in records(folder)}
        assert written == {
            request: span["trace"] for (side, request), span in spans.items() if side == role
        }, "the records carry the trace of their span"
    numbers = collector.numbers("live")
    assert numbers["taxiway.predictions"][""] == 5
    labels = "http.request.method=POST,http.response.status_code={},http.route=/predict"
    assert numbers["http.server.request.duration"] == {labels.format(200): 3, labels.format(422): 1}
    assert numbers["taxiway.spool.records"] == {"result=written": 4, "result=dropped": 0}
    assert numbers["taxiway.mirrored"]["result=sent"] == 3
    assert not [body for _, body in collector.received if b"secret-length" in body]


def test_a_collector_that_does_not_answer_changes_nothing_but_the_reports(
    collector: Collector, iris: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.silent = True
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32")
    app = create_app(iris.path, tmp_path)

    async def ask_all() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://live") as client:
            for _ in range(300):
                assert (await client.post("/predict", json=iris.rows(1))).status_code == 200

    asyncio.run(ask_all())
    wait_until(lambda: collector.received, "the collector to be spoken to")
    begun = time.monotonic()
    app.close()
    # The SDK by itself would wait for 10 s and try again.
    assert time.monotonic() - begun < 8
    assert len(records(tmp_path)) == 300


def test_nothing_of_opentelemetry_is_imported_where_no_collector_is_named(
    iris: BuiltModel, tmp_path: Path
) -> None:
    code = (
        "import sys; from taxiway.serving.app import create_app\n"
        f"create_app({str(iris.path)!r}, {str(tmp_path)!r}).close()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("", "", "taxiway[otel]"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_SDK_DISABLED", "true", None),
        ("OTEL_TRACES_EXPORTER", "none", None),
    ],
)
def test_where_nothing_can_or_shall_be_sent_the_log_says_why_and_serving_goes_on(
    collector: Collector,
    iris: BuiltModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    value: str,
    says: str | None,
) -> None:
    if variable:
        monkeypatch.setenv(variable, value)
    else:
        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    with caplog.at_level(logging.WARNING, "taxiway.serving.telemetry"):
        app = create_app(iris.path, tmp_path)
    app.close()
    # The SDK's own threads of the test before may still have something to say.
    own = [one.getMessage() for one in caplog.records if one.name == "taxiway.serving.telemetry"]
    assert len(own) == bool(says)
    assert all(says in message for message in own if says)
    assert collector.received == []
