"""Alerts, drift and performance as Prometheus metrics, bounded in number."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taxiway.control import ahead
from taxiway.control.ledger import Ledger, ledger, now
from taxiway.control.tables import (
    AlertRow,
    DeliveryRow,
    EndpointRow,
    ObservationRow,
    SinkRow,
    WindowRow,
)
from taxiway.settings import settings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MOST_ENDPOINTS = 200
MOST_COLUMNS = 50  # of an endpoint: those that drifted most
MOST_METRICS = 20  # of an endpoint
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger("taxiway.agent")


def render(book: Ledger) -> bytes:
    """Write the exposition, in the Prometheus text format 0.0.4."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Iterator[Metric]:
            with book.reading() as session:
                yield from _families(session)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)


def rendered() -> bytes:
    """Write the exposition of the ledger that the settings name."""
    return render(ledger())


def _families(session: Session) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily as Gauge

    alerts = Gauge(
        "taxiway_alerts",
        "Alerts that are open.",
        labels=["endpoint", "rule", "severity", "state"],
    )
    query = select(AlertRow.endpoint, AlertRow.rule, AlertRow.severity, AlertRow.state)
    counts = Counter(
        (row[0], row[1], row[2], row[3]) for row in session.execute(query.where(AlertRow.state != "resolved"))
    )
    for labels, count in counts.most_common(MOST_ENDPOINTS * 10):
        alerts.add_metric(list(labels), count)
    yield alerts
    yield from _of_sinks(session)
    ready = Gauge("taxiway_endpoint_ready", "Whether an endpoint is READY.", labels=["endpoint"])
    rows = Gauge("taxiway_window_rows", "Rows of the newest window.", labels=["endpoint", "model"])
    drift = Gauge("taxiway_drift_psi", "PSI of the newest window.", labels=["endpoint", "model", "column"])
    drifted = Gauge(
        "taxiway_drifted_columns", "Columns that drifted in the newest window.", labels=["endpoint", "model"]
    )
    quality = Gauge(
        "taxiway_performance",
        "Metrics of the newest window with outcomes.",
        labels=["endpoint", "model", "metric"],
    )
    coverage = Gauge(
        "taxiway_label_coverage",
        "Share of predictions with outcomes, in the newest window with any.",
        labels=["endpoint", "model"],
    )
    estimated = Gauge(
        "taxiway_estimated_performance",
        "The main metric as it is estimated without outcomes.",
        labels=["endpoint", "model", "metric"],
    )
    for endpoint in session.scalars(
        select(EndpointRow)
        .where(EndpointRow.desired != "absent")
        .order_by(EndpointRow.name)
        .limit(MOST_ENDPOINTS)
    ):
        seen = session.get(ObservationRow, endpoint.name)
        ready.add_metric([endpoint.name], float(seen is not None and seen.status == "READY"))
        windows = session.scalars(
            select(WindowRow)
            .where(
                WindowRow.endpoint == endpoint.name,
                WindowRow.model == endpoint.live,
                WindowRow.role == "live",
                WindowRow.judged,
                ahead.begun(now()),
            )
            .order_by(WindowRow.start.desc())
            .limit(10)
        ).all()
        of = [endpoint.name, endpoint.live]
        if windows:
            rows.add_metric(of, windows[0].rows)
            drifted.add_metric(of, sum(bool(one["drifted"]) for one in windows[0].drift))
            tested = [one for one in windows[0].drift if one.get("psi") is not None]
            for one in sorted(tested, key=lambda one: -one["psi"])[:MOST_COLUMNS]:
                drift.add_metric([*of, one["column"]], one["psi"])
        measured: dict[str, Any] = next(
            (one.performance for one in windows if one.performance and one.performance["n_labelled"]), {}
        )
        if measured:
            coverage.add_metric(of, measured["coverage"])
            for name, value in list(measured["metrics"].items())[:MOST_METRICS]:
                if value["value"] is not None:
                    quality.add_metric([*of, name], value["value"])
        found = next((one.estimated for one in windows if one.estimated), None)
        if found is not None and found["value"] is not None:
            estimated.add_metric([*of, str(found["metric"])], found["value"])
    yield from (ready, rows, drift, drifted, quality, coverage, estimated)


def _of_sinks(session: Session) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily as Gauge

    failures = Gauge("taxiway_sink_failures", "Failures of a sink since it last took one.", labels=["sink"])
    waiting = Gauge("taxiway_deliveries_waiting", "Alerts that a sink is still to be told.", labels=["sink"])
    query = select(DeliveryRow.sink, func.count()).where(DeliveryRow.state == "queued")
    queued = {row[0]: row[1] for row in session.execute(query.group_by(DeliveryRow.sink))}
    for sink in session.scalars(select(SinkRow).order_by(SinkRow.name)):
        failures.add_metric([sink.name], sink.failures)
        waiting.add_metric([sink.name], queued.get(sink.name, 0))
    yield from (failures, waiting)


def serve(book: Ledger) -> ThreadingHTTPServer | None:
    """Serve metrics to this machine, if a port is set; a port that is taken is told in the log."""
    port = settings().metrics_port
    if not port:
        return None
    try:
        server = _Server(("127.0.0.1", port), _Handler)
    except OSError as error:
        log.error("metrics cannot be served on port %s: %s", port, error)
        return None
    server.ledger = book
    threading.Thread(target=server.serve_forever, name="taxiway-metrics", daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    ledger: Ledger


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    server_version = "taxiway"
    sys_version = ""

    def do_GET(self) -> None:
        # a page of another site that has its name point here would have that name as the host
        host = (self.headers.get("host") or "").rpartition(":")[0] or self.headers.get("host") or ""
        if host not in ("localhost", "127.0.0.1"):
            self.send_error(421)
        elif self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
        else:
            try:
                body = render(self.server.ledger)
            except Exception:  # the scraper gets a 500, not a connection that was cut
                log.exception("metrics cannot be read")
                self.send_error(500)
                return
            self.send_response(200)
            self.send_header("content-type", CONTENT_TYPE)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log no request."""
