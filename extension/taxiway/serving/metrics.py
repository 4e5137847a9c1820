"""Counters of one serving process in the Prometheus text format.

Labels are bounded: routes come from a fixed list, and of the column names that clients invent only the
first few become labels, the rest being counted together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MAX_INVENTED_COLUMNS = 50
OTHER = "(other)"
#: What ``Shipped.counts`` gives, as it stands here.
_SHIPPING = (
    ("objects", "shipped_objects_total", "counter", "Objects of the prediction log put in the store."),
    ("bytes", "shipped_bytes_total", "counter", "Bytes of them."),
    ("failures", "shipping_failures_total", "counter", "Attempts to put them that failed."),
    ("waiting", "shipping_waiting_seconds", "gauge", "Since when none has gone well; 0: the last one has."),
)


class Metrics:
    """What one process counted since it started.

    Parameters
    ----------
    model, role
        The tag of the Model that is served, and whether it is live or the shadow.
    columns
        The signature's columns; always labels of their own.
    """

    def __init__(self, model: str, role: str, columns: Iterable[str]) -> None:
        self._model = model
        self._role = role
        self._columns = set(columns)
        self._room = MAX_INVENTED_COLUMNS
        self.requests: Counter[tuple[str, int]] = Counter()
        self.rows: int = 0
        self.outcomes: int = 0
        self.findings: Counter[tuple[str, str]] = Counter()
        self.mirrored: Counter[str] = Counter({"sent": 0, "dropped": 0, "failed": 0})
        #: Of requests that were run together; see ``Batcher``.
        self.joined: Counter[str] = Counter()
        #: Prediction requests by their time: up to each of ``BUCKETS``, and beyond.
        self.buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._timed = 0

    def time(self, seconds: float) -> None:
        """Count one answered prediction request's duration."""
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds
        self._timed += 1

    def find(self, kind: str, column: str) -> None:
        """Count one request in which a column deviated."""
        if column not in self._columns:
            if self._room == 0:
                column = OTHER
            else:
                self._columns.add(column)
                self._room -= 1
        self.findings[kind, column] += 1

    def render(
        self, *, spooled: int, dropped: int, ready: bool, shipped: Mapping[str, float] | None = None
    ) -> bytes:
        """Write the exposition.

        Parameters
        ----------
        shipped
            What ``Shipped.counts`` gives, where the log goes to a store.
        """
        lines: list[str] = []
        lines += _family("taxiway_ready", "gauge", "Whether predictions are answered.", [("", int(ready))])
        info = _labels(model=self._model, role=self._role)
        lines += _family("taxiway_model_info", "gauge", "The Model that is served.", [(info, 1)])
        requests = [
            (_labels(route=route, status=str(status)), count)
            for (route, status), count in self.requests.items()
        ]
        lines += _family("taxiway_requests_total", "counter", "Requests answered.", requests)
        lines += _family("taxiway_predictions_total", "counter", "Rows predicted.", [("", self.rows)])
        lines += _family("taxiway_outcomes_total", "counter", "Outcomes accepted.", [("", self.outcomes)])
        findings = [
            (_labels(kind=kind, column=column), count) for (kind, column), count in self.findings.items()
        ]
        lines += _family(
            "taxiway_findings_total", "counter", "Requests in which a column deviated.", findings
        )
        mirrored = [(_labels(result=result), count) for result, count in self.mirrored.items()]
        lines += _family("taxiway_mirrored_total", "counter", "Requests mirrored to the shadow.", mirrored)
        for name, what in (
            ("batches", "Runs of joined requests."),
            ("batched_requests", "Requests in them."),
            ("batches_failed", "Runs of several requests that failed and were repeated in halves."),
        ):
            lines += _family(f"taxiway_{name}_total", "counter", what, [("", self.joined[name])])
        records = [(_labels(result="written"), spooled), (_labels(result="dropped"), dropped)]
        lines += _family("taxiway_spool_records_total", "counter", "Records for the spool.", records)
        for key, name, kind, what in _SHIPPING:
            samples = [] if shipped is None else [("", shipped[key])]
            lines += _family(f"taxiway_{name}", kind, what, samples)
        lines += self._histogram()
        return ("\n".join(lines) + "\n").encode()

    def _histogram(self) -> Iterator[str]:
        name = "taxiway_predict_seconds"
        yield f"# HELP {name} Time to answer a prediction request, once its body is there."
        yield f"# TYPE {name} histogram"
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.buckets, strict=True):
            total += count
            yield f"{name}_bucket{_labels(le=bound)} {total}"
        yield f"{name}_sum {self._seconds:.6f}"
        yield f"{name}_count {self._timed}"


def _family(name: str, kind: str, description: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {description}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{labels} {value}"


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
