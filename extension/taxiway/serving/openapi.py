"""The OpenAPI 3.1 description of one Model's endpoint."""

from __future__ import annotations

from typing import Any

from taxiway.signature import JSON_TYPES, Signature


def describe_api(manifest: dict[str, Any], signature: Signature, sample: dict[str, Any]) -> dict[str, Any]:
    """Describe the routes, with the Model's own columns and a row of its sample as the example."""
    example = sample["records"][:1]
    schemas = {
        "Row": _row(signature),
        "Prediction": _prediction(signature),
        "Finding": _FINDING,
        "Problem": _PROBLEM,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest["name"],
            "version": manifest["version"],
            "description": manifest.get("description") or f"Predictions of {manifest['name']}.",
        },
        "paths": {
            "/predict": {"post": _predict(example)},
            "/outcomes": {"post": _OUTCOMES},
            "/ping": {"get": _get("Whether predictions are answered", problem=True)},
            "/healthz": {"get": _get("Whether the process is alive")},
            "/readyz": {"get": _get("Whether predictions are answered", problem=True)},
            "/metrics": {"get": _get("Counters in the Prometheus text format")},
            "/schema": {"get": _get("This description")},
        },
        "components": {"schemas": schemas},
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
    return {"type": "object", "properties": properties, "required": list(signature.names)}


def _prediction(signature: Signature) -> dict[str, Any]:
    properties: dict[str, Any] = {"id": {"type": "string"}}
    for output in signature.outputs:
        properties[output.name] = {"type": JSON_TYPES[output.dtype]}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example:
        content["example"] = example
    return {"application/json": content}


def _get(summary: str, *, problem: bool = False) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": summary}}
    if problem:
        responses["503"] = {"description": "Starting or draining", "content": _json(_ref("Problem"))}
    return {"summary": summary, "responses": responses}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": _json(_ref("Problem"))}


def _predict(example: Any) -> dict[str, Any]:
    identified = {"ids": _list_of({"type": "string"}), "times": _list_of({"type": ["string", "number"]})}
    columns = {"type": "object", "additionalProperties": {"type": "array"}}
    split = {
        "type": "object",
        "properties": {"columns": _list_of({"type": "string"}), "data": _list_of({"type": "array"})},
        "required": ["columns", "data"],
    }
    body: dict[str, Any] = {
        "oneOf": [
            _list_of(_ref("Row")),
            _shape("records", _list_of(_ref("Row")), identified),
            _shape("columns", columns, identified),
            _shape("split", split, identified),
        ]
    }
    answer = {
        "type": "object",
        "properties": {
            "request_id": {"type": "string"},
            "model": {"type": "string"},
            "predictions": _list_of(_ref("Prediction")),
            "findings": _list_of(_ref("Finding")),
        },
        "required": ["request_id", "model", "predictions"],
    }
    return {
        "summary": "Predict one or more rows",
        "parameters": [
            {"name": "X-Request-Id", "in": "header", "schema": {"type": "string", "maxLength": 128}}
        ],
        "requestBody": {"required": True, "content": _json(body, example)},
        "responses": {
            "200": {"description": "One prediction a row", "content": _json(answer)},
            "400": _problem("The body has none of the shapes"),
            "401": _problem("The token is missing or wrong"),
            "413": _problem("The body or its rows are too many"),
            "422": _problem("A column does not fit the signature"),
            "429": _problem("Too many requests at once"),
        },
    }


def _shape(name: str, schema: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema, **more}, "required": [name]}


_FINDING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["extra", "missing", "retyped", "null", "new_category", "out_of_range"]},
        "column": {"type": "string"},
        "row": {"type": ["integer", "null"]},
        "count": {"type": "integer"},
        "expected": {"type": "string"},
        "found": {"type": "string"},
        "example": {},
    },
    "required": ["kind", "column", "row", "count", "expected", "found", "example"],
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "hint": {"type": "string"},
        "findings": _list_of(_ref("Finding")),
    },
    "required": ["error", "hint"],
}
_OUTCOME: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "outcome": {}, "time": {"type": ["string", "number"]}},
    "required": ["id", "outcome"],
}
_OUTCOMES: dict[str, Any] = {
    "summary": "Tell what came true of earlier predictions",
    "requestBody": {
        "required": True,
        "content": _json(
            {"type": "object", "properties": {"outcomes": _list_of(_OUTCOME)}, "required": ["outcomes"]}
        ),
    },
    "responses": {"202": {"description": "Taken"}, "400": _problem("The body has not this shape")},
}
