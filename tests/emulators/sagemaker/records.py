"""What an endpoint leaves behind while it runs: log lines, metrics and captured data."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

FLUSH_SECONDS = 0.25
LOG_GROUP = "/aws/sagemaker/Endpoints/"


class Records:
    """Collects, and writes to CloudWatch and S3 a few times a second (at AWS: each minute or so)."""

    def __init__(self, client: Callable[[str, str], Any]) -> None:
        self._client = client
        self._lines: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
        self._metrics: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._captured: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._known: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def line(self, region: str, endpoint: str, stream: str, text: str) -> None:
        """A container printed this."""
        with self._lock:
            self._lines[region, LOG_GROUP + endpoint, stream].append((int(time.time() * 1000), text or " "))

    def metrics(self, region: str, endpoint: str, variant: str, values: dict[str, tuple[float, str]]) -> None:
        """One call's figures, each with its unit."""
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
        now = datetime.now(UTC)
        data = [
            {"MetricName": name, "Dimensions": dimensions, "Timestamp": now, "Value": value, "Unit": unit}
            for name, (value, unit) in values.items()
        ]
        with self._lock:
            self._metrics[region].extend(data)

    def capture(self, region: str, prefix: str, line: dict[str, Any]) -> None:
        """One line of data capture for the folder of its endpoint and variant."""
        with self._lock:
            self._captured[region, prefix].append(json.dumps(line))

    def close(self) -> None:
        """Write the rest and end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(FLUSH_SECONDS):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what has come."""
        with self._lock:
            lines, self._lines = self._lines, defaultdict(list)
            metrics, self._metrics = self._metrics, defaultdict(list)
            captured, self._captured = self._captured, defaultdict(list)
        # The emulator may be going; what AWS would have lost is lost here too.
        with contextlib.suppress(Exception):
            for (region, group, stream), texts in lines.items():
                self._log(region, group, stream, texts)
            for region, data in metrics.items():
                for start in range(0, len(data), 500):
                    self._client("cloudwatch", region).put_metric_data(
                        Namespace="AWS/SageMaker", MetricData=data[start : start + 500]
                    )
            for (region, prefix), rows in captured.items():
                parts = urlsplit(prefix)
                now = datetime.now(UTC)
                name = f"{now:%Y/%m/%d/%H/%M-%S-%f}"[:-3] + f"-{uuid.uuid4()}.jsonl"
                self._client("s3", region).put_object(
                    Bucket=parts.netloc, Key=f"{parts.path.strip('/')}/{name}", Body="\n".join(rows).encode()
                )

    def _log(self, region: str, group: str, stream: str, texts: list[tuple[int, str]]) -> None:
        logs = self._client("logs", region)
        if (group, stream) not in self._known:
            for make, name in (
                (logs.create_log_group, {}),
                (logs.create_log_stream, {"logStreamName": stream}),
            ):
                with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                    make(logGroupName=group, **name)
            self._known.add((group, stream))
        events = [{"timestamp": when, "message": text} for when, text in texts]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def captured(body: bytes, content_type: str, mode: str) -> dict[str, Any]:
    """One side of a call as data capture writes it: JSON and CSV as text, all else in base64."""
    kind = content_type.split(";")[0].strip()
    encoding = {"application/json": "JSON", "text/csv": "CSV"}.get(kind, "BASE64")
    data = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8", "replace")
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
