"""The OpenAPI 3.1 description of one Model's endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from taxiway.serving.findings import Kind
from taxiway.serving.openapi_parts import PROBLEMS, get, json, list_of, media_of, problem, record, ref
from taxiway.serving.openapi_protocols import describe_protocols
from taxiway.serving.protocols import Served
from taxiway.serving.requests import MAX_ID_LENGTH
from taxiway.signature import JSON_TYPES, Signature


def describe_api(
    served: Served, manifest: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Describe the routes, with the Model's own columns and a row of its sample as the example.

    Parameters
    ----------
    served
        What is served.
    manifest
        The Model's manifest, for its description.
    records
        The rows of its sample.
    """
    signature = served.signature
    example = [dict(record) for record in records[:1]]
    schemas = {
        "Row": _row(signature),
        "Prediction": _prediction(signature),
        "Finding": _FINDING,
        "Problem": _PROBLEM,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": served.name,
            "version": served.version,
            "description": manifest.get("description") or f"Predictions of {served.name}.",
        },
        "security": [{"token": []}, {}],
        "paths": {
            "/predict": {"post": _predict(served, example)},
            "/outcomes": {"post": _OUTCOMES},
            **{
                path: {"get": get("Whether the process is alive", open_to_all=True)}
                for path in ("/healthz", "/livez")
            },
            **{
                path: {"get": get("Whether predictions are answered", problem=True, open_to_all=True)}
                for path in ("/ping", "/health", "/readyz")
            },
            "/metrics": {"get": get("Counters in the Prometheus text format", kind="text/plain")},
            "/schema": {"get": get("This description")},
            "/docs": {"get": get("This description as a page", kind="text/html")},
            **describe_protocols(served, example),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _row(signature: Signature) -> dict[str, Any]:
    """Describe a row; what training saw is told, not demanded, for the endpoint's policies decide."""
    properties: dict[str, Any] = {}
    for column in signature.inputs:
        kind = JSON_TYPES[column.dtype]
        entry: dict[str, Any] = {"type": [kind, "null"] if column.nullable else kind}
        if column.categories is not None:
            entry["examples"] = list(column.categories)
        elif column.values:
            entry["description"] = f"seen in training: {column.values}"
        properties[column.name] = entry
    return record(**properties)


def _prediction(signature: Signature) -> dict[str, Any]:
    properties: dict[str, Any] = {"id": {"type": "string"}}
    for output in signature.outputs:
        kind = JSON_TYPES[output.dtype]
        # JSON has no NaN: where a model gives none or infinity for absurd inputs, null stands for it.
        properties[output.name] = {"type": [kind, "null"] if kind == "number" else kind}
    return record(**properties)


def _predict(served: Served, example: Any) -> dict[str, Any]:
    identified = {"ids": list_of({"type": "string"}), "times": list_of({"type": ["string", "number"]})}
    rows = list_of(ref("Row"), least=1)
    columns = {"type": "object", "additionalProperties": {"type": "array"}}
    split = record(columns=list_of({"type": "string"}), data=list_of({"type": "array"}))
    body: dict[str, Any] = {
        "oneOf": [
            rows,
            _shape("records", rows, identified),
            _shape("columns", columns, identified),
            _shape("split", split, identified),
        ]
    }
    answer = record(
        request_id={"type": "string"},
        model={"type": "string"},
        predictions=list_of(ref("Prediction")),
    )
    answer["properties"]["findings"] = list_of(ref("Finding"))
    kinds = media_of(served, example)
    return {
        "summary": "Predict one or more rows",
        "parameters": [
            {"name": "X-Request-Id", "in": "header", "schema": {"type": "string", "maxLength": 128}}
        ],
        "requestBody": {"required": True, "content": json(body, example) | kinds},
        "responses": {
            "200": {"description": "One prediction a row", "content": json(answer) | media_of(served)},
            **PROBLEMS,
        },
    }


def _shape(name: str, schema: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    shape = record(**{name: schema})
    shape["properties"] |= more
    return shape


_FINDING = record(
    kind={"enum": list(get_args(Kind))},
    column={"type": "string"},
    row={"type": ["integer", "null"]},
    count={"type": "integer"},
    expected={"type": "string"},
    found={"type": "string"},
    example={},
)
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "hint": {"type": "string"},
        "findings": list_of(ref("Finding")),
    },
    "required": ["error", "hint"],
}
_OUTCOME: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH},
        "outcome": {"type": ["number", "string", "boolean", "null"]},
        "time": {"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]},
    },
    "required": ["id", "outcome"],
}
_OUTCOMES: dict[str, Any] = {
    "summary": "Tell what came true of earlier predictions",
    "requestBody": {
        "required": True,
        "content": json(record(outcomes=list_of(_OUTCOME, least=1))),
    },
    "responses": {
        "202": {"description": "Taken"},
        "400": problem("The body has not this shape"),
        **{status: PROBLEMS[status] for status in ("401", "408", "413", "415", "429")},
        "503": problem("They could not be written down"),
    },
}
