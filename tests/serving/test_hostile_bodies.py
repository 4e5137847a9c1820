"""Bodies that lie about themselves get the right status, in every protocol, and the process lives on."""

from __future__ import annotations

import json
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given as given_
from hypothesis import settings
from hypothesis import strategies as st

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Prediction, Served, media, openinference, tfserving
from taxiway.serving.requests import body_of
from taxiway.serving.validation import Validator
from taxiway.signature import Column, Output, Signature
from tests.models import NUMBERS, BuiltModel
from tests.serving.conftest import Served as Process
from tests.serving.refusals import expect, still_sound

GOOD = [5.1, 3.5, 1.4, 0.2, "hill"]
NAMES = [*NUMBERS, "site"]
DEEP = b'{"instances": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
INVOCATIONS: dict[bytes, int] = {
    b"": 400,
    b"3": 400,
    b"[]": 400,
    b"[[]]": 400,
    b"[[1, 2]]": 400,
    b"[3]": 400,
    b"[[[1]], 3]": 400,
    DEEP: 400,
    b'{"instances": []}': 400,
    b'{"instances": {}}': 400,
    b'{"instances": null}': 400,
    b'{"instances": [[1, 2, 3, 4, "hill"], [1]]}': 400,
    b'{"instances": [[1, 2, 3, 4, "hill"], 7]}': 400,
    b'{"instances": [{"site": {"b64": "%%%"}}]}': 400,
    b'{"instances": [{"site": {"b64": "//79"}}]}': 400,
    b'{"instances": [{"site": [[["hill"]]]}]}': 422,
    b'{"inputs": {"site": 3}}': 400,
    b'{"inputs": {"site": [], "petal_width": []}}': 400,
    b'{"inputs": {"site": ["hill"], "petal_width": [1, 2]}}': 400,
    b'{"inputs": {}, "instances": []}': 400,
    b'{"dataframe_split": {"data": [[1, 2]]}}': 400,
    b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}': 400,
    b'{"dataframe_split": {"columns": "a", "data": [[1]]}}': 400,
    b'{"dataframe_split": []}': 400,
    b'{"dataframe_records": {"a": 1}}': 400,
    b'{"dataframe_records": [{"a": 1}, null]}': 400,
    json.dumps({"instances": [[*GOOD[:3], float("nan"), "hill"]]}).encode(): 422,
    json.dumps({"instances": [[*GOOD[:3], float("inf"), "hill"]]}).encode(): 422,
    json.dumps({"instances": [[*GOOD[:3], 10**400, "hill"]]}).encode(): 422,
}
TF_PREDICT: dict[bytes, int] = {
    **{body: status for body, status in INVOCATIONS.items() if body.startswith(b'{"in')},
    b"[]": 400,
    b"{": 400,
    b"{}": 400,
    b'{"signature_name": "train", "instances": [[1]]}': 404,
    b'{"signature_name": [], "instances": [[1]]}': 404,
}
TF_CLASSIFY: dict[bytes, int] = {
    b"[]": 400,
    b"{}": 400,
    b'{"examples": []}': 400,
    b'{"examples": [3]}': 400,
    b'{"examples": [{}], "context": []}': 400,
    b'{"examples": {"site": 1}}': 400,
    b'{"examples": [{"site": "hill"}]}': 422,
}
CSV: dict[bytes, int] = {
    b"": 400,
    b"\n\n": 400,
    b"a,b\n": 400,
    b"a,a\n1,2\n": 400,
    b"a,b\n1\n": 400,
    b"a,b\n1,2,3\n": 400,
    b"\xff\xfe\x00\n": 400,
    b'a,b\n"1,2\n': 400,
    b'a,b\n"x"y,2\n': 400,
    b"a,b\n" + b"x" * 200_000 + b",1\n": 400,
    b"a,b\n1,2\n": 422,
    (",".join(NAMES) + "\n5.1,3.5,nan,0.2,hill\n").encode(): 422,
    (",".join(NAMES) + "\n5.1,3.5,inf,0.2,hill\n").encode(): 422,
    (",".join(NAMES) + "\n5.1,3.5,1_0,0.2,hill\n").encode(): 422,
    (",".join(NAMES) + "\n5.1,3.5,0x10,0.2,hill\n").encode(): 422,
    (",".join(NAMES) + "\n5.1,3.5,\xd9\xa1,0.2,hill\n").encode("latin-1"): 422,
    (",".join(NAMES) + "\n5.1,3.5,,0.2,hill\n").encode(): 422,
    (",".join(NAMES) + "\n5.1,3.5,1" + "0" * 400 + ",0.2,hill\n").encode(): 422,
}


def infer(**changes: Any) -> dict[str, Any]:
    """A sound body of one tensor for each column, the first changed."""
    inputs = [
        {"name": name, "shape": [1], "datatype": "BYTES" if name == "site" else "FP64", "data": [value]}
        for name, value in zip(NAMES, GOOD, strict=True)
    ]
    inputs[0] |= changes
    return {"inputs": inputs}


OIP: dict[str, tuple[Any, int]] = {
    "sound": (infer(), 200),
    "no inputs": ({"inputs": []}, 400),
    "a list": ([], 400),
    "inputs of nothing": ({"inputs": [None]}, 400),
    "no name": (infer(name=None), 400),
    "no shape": (infer(shape=None), 400),
    "a negative shape": (infer(shape=[-1]), 400),
    "a shape of truth": (infer(shape=[True]), 400),
    "a shape of fractions": (infer(shape=[1.0]), 400),
    "a huge shape": (infer(shape=[10**18, 10**18]), 413),
    "an empty shape": (infer(shape=[]), 400),
    "a deep shape": (infer(shape=[1, 1, 1]), 400),
    "no rows": (infer(shape=[0], data=[]), 400),
    "too few": (infer(shape=[2]), 400),
    "too many": (infer(data=[1, 2]), 400),
    "no datatype": (infer(datatype="FP7"), 400),
    "a datatype of lists": (infer(datatype=[]), 400),
    "no data": (infer(data=None), 400),
    "nested data": (infer(data=[[[1]]]), 422),
    "ragged data": (infer(shape=[2, 2], data=[[1], [2, 3, 4]]), 400),
    "two of one name": (infer(name="site"), 400),
    "two columns in one": (infer(shape=[1, 2], data=[1, 2]), 400),
    "NaN": (infer(data=[float("nan")]), 422),
    "infinity": (infer(data=[float("inf")]), 422),
    "text in numbers": (infer(data=["warm"]), 422),
    "a lonely matrix": (
        {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1] * 4}]},
        400,
    ),
    "binary that is not there": (infer(parameters={"binary_data_size": 8}), 400),
    "odd parameters": (infer(parameters=[]), 200),
    "no such output": (infer() | {"outputs": [{"name": "loss"}]}, 400),
    "odd outputs": (infer() | {"outputs": [3]}, 400),
    "outputs of a kind": (infer() | {"outputs": {"name": "label"}}, 400),
}


def binary(size: Any, data: bytes, *, shape: list[int], length: str | None = None) -> tuple[bytes, str]:
    """A body whose first tensor is binary."""
    body = infer(shape=shape, parameters={"binary_data_size": size})
    del body["inputs"][0]["data"]
    head = json.dumps(body).encode()
    return head + data, length or str(len(head))


DOUBLE = struct.pack("<d", 5.1)
BINARY: dict[str, tuple[tuple[bytes, str], int]] = {
    "sound": (binary(8, DOUBLE, shape=[1]), 200),
    "size too small": (binary(4, DOUBLE, shape=[1]), 400),
    "size too large": (binary(80, DOUBLE, shape=[1]), 400),
    "size below nothing": (binary(-8, DOUBLE, shape=[1]), 400),
    "size of text": (binary("8", DOUBLE, shape=[1]), 400),
    "shape too large": (binary(8, DOUBLE, shape=[2]), 400),
    "bytes left over": (binary(8, DOUBLE + b"x", shape=[1]), 400),
    "nothing there": (binary(8, b"", shape=[1]), 400),
    "length beyond the end": (binary(8, DOUBLE, shape=[1], length="99999"), 400),
    "length too short": (binary(8, DOUBLE, shape=[1], length="10"), 400),
    "length below nothing": (binary(8, DOUBLE, shape=[1], length="-1"), 400),
    "length of words": (binary(8, DOUBLE, shape=[1], length="all"), 400),
    "length endless": (binary(8, DOUBLE, shape=[1], length="9" * 100), 400),
    "NaN": (binary(8, struct.pack("<d", float("nan")), shape=[1]), 422),
    "infinity": (binary(8, struct.pack("<d", float("inf")), shape=[1]), 422),
}


def test_json_of_sagemaker_mlflow_and_tf_serving(process: Process, iris: BuiltModel) -> None:
    for path, bodies in (
        ("/invocations", INVOCATIONS),
        ("/v1/models/iris:predict", TF_PREDICT),
        ("/v1/models/iris:classify", TF_CLASSIFY),
    ):
        for body, status in bodies.items():
            response = process.client.post(path, content=body, headers={"Content-Type": "application/json"})
            expect(response, status, (path, body[:100]))
            if path == "/invocations":
                assert response.json()["message"] == response.json()["error"]
    still_sound(process, iris)


@pytest.mark.parametrize("path", ["/predict", "/invocations"])
def test_csv(process: Process, iris: BuiltModel, path: str) -> None:
    for body, status in CSV.items():
        response = process.client.post(path, content=body, headers={"Content-Type": "text/csv"})
        assert response.status_code in ((status,) if path == "/predict" else (400, 422)), body[:100]
        assert response.json()["hint"]
    still_sound(process, iris)


def test_open_inference(process: Process, iris: BuiltModel) -> None:
    for name, (body, status) in OIP.items():
        response = process.client.post("/v2/models/iris/infer", content=json.dumps(body))
        expect(response, status, name)
    for name, ((content, length), status) in BINARY.items():
        headers = {"Inference-Header-Content-Length": length, "Content-Type": "application/octet-stream"}
        expect(process.client.post("/v2/models/iris/infer", content=content, headers=headers), status, name)
    still_sound(process, iris)


def test_binary_texts_that_lie_about_their_lengths(process: Process, iris: BuiltModel) -> None:
    sound = struct.pack("<I", 4) + b"hill"
    for data in (
        b"",
        b"\x01",
        struct.pack("<I", 2**32 - 1) + b"hill",
        sound + sound,
        sound[:-1],
        struct.pack("<I", 2) + b"\xff\xfe",
    ):
        body = infer()
        body["inputs"][-1].pop("data")
        body["inputs"][-1]["parameters"] = {"binary_data_size": len(data)}
        head = json.dumps(body).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        expect(process.client.post("/v2/models/iris/infer", content=head + data, headers=headers), 400, data)
    still_sound(process, iris)


def test_types_that_are_not_spoken(process: Process) -> None:
    for path in ("/predict", "/invocations"):
        answer = process.client.post(path, content=b"<a/>", headers={"Content-Type": "application/xml"})
        expect(answer, 415, path)
        answer = process.client.post(path, json=[{}], headers={"Accept": "application/x-npy"})
        expect(answer, 406, path)
    for accept in ("text/csv;q=x", "text/csv;q=0", ",;=", "a" * 5000, "a," * 3000):
        answer = process.client.post("/predict", json=[{}], headers={"Accept": accept})
        assert answer.status_code in (400, 406, 422), accept


# Any JSON in the place of any part of a sound body.
JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**66), 2**66),
        st.floats(),
        st.text(max_size=3),
        st.sampled_from(["BYTES", "site", "FP64", 1, 5.1]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "b64"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ROW = dict(zip(NAMES, GOOD, strict=True))
BODIES: list[tuple[Any, dict[str, Any] | list[Any]]] = [
    (openinference.infer, infer() | {"outputs": [{"name": "o", "parameters": {"binary_data": True}}]}),
    (openinference.infer, {"inputs": [{"name": "x", "shape": [1, 5], "datatype": "FP64", "data": [GOOD]}]}),
    (tfserving.predict, {"instances": [ROW], "signature_name": ""}),
    (tfserving.predict, {"instances": [GOOD, GOOD]}),
    (tfserving.predict, {"inputs": {name: [[value]] for name, value in ROW.items()}}),
    (tfserving.classify, {"examples": [ROW], "context": {"site": "hill"}}),
    (tfserving.regress, {"examples": [ROW]}),
    (media.invocations, {"dataframe_split": {"columns": NAMES, "data": [GOOD]}}),
    (media.invocations, {"dataframe_records": [ROW]}),
    (media.invocations, [GOOD, GOOD]),
    (media.predict, {"split": {"columns": NAMES, "data": [GOOD]}, "ids": ["a"], "times": [1]}),
    (media.predict, {"columns": {name: [value] for name, value in ROW.items()}}),
    (media.predict, {"records": [ROW, ROW]}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every part of a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in parts for place in places(part, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """A copy with junk in one place."""
    if not path:
        return junk
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], junk)
    return copy


@settings(max_examples=800, deadline=None)
@given_(data=st.data())
def test_every_protocol_reads_or_refuses_any_json(data: st.DataObject) -> None:
    decode, body = data.draw(st.sampled_from(BODIES))
    for _ in range(data.draw(st.integers(1, 2))):
        body = put(body, data.draw(st.sampled_from(places(body))), data.draw(JUNK))
    columns = tuple(Column(name, "string" if name == "site" else "float64") for name in NAMES)
    for outputs in ((Output("o", "float64"),), (Output("probability_a", "float64"), Output("o", "string"))):
        served = Served("m", "v", "live", Signature(columns, outputs), 10)
        try:
            question = decode(served, {}, json.dumps(body).encode())
        except Problem as problem:
            assert 400 <= problem.status < 500  # noqa: PT017
            continue
        batch = question.batch
        assert {len(values) for values in batch.columns.values()} <= {batch.rows}
        given = {one.name: ([0.5] if one.dtype == "float64" else ["x"]) * batch.rows for one in outputs}
        answer = question.answer(Prediction("r", batch.rows, given))
        assert answer.status == 200
        Validator(served.signature, {}, frozenset(NAMES)).check(batch)
        orjson.dumps([batch.columns, body_of(batch).decode()], option=orjson.OPT_NON_STR_KEYS)
