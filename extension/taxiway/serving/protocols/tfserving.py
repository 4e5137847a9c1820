"""TF Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest."""

from __future__ import annotations

from typing import Any

import orjson

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Answer, Prediction, Question, RequestHeaders, Served, rows_of
from taxiway.serving.protocols.instances import by_column, by_row
from taxiway.serving.requests import load_json

SIGNATURE = "serving_default"
_DTYPES = {
    "float64": "DT_DOUBLE",
    "float32": "DT_FLOAT",
    "int64": "DT_INT64",
    "int32": "DT_INT32",
    "bool": "DT_BOOL",
    "string": "DT_STRING",
}
HINT = 'Send {"instances": [...]}, one a row, or {"inputs": {"name": [...]}}, one list a column.'
EXAMPLES = 'Send {"examples": [{"name": value, ...}, ...]}; "context" holds what all have in common.'
#: What the names of outputs that are probabilities of classes begin with.
PROBABILITY = "probability_"


def status(served: Served) -> Answer:
    """Answer ``GET /v1/models/NAME``."""
    version = {
        "version": served.version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return Answer(200, orjson.dumps({"model_version_status": [version]}))


def metadata(served: Served) -> Answer:
    """Answer ``GET /v1/models/NAME/metadata``."""
    signature = {
        "inputs": {one.name: _tensor(one.name, one.dtype) for one in served.signature.inputs},
        "outputs": {one.name: _tensor(one.name, one.dtype) for one in served.signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    spec = {"name": served.name, "signature_name": "", "version": served.version}
    definition = {"signature_def": {"signature_def": {SIGNATURE: signature}}}
    return Answer(200, orjson.dumps({"model_spec": spec, "metadata": definition}))


def predict(served: Served, _: RequestHeaders, body: bytes) -> Question:
    """Read a body of ``:predict``: ``instances`` are answered by row, ``inputs`` by column.

    Raises
    ------
    Problem
        400 where it has neither, or both.
    """
    data = _object(body)
    if ("instances" in data) == ("inputs" in data):
        raise Problem(
            400, "The body has not exactly one of instances and inputs.", hint="Send one of the two."
        )
    if "instances" in data:
        return Question(by_row(data["instances"], served), _predictions)
    return Question(by_column(data["inputs"], served), _columns)


def classify(served: Served, _: RequestHeaders, body: bytes) -> Question:
    """Read a body of ``:classify``; the answer has each row's classes with their probabilities.

    Raises
    ------
    Problem
        400 where the Model gives no probabilities, or the body is not one of examples.
    """
    names = [one.name for one in served.signature.outputs if one.name.startswith(PROBABILITY)]
    if not names:
        raise Problem(
            400, f"{served.tag} gives no probabilities of classes.", hint="Use :predict, or :regress."
        )

    def answer(prediction: Prediction) -> Answer:
        classes = [name.removeprefix(PROBABILITY) for name in names]
        rows = zip(*(prediction.outputs[name] for name in names), strict=True)
        return _result([list(zip(classes, row, strict=True)) for row in rows])

    return Question(by_row(_examples(body), served), answer)


def regress(served: Served, _: RequestHeaders, body: bytes) -> Question:
    """Read a body of ``:regress``; the answer has one number a row.

    Raises
    ------
    Problem
        400 where the Model does not give exactly one number, or the body is not one of examples.
    """
    outputs = served.signature.outputs
    if len(outputs) != 1 or outputs[0].dtype in ("string", "bool"):
        raise Problem(400, f"{served.tag} does not give one number a row.", hint="Use :predict.")
    return Question(by_row(_examples(body), served), lambda prediction: _result(rows_of(prediction.outputs)))


def _examples(body: bytes) -> list[dict[str, Any]]:
    data = _object(body)
    examples, context = data.get("examples"), data.get("context", {})
    if type(context) is not dict or type(examples) is not list:
        raise Problem(400, "The body has no list of examples.")
    for number, example in enumerate(examples):
        if type(example) is not dict:
            raise Problem(400, f"Row {number} is not an object.")
    return [context | example for example in examples]


def _object(body: bytes) -> dict[str, Any]:
    data = load_json(body)
    if type(data) is not dict:
        raise Problem(400, "The body is not an object.")
    name = data.get("signature_name", SIGNATURE)
    if name not in (SIGNATURE, ""):
        raise Problem(404, "There is no such signature.", hint=f"Leave signature_name out, or {SIGNATURE!r}.")
    return data


def _predictions(prediction: Prediction) -> Answer:
    return Answer(200, orjson.dumps({"predictions": rows_of(prediction.outputs)}))


def _columns(prediction: Prediction) -> Answer:
    outputs = prediction.outputs
    return Answer(
        200, orjson.dumps({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))})
    )


def _result(result: list[Any]) -> Answer:
    return Answer(200, orjson.dumps({"result": result}))


def _tensor(name: str, dtype: str) -> dict[str, Any]:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    return {"dtype": _DTYPES[dtype], "tensor_shape": shape, "name": f"{name}:0"}
