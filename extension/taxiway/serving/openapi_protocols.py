"""The OpenAPI description of the routes that other servers' clients know."""

from __future__ import annotations

from typing import Any

from taxiway.serving.openapi_parts import PROBLEMS, get, json, list_of, media_of, problem, record, ref
from taxiway.serving.protocols import Served, mlflow
from taxiway.serving.protocols.tensors import DATATYPES
from taxiway.serving.protocols.tfserving import PROBABILITY

_VALUE: dict[str, Any] = {"type": ["number", "string", "boolean", "null"]}
_OBJECT: dict[str, Any] = {"type": "object"}


def describe_protocols(served: Served, example: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe the paths of SageMaker, MLflow, the Open Inference Protocol and TF Serving."""
    paths: dict[str, Any] = {
        "/invocations": {"post": _invocations(served, example)},
        "/version": {"get": get("The MLflow release whose scoring protocol is spoken", kind="text/plain")},
        "/v2": {"get": get("The server, as the Open Inference Protocol has it", _OBJECT)},
        "/v2/health/live": {"get": get("Whether the process is alive", _OBJECT, open_to_all=True)},
        "/v2/health/ready": {
            "get": get("Whether predictions are answered", _OBJECT, problem=True, open_to_all=True)
        },
    }
    for version in ("", f"/versions/{served.version}"):
        model = f"/v2/models/{served.name}{version}"
        paths[model] = {"get": get("Inputs and outputs as tensors", _OBJECT)}
        paths[f"{model}/ready"] = {"get": get("Whether predictions are answered", _OBJECT, problem=True)}
        paths[f"{model}/infer"] = {"post": _infer(served, example)}
    for version in ("", f"/versions/{served.version}", f"/labels/{served.role}"):
        model = f"/v1/models/{served.name}{version}"
        paths[model] = {"get": get("The model's status, as TF Serving has it", _OBJECT)}
        paths[f"{model}/metadata"] = {"get": get("The model's signature, as TF Serving has it", _OBJECT)}
        paths |= {f"{model}:{verb}": {"post": one} for verb, one in _tfserving(served, example).items()}
    return paths


def _post(
    summary: str, body: dict[str, Any], answer: dict[str, Any], more: dict[str, Any] | None = None
) -> dict[str, Any]:
    responses = {"200": {"description": "One prediction a row", "content": answer}, **PROBLEMS}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": body},
        "responses": responses,
        **(more or {}),
    }


def _invocations(served: Served, example: list[dict[str, Any]]) -> dict[str, Any]:
    rows = list_of(ref("Row"), least=1)
    split = record(columns=list_of({"type": "string"}), data=list_of(list_of(_VALUE)))
    forms = [
        rows,
        record(records=rows),
        record(columns=_OBJECT),
        record(split=split),
        record(dataframe_split=split),
        record(dataframe_records=rows),
        record(instances={"type": "array"}),
        record(inputs={"type": ["array", "object"]}),
    ]
    answer = record(predictions={"type": "array"})
    return _post(
        "Predict as on SageMaker, or as MLflow scores; the body tells which",
        json({"anyOf": forms}, {"dataframe_records": example}) | media_of(served, example),
        json(answer) | media_of(served),
        {"description": f"{mlflow.HINT} SageMaker's CSV may lack a header."},
    )


def _infer(served: Served, example: list[dict[str, Any]]) -> dict[str, Any]:
    tensor = record(
        name={"type": "string"},
        shape=list_of({"type": "integer", "minimum": 0}),
        datatype={"type": "string"},
    )
    tensor["properties"] |= {"parameters": _OBJECT, "data": {"type": "array"}}
    body = record(inputs=list_of(tensor))
    body["properties"] |= {"id": {"type": "string"}, "parameters": _OBJECT, "outputs": list_of(_OBJECT)}
    answer = record(model_name={"type": "string"}, model_version={"type": "string"}, outputs=list_of(tensor))
    inputs = [
        {
            "name": one.name,
            "shape": [len(example)],
            "datatype": DATATYPES[one.dtype],
            "data": [row.get(one.name) for row in example],
        }
        for one in served.signature.inputs
    ]
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    length = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "The bytes of JSON before binary tensor data",
        "schema": {"type": "integer"},
    }
    return _post(
        "Infer tensors: one a column, or one of shape [rows, columns]",
        json(body, {"inputs": inputs}) | binary,
        json(answer) | binary,
        {"parameters": [length]},
    )


def _tfserving(served: Served, example: list[dict[str, Any]]) -> dict[str, Any]:
    instances, inputs = record(instances={"type": "array"}), record(inputs={"type": ["object", "array"]})
    answer = {"oneOf": [record(predictions={"type": "array"}), record(outputs={})]}
    examples = record(examples=list_of(ref("Row"), least=1))
    examples["properties"]["context"] = _OBJECT
    result = record(result={"type": "array"})
    predict = _post(
        "Predict, by row or by column",
        json({"oneOf": [instances, inputs]}, {"instances": example}),
        json(answer),
    )
    classify = _post("Classes with their probabilities", json(examples, {"examples": example}), json(result))
    regress = _post("One number a row", json(examples, {"examples": example}), json(result))
    classifies = any(one.name.startswith(PROBABILITY) for one in served.signature.outputs)
    unused, other = (regress, "regress") if classifies else (classify, "classify")
    unused["description"] = f"This model has no use for :{other}; it answers 400."
    routes = {"predict": predict, "classify": classify, "regress": regress}
    for route in routes.values():
        route["responses"]["404"] = problem("There is no such signature")
    return routes
