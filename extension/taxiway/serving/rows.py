"""Requests of a single row, read back many at a time: as the columns of one record."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]


class RowJoiner:
    """Makes of the requests of a single row that follow each other one record, as if they were one request.

    It has no object a row, which is what takes time and memory. All must be plain: written as they came,
    named after their requests, without findings or times of their own, and of the same Model, role and
    columns. Such a record is ``joined``: its ``request``, ``time`` and ``latency_ms`` are lists, of one value
    a row.

    Attributes
    ----------
    records
        What was made so far; complete after ``flush``.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._begin({}, [], [])

    def add(self, record: Record) -> bool:
        """Take in, and take apart, a record of a ``row`` as it was written; False if it is no plain one."""
        try:
            row, answer, request = record.pop("row"), record.pop("answer"), record.pop("request")
            time, latency = record.pop("time"), record.pop("latency_ms")
            record.pop("trace", None)
            inputs, outputs, given = [*row[0]], [*answer], row[0]
        except (KeyError, IndexError, TypeError):
            return False
        if type(row) is not list or type(given) is not dict or type(answer) is not dict:
            return False
        if record != self._rest or inputs != self._inputs or outputs != self._outputs:
            if not _is_plain(record):
                return False
            self.flush()
            self._begin(record, inputs, outputs)
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
                "model": self._rest["model"],
                "role": self._rest["role"],
                "request": self._requests,
                "ids": self._requests,
                "latency_ms": self._latencies,
                "findings": [],
                "inputs": dict(zip(self._inputs, columns, strict=False)),
                "outputs": dict(zip(self._outputs, columns[len(self._inputs) :], strict=True)),
            }
        )
        self._begin({}, [], [])

    def _begin(self, rest: Record, inputs: list[str], outputs: list[str]) -> None:
        self._rest, self._inputs, self._outputs = rest, inputs, outputs
        self._requests: list[Any] = []
        self._times: list[Any] = []
        self._latencies: list[Any] = []
        self._cells: list[Any] = []  # row by row


def _is_plain(rest: Record) -> bool:
    """Whether what is the same in the records of many rows says nothing that their columns do not."""
    return (
        rest.get("kind") == "prediction"
        and rest.get("times", ()) is None
        and not rest.get("findings")
        and rest.get("unnamed") == 1
        and type(rest.get("model")) is type(rest.get("role")) is str
        and "arrays" not in rest
    )
