"""The Open Inference Protocol, version 2, over REST, with the binary tensor data extension.

https://github.com/kserve/open-inference-protocol and, for the extension, Triton's
``protocol/extension_binary_data.md``.
"""

from __future__ import annotations

from typing import Any

import orjson

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Answer, Prediction, Question, RequestHeaders, Served, tensors
from taxiway.serving.requests import Batch, from_columns, load_json, too_many

BINARY = "binary_tensor_data"
JSON_LENGTH = b"inference-header-content-length"

_OCTETS = b"application/octet-stream"
HINT = 'Send {"inputs": [{"name", "shape", "datatype", "data"}, ...]}, one tensor a column or one for all.'


def server(served: Served) -> Answer:
    """Answer ``GET /v2``."""
    return Answer(200, orjson.dumps({"name": "taxiway", "version": served.tag, "extensions": [BINARY]}))


def metadata(served: Served) -> Answer:
    """Answer ``GET /v2/models/NAME``."""
    signature = served.signature
    document = {
        "name": served.name,
        "versions": [served.version],
        "platform": "taxiway",
        "inputs": [_described(one.name, one.dtype) for one in signature.inputs],
        "outputs": [_described(one.name, one.dtype) for one in signature.outputs],
    }
    return Answer(200, orjson.dumps(document))


def infer(served: Served, headers: RequestHeaders, body: bytes) -> Question:
    """Read a body of ``/infer``.

    Raises
    ------
    Problem
        400 where shapes, lengths and data do not go together, 413 where there are too many rows.
    """
    text, binary = _parted(headers, body)
    data = load_json(text)
    if type(data) is not dict or type(data.get("inputs")) is not list or not data["inputs"]:
        raise Problem(400, "The body has no list of inputs.")
    batch = _batch(served, data["inputs"], memoryview(binary))
    wanted = _wanted(served, data)
    number = data.get("id")
    return Question(batch, lambda prediction: _answer(served, wanted, number, prediction))


def _parted(headers: RequestHeaders, body: bytes) -> tuple[bytes, bytes]:
    """Part the JSON from the binary data behind it."""
    length = headers.get(JSON_LENGTH)
    if length is None:
        return body, b""
    if not length.isdigit() or len(length) > 12 or int(length) > len(body):
        raise Problem(
            400,
            "Inference-Header-Content-Length is not the length of the body's JSON.",
            hint="Send the number of bytes that the JSON takes, before the binary data.",
        )
    return body[: int(length)], body[int(length) :]


def _batch(served: Served, inputs: list[Any], binary: memoryview) -> Batch:
    names = served.signature.names
    given: dict[str, tensors.Tensor] = {}
    place = 0
    for one in inputs:
        tensor, taken = tensors.read(one, binary[place:], served.max_rows * max(1, len(names)))
        place += taken
        if tensor.name in given:
            raise Problem(400, f"There are two inputs {tensor.name!r}.", hint=HINT)
        given[tensor.name] = tensor
    if place != len(binary):
        raise Problem(400, f"{len(binary) - place} bytes of binary data belong to no input.", hint=HINT)
    for tensor in given.values():
        too_many(tensor.shape[0], served.max_rows)
    return from_columns(_columns(given, names), names, served.max_rows)


def _columns(given: dict[str, tensors.Tensor], names: tuple[str, ...]) -> dict[str, list[Any]]:
    first = next(iter(given.values()))
    if len(given) == 1 and len(first.shape) == 2 and (first.shape[1] > 1 or first.name not in names):
        if first.shape[1] != len(names):
            raise Problem(
                400,
                f"Input {first.name!r} has {first.shape[1]} columns; the model has {len(names)}.",
                hint=HINT,
            )
        return dict(zip(names, first.columns(), strict=True))
    for tensor in given.values():
        if tensor.shape[1:] not in ((), (1,)):
            raise Problem(
                400, f"Input {tensor.name!r} is not one column.", hint="Send the shape [rows] or [rows, 1]."
            )
    return {name: tensor.values for name, tensor in given.items()}


def _wanted(served: Served, data: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Give name and dtype of each output that is asked for, and whether in binary."""
    dtypes: dict[str, str] = {one.name: one.dtype for one in served.signature.outputs}
    always = _flag(data, "binary_data_output")
    asked = data.get("outputs")
    if not asked:
        return [(name, dtype, always) for name, dtype in dtypes.items()]
    wanted = []
    for one in asked if type(asked) is list else [None]:
        one = one if type(one) is dict else {}
        name = one.get("name")
        if type(name) is not str or name not in dtypes:
            raise Problem(
                400, "An output is asked for that there is not.", hint=f"There are {', '.join(dtypes)}."
            )
        wanted.append((name, dtypes[name], _flag(one, "binary_data", otherwise=always)))
    return wanted


def _flag(data: dict[str, Any], name: str, *, otherwise: bool = False) -> bool:
    parameters = data.get("parameters")
    value = parameters.get(name, otherwise) if type(parameters) is dict else otherwise
    return value is True


def _answer(
    served: Served, wanted: list[tuple[str, str, bool]], number: Any, prediction: Prediction
) -> Answer:
    outputs, parts = [], []
    for name, dtype, binary in wanted:
        values = prediction.outputs[name]
        output: dict[str, Any] = {"name": name, "shape": [len(values)], "datatype": tensors.DATATYPES[dtype]}
        if binary:
            parts.append(tensors.to_bytes(values, dtype))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    document = {"model_name": served.name, "model_version": served.version, "outputs": outputs}
    if type(number) is str:
        document["id"] = number
    text = orjson.dumps(document)
    if not parts:
        return Answer(200, text)
    length = (JSON_LENGTH, b"%d" % len(text))
    return Answer(200, b"".join((text, *parts)), _OCTETS, (length,))


def _described(name: str, dtype: str) -> dict[str, Any]:
    return {"name": name, "datatype": tensors.DATATYPES[dtype], "shape": [-1]}
