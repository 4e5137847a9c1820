"""The answer of ``/predict`` in JSON."""

from __future__ import annotations

from typing import Any

import orjson

from taxiway.serving.protocols import Answer, Prediction, Served
from taxiway.serving.requests import Batch, batch_of, load_json


def decode(served: Served, body: bytes) -> Batch:
    """Read records, columns or a split."""
    return batch_of(load_json(body), served.signature.names, max_rows=served.max_rows)


def encode(tag: str, prediction: Prediction) -> Answer:
    """Write one object a row, each with its id."""
    answer: dict[str, Any] = {
        "request_id": prediction.request,
        "model": tag,
        "predictions": identified(prediction),
    }
    if prediction.findings:
        answer["findings"] = prediction.findings
    return Answer(200, orjson.dumps(answer), told=True)


def identified(prediction: Prediction) -> list[dict[str, Any]]:
    """Give one object a row: its id, and its outputs."""
    outputs = prediction.outputs
    names = ("id", *outputs)
    return [dict(zip(names, row, strict=True)) for row in zip(prediction.ids, *outputs.values(), strict=True)]
