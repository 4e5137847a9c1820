"""Pieces of an OpenAPI description that several routes share."""

from __future__ import annotations

from typing import Any

import orjson

from taxiway.serving.protocols import Prediction, Served, csv, media


def ref(name: str) -> dict[str, str]:
    """Refer to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: dict[str, Any], *, least: int = 0) -> dict[str, Any]:
    """Describe a list that has at least so many items."""
    return {"type": "array", "items": items} | ({"minItems": least} if least else {})


def record(**properties: dict[str, Any]) -> dict[str, Any]:
    """Describe an object that has all these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    """Describe a JSON body."""
    content: dict[str, Any] = {"schema": schema}
    if example:
        content["example"] = example
    return {"application/json": content}


def problem(description: str) -> dict[str, Any]:
    """Describe an error's response."""
    return {"description": description, "content": json(ref("Problem"))}


#: The errors of every route that predicts.
PROBLEMS: dict[str, Any] = {
    "400": problem("The body has none of the forms"),
    "401": problem("The token is missing or wrong"),
    "406": problem("No type in Accept is written"),
    "408": problem("The body did not come in time"),
    "413": problem("The body or its rows are too many"),
    "415": problem("A body of this type is not read"),
    "422": problem("A column does not fit the signature"),
    "429": problem("Too many requests at once"),
    "500": problem("The model failed"),
    "503": problem("The prediction did not end in time"),
}


def get(
    summary: str,
    schema: dict[str, Any] | None = None,
    *,
    kind: str = "application/json",
    problem: bool = False,
    open_to_all: bool = False,
) -> dict[str, Any]:
    """Describe a route that is only looked at."""
    content = {kind: {"schema": schema or ({"type": "string"} if "json" not in kind else {})}}
    responses: dict[str, Any] = {"200": {"description": summary, "content": content}}
    if problem:
        responses["503"] = {"description": "Draining", "content": json(ref("Problem"))}
    if not open_to_all:
        responses |= {status: PROBLEMS[status] for status in ("401", "429")}
    described: dict[str, Any] = {"summary": summary, "responses": responses}
    return described | ({"security": []} if open_to_all else {})


def media_of(served: Served, example: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Describe the types beside JSON in which rows come and answers go."""
    text: dict[str, Any] = {"schema": {"type": "string"}}
    lines: dict[str, Any] = {"schema": {"type": "string"}}
    if example:
        columns = {name: [row.get(name) for row in example] for name in served.signature.names}
        table = csv.encode(Prediction("", len(example), columns), ids=False)
        text["example"] = table.decode()
        lines["example"] = "".join(f"{orjson.dumps(row).decode()}\n" for row in example)
    return {
        media.CSV.decode(): text,
        media.LINES.decode(): lines,
        media.ARROW.decode(): {"schema": {"type": "string", "format": "binary"}},
    }
