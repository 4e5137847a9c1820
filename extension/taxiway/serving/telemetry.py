"""Traces and metrics for an OpenTelemetry collector, where one is named and the extra ``otel`` is there.

The names of spans, attributes and of the request's duration are OpenTelemetry's semantic conventions for
HTTP servers. All is sent by the SDK's own threads, over OTLP/HTTP; where the collector is slow or gone
the SDK drops, and nobody who asks for a prediction notices.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from taxiway.serving.metrics import Metrics
from taxiway.serving.spool import SpoolWriter
from taxiway.serving.tracing import Trace

if TYPE_CHECKING:
    from opentelemetry.metrics import Observation

CLOSE_SECONDS = 2.0
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_EXTRA = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_NAME = "taxiway.serving"

_log = logging.getLogger(__name__)


def connect(name: str, version: str, role: str, metrics: Metrics, spool: SpoolWriter) -> Telemetry | None:
    """Begin to report, if the environment asks for it by OpenTelemetry's own variables.

    Parameters
    ----------
    name, version, role
        The Model's, and what it serves as.
    metrics, spool
        What counts; read when a report is due, never on a request's way.

    Returns
    -------
    Telemetry or None
        None where no collector is named, or where it cannot be spoken to: that is logged once.
    """
    spans, counts = _wanted("TRACES"), _wanted("METRICS")
    if not (spans or counts) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if not all(map(_installed, _EXTRA)):
        _log.warning(
            "a collector is named, but nothing is sent to it: OpenTelemetry's exporter is not installed; "
            "pip install 'taxiway[otel]', or opentelemetry-exporter-otlp-proto-http"
        )
        return None
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        _log.warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL is %s, but http/protobuf is spoken: nothing is sent", protocol
        )
        return None
    return Telemetry(name, version, role, metrics, spool, spans=spans, counts=counts)


def _wanted(signal: str) -> bool:
    named = os.environ.get(_ENDPOINT) or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return bool(named) and os.environ.get(f"OTEL_{signal}_EXPORTER", "otlp") != "none"


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@dataclass(slots=True)
class Report:
    """One request that is reported.

    Parameters
    ----------
    trace
        Its place in a trace: its caller's or, where the caller has none, one that begins here.
    status
        The HTTP status that it was answered with; 500 until that is known.
    """

    trace: Trace
    status: int = 500


class Telemetry:
    """Reports; see ``connect`` for the parameters."""

    def __init__(
        self,
        name: str,
        version: str,
        role: str,
        metrics: Metrics,
        spool: SpoolWriter,
        *,
        spans: bool,
        counts: bool,
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        told: dict[str, str | int] = {
            "service.version": version,
            "taxiway.role": role,
            "process.pid": os.getpid(),
        }
        if "OTEL_SERVICE_NAME" not in os.environ:
            told["service.name"] = name
        resource = Resource.create({**told})
        # Providers of our own: the process's global ones may be BentoML's.
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        if spans:
            self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if counts else []
        self._meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer(_NAME)
        meter = self._meters.get_meter(_NAME)
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Duration of requests.",
            explicit_bucket_boundaries_advisory=[
                *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
            ],
        )
        for counter, description, unit, read in _counters(metrics, spool):
            meter.create_observable_counter(counter, [_reading(read)], unit, description)

    @contextmanager
    def report(self, method: str, route: str, request: str, caller: Trace | None) -> Iterator[Report]:
        """Report what is done within as one request.

        Parameters
        ----------
        method, route
            Its HTTP method, and the label of its route.
        request
            Its id.
        caller
            The trace that it came with.
        """
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        begun = time.perf_counter()
        attributes: dict[str, str | int] = {"http.request.method": method, "http.route": route}
        span = self._tracer.start_span(f"{method} {route}", _context(caller), SpanKind.SERVER)
        span.set_attributes({"url.scheme": "http", "taxiway.request": request})
        made = span.get_span_context()
        parent, state = ("", b"") if caller is None else (caller.parent, caller.state)
        trace = Trace(f"{made.trace_id:032x}", parent, f"{made.span_id:016x}", int(made.trace_flags), state)
        report = Report(trace)
        try:
            yield report
        finally:
            attributes["http.response.status_code"] = report.status
            if report.status >= 500:
                attributes["error.type"] = str(report.status)
                span.set_status(StatusCode.ERROR)
            span.set_attributes(attributes)
            span.end()
            self._duration.record(time.perf_counter() - begun, attributes, set_span_in_context(span))

    def close(self) -> None:
        """Send what is there, but do not wait long for it."""
        ending = threading.Thread(target=self._shut_down, name="telemetry", daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)

    def _shut_down(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()


def _context(caller: Trace | None) -> Any:
    """Give the caller's place as OpenTelemetry holds it."""
    from opentelemetry import trace
    from opentelemetry.context import Context

    if caller is None:
        return Context()
    place = trace.SpanContext(
        int(caller.trace, 16),
        int(caller.parent, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(caller.flags),
        trace_state=trace.TraceState.from_header([caller.state.decode("ascii")]),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(place), Context())


_Samples = Iterable[tuple[int, dict[str, str]]]
_Read = Callable[[], _Samples]


def _counters(metrics: Metrics, spool: SpoolWriter) -> list[tuple[str, str, str, _Read]]:
    return [
        ("taxiway.predictions", "Rows predicted.", "{row}", lambda: [(metrics.rows, {})]),
        ("taxiway.outcomes", "Outcomes accepted.", "{outcome}", lambda: [(metrics.outcomes, {})]),
        (
            "taxiway.findings",
            "Requests in which a column deviated.",
            "{request}",
            lambda: [
                (count, {"kind": kind, "column": column})
                for (kind, column), count in metrics.findings.copy().items()
            ],
        ),
        (
            "taxiway.mirrored",
            "Requests mirrored to the shadow.",
            "{request}",
            lambda: [(count, {"result": result}) for result, count in metrics.mirrored.copy().items()],
        ),
        (
            "taxiway.spool.records",
            "Records for the spool.",
            "{record}",
            lambda: [(spool.written, {"result": "written"}), (spool.dropped, {"result": "dropped"})],
        ),
    ]


def _reading(read: _Read) -> Callable[[Any], list[Observation]]:
    def observe(_: Any) -> list[Observation]:
        from opentelemetry.metrics import Observation

        return [Observation(count, attributes) for count, attributes in read()]

    return observe
