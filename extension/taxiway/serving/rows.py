"""Requests of a single row, read back many at a time: as the columns of one record."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

Record = dict[str, Any]

_FIELDS = itemgetter(
    "kind", "times", "findings", "unnamed", "row", "answer", "model", "role", "request", "time", "latency_ms"
)


class RowJoiner:
    """Makes of the requests of a single row that follow each other one record, as if they were one request.

    It has no object a row, which is what takes time. All must be plain: written as they came, named after
    their requests, without findings or times of their own, and of the same Model, role and columns. Such a
    record is ``joined``: its ``request``, ``time`` and ``latency_ms`` are lists, of one value a row.

    Attributes
    ----------
    records
        What was made so far; complete after ``flush``.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._begin("", "", [], [])

    def add(self, record: Record) -> bool:
        """Take a record, as it was written, in; False, and nothing has been done, if it is no plain row."""
        try:
            kind, times, findings, unnamed, row, answer, model, role, request, time, latency = _FIELDS(record)
        except KeyError:
            return False
        if (
            kind != "prediction"
            or times is not None
            or findings
            or unnamed != 1
            or "arrays" in record
            or type(row) is not list
            or not row
            or type(given := row[0]) is not dict
            or type(answer) is not dict
            or type(model) is not str
            or type(role) is not str
        ):
            return False
        inputs, outputs = [*given], [*answer]
        if inputs != self._inputs or outputs != self._outputs or role != self._role or model != self._model:
            self.flush()
            self._begin(model, role, inputs, outputs)
        self._requests.append(request)
        self._times.append(time)
        self._latencies.append(latency)
        self._cells.extend(given.values())
        self._cells.extend(answer.values())
        return True

    def append(self, record: Record) -> None:
        """Take any other record, in the form that readers know."""
        self.flush()
        self.records.append(record)

    def flush(self) -> None:
        """End the record that rows were added to."""
        if not self._requests:
            return
        width = len(self._inputs) + len(self._outputs)
        columns = [self._cells[place::width] for place in range(width)]
        self.records.append(
            {
                "kind": "prediction",
                "joined": True,
                "time": self._times,
                "times": None,
                "model": self._model,
                "role": self._role,
                "request": self._requests,
                "ids": self._requests,
                "latency_ms": self._latencies,
                "findings": [],
                "inputs": dict(zip(self._inputs, columns, strict=False)),
                "outputs": dict(zip(self._outputs, columns[len(self._inputs) :], strict=True)),
            }
        )
        self._begin("", "", [], [])

    def _begin(self, model: str, role: str, inputs: list[str], outputs: list[str]) -> None:
        self._model, self._role, self._inputs, self._outputs = model, role, inputs, outputs
        self._requests: list[Any] = []
        self._times: list[Any] = []
        self._latencies: list[Any] = []
        self._cells: list[Any] = []  # row by row
