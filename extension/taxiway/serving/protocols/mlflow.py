"""MLflow's scoring protocol: https://mlflow.org/docs/latest/genai/serving/ ("Local inference server")."""

from __future__ import annotations

from typing import Any

import orjson

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Answer, Prediction, Served, rows_of
from taxiway.serving.protocols.instances import by_column, by_row
from taxiway.serving.requests import Batch, from_records, from_split

#: The release whose protocol is spoken, which ``GET /version`` tells.
VERSION = "3.17.2"
FORMS = frozenset(("dataframe_split", "dataframe_records", "instances", "inputs"))

HINT = f"Send exactly one of {', '.join(sorted(FORMS))}, or records, columns or split as for /predict."
#: HTTP status → MLflow's name of such an error.
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    422: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def version() -> Answer:
    """Answer ``GET /version``."""
    return Answer(200, VERSION.encode(), b"text/plain; charset=utf-8")


def is_spoken(data: Any) -> bool:
    """Whether a JSON body is one of MLflow's."""
    return type(data) is dict and not FORMS.isdisjoint(data)


def decode(served: Served, data: dict[str, Any]) -> Batch:
    """Read a body.

    Raises
    ------
    Problem
        400 where it has not one of the forms, 413 where there are too many rows.
    """
    forms = [form for form in FORMS if form in data]
    if len(forms) != 1:
        raise Problem(400, f"The body has {len(forms)} of MLflow's forms.", hint=HINT)
    names, form = served.signature.names, forms[0]
    content = data[form]
    if form == "dataframe_split":
        if type(content) is dict and "columns" not in content:
            content = {**content, "columns": list(names)}
        return from_split(content, names, served.max_rows)
    if form == "dataframe_records":
        return from_records(content, names, served.max_rows)
    return by_row(content, served) if form == "instances" else by_column(content, served)


def encode(prediction: Prediction) -> Answer:
    """Write ``{"predictions": [...]}``."""
    return Answer(200, orjson.dumps({"predictions": rows_of(prediction.outputs)}))


def refuse(problem: Problem) -> dict[str, Any]:
    """Give an error in MLflow's form; the plain one stands beside it, for SageMaker shares the route."""
    code = _CODES.get(problem.status, "BAD_REQUEST")
    return {"error_code": code, "message": problem.error, **problem.document()}
