"""Clients that others have written talk to the endpoint as to their own servers."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from tests.models import NUMBERS, BuiltModel
from tests.serving.conftest import Serve, Served

NAMES = [*NUMBERS, "site"]


def expected(served: Served, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(served.post("/predict", rows).json()["predictions"]).drop(columns="id")


@pytest.mark.parametrize("in_binary", [True, False])
@pytest.mark.parametrize("out_binary", [True, False])
def test_tritons_client(serve: Serve, iris: BuiltModel, in_binary: bool, out_binary: bool) -> None:
    triton = pytest.importorskip("tritonclient.http")
    served = serve()
    with triton.InferenceServerClient(urlsplit(served.url).netloc) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("iris")
        assert client.is_model_ready("iris", iris.version)
        assert not client.is_model_ready("other")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        metadata = client.get_model_metadata("iris")
        assert metadata["versions"] == [iris.version]
        assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [
            *((name, "FP64") for name in NUMBERS),
            ("site", "BYTES"),
        ]
        rows = iris.rows(7, start=48)
        inputs = []
        for one in metadata["inputs"]:
            dtype = object if one["datatype"] == "BYTES" else np.float64
            values = np.array([row[one["name"]] for row in rows], dtype=dtype).reshape(-1, 1)
            tensor = triton.InferInput(one["name"], list(values.shape), one["datatype"])
            inputs.append(tensor.set_data_from_numpy(values, binary_data=in_binary))
        names = [one["name"] for one in metadata["outputs"]]
        wanted = [triton.InferRequestedOutput(name, binary_data=out_binary) for name in names]
        answer = client.infer("iris", inputs, outputs=wanted, request_id="seven", model_version=iris.version)
        assert answer.get_response()["id"] == "seven"
        given = {name: answer.as_numpy(name).tolist() for name in names}
        given["label"] = [one.decode() if isinstance(one, bytes) else one for one in given["label"]]
        assert given == expected(served, rows).to_dict("list")
        inputs[0] = triton.InferInput("sepal_length", [7], "BYTES")
        inputs[0].set_data_from_numpy(np.array(["warm"] * 7, dtype=object), binary_data=in_binary)
        with pytest.raises(Exception, match="'sepal_length' in row 0") as caught:
            client.infer("iris", inputs)
        assert caught.value.status() == "422"


def test_tritons_client_with_one_tensor_for_all_columns(serve: Serve, numbers: BuiltModel) -> None:
    triton = pytest.importorskip("tritonclient.http")
    served = serve(model=numbers)
    matrix = numbers.frame[NUMBERS].to_numpy()[:5]
    with triton.InferenceServerClient(urlsplit(served.url).netloc) as client:
        tensor = triton.InferInput("features", list(matrix.shape), "FP64").set_data_from_numpy(matrix)
        answer = client.infer("numbers", [tensor])
        rows = numbers.frame[NUMBERS].iloc[:5].to_dict("records")
        assert answer.as_numpy("prediction").tolist() == expected(served, rows)["prediction"].tolist()


def test_one_number_a_row_stands_bare_where_the_protocols_have_it_so(
    serve: Serve, numbers: BuiltModel
) -> None:
    served = serve(model=numbers)
    rows = numbers.frame[NUMBERS].iloc[:3].to_dict("records")
    wanted = expected(served, rows)["prediction"].tolist()
    columns = {name: [row[name] for row in rows] for name in NUMBERS}
    model = "/v1/models/numbers"
    assert served.post(f"{model}:predict", {"instances": rows}).json() == {"predictions": wanted}
    assert served.post(f"{model}:predict", {"inputs": columns}).json() == {"outputs": wanted}
    assert served.post("/invocations", {"dataframe_records": rows}).json() == {"predictions": wanted}
    common = {"petal_width": rows[0]["petal_width"]}
    bare = [{name: value for name, value in row.items() if name != "petal_width"} for row in rows[:2]]
    body = {"examples": bare, "context": common, "signature_name": "serving_default"}
    assert served.post(f"{model}:regress", body).json() == {"result": wanted[:2]}
    refused = served.post(f"{model}:classify", {"examples": rows})
    assert refused.status_code == 400
    assert "no probabilities" in refused.json()["error"]


def test_tf_servings_status_and_metadata_have_its_form(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    for path in (
        "/v1/models/iris",
        f"/v1/models/iris/versions/{iris.version}",
        "/v1/models/iris/labels/live",
    ):
        (status,) = served.get(path).json()["model_version_status"]
        assert status == {
            "version": iris.version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        metadata = served.get(f"{path}/metadata").json()
        assert metadata["model_spec"]["name"] == "iris"
        signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["inputs"]["site"]["dtype"] == "DT_STRING"
        assert set(signature["inputs"]) == set(NAMES)
    for path in ("/v1/models/other", "/v1/models/iris/versions/7", "/v2/models/other/infer"):
        assert served.get(path).status_code == 404
    refused = served.get("/v1/models/iris:predict")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    other = {"signature_name": "other", "instances": iris.rows(1)}
    assert served.post("/v1/models/iris:predict", other).status_code == 404


def test_sagemakers_tables_are_told_with_and_without_a_header(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    frame = iris.frame.iloc[48:52]
    plain, named = frame.to_csv(index=False, header=False), frame.iloc[:, ::-1].to_csv(index=False)
    wanted = expected(served, frame.to_dict("records")).to_csv(index=False, header=False)
    for body, kind in (
        (plain, "text/csv"),
        (plain, "text/csv; header=absent"),
        (named, "text/csv"),
        (named, "text/csv;header=present"),
    ):
        answer = served.client.post("/invocations", content=body, headers={"Content-Type": kind})
        assert answer.headers["content-type"] == "text/csv"
        assert answer.text == wanted
    accept = {"Content-Type": "text/csv", "Accept": "text/csv; header=present"}
    headed = served.client.post("/invocations", content=plain, headers=accept)
    assert headed.text.startswith("label,probability_setosa,")
    short = named.replace(",sepal_width", "").replace(",3.5", "")
    refused = served.client.post("/invocations", content=short, headers={"Content-Type": "text/csv"})
    assert refused.status_code in (400, 422)


def test_the_page_has_examples_that_work_and_needs_nothing_from_elsewhere(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve()
    response = served.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not re.search(r"<script|src=|@import|url\(|<link", response.text)
    assert iris.tag in response.text
    wanted = served.post(
        "/predict",
        served.get("/schema").json()["paths"]["/predict"]["post"]["requestBody"]["content"][
            "application/json"
        ]["example"],
    ).json()["predictions"][0]["label"]
    for identifier, command in (("curl", ["bash", "-c"]), ("python", [sys.executable, "-c"])):
        found = re.search(f'<pre id="{identifier}">(.*?)</pre>', response.text, re.DOTALL)
        assert found is not None
        done = subprocess.run(
            [*command, html.unescape(found[1])], capture_output=True, text=True, timeout=20, check=True
        )
        assert wanted in done.stdout
    odd = served.client.get("/docs", headers={"Host": "x'><script>alert(1)</script>"})
    assert "<script" not in odd.text


def test_the_schema_tells_of_every_route_and_its_examples_work(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    schema = served.get("/schema").json()
    text = json.dumps(schema)
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in schema["components"]["schemas"]
    examples = 0
    for path, methods in schema["paths"].items():
        assert "{" not in path
        for method, route in methods.items():
            assert route["summary"]
            contents = route.get("requestBody", {}).get("content", {})
            if method == "get":
                assert served.get(path).status_code == 200, path
            for kind, content in contents.items():
                resolved = {"components": schema["components"], **content["schema"]}
                Draft202012Validator.check_schema(resolved)
                if "example" not in content:
                    continue
                examples += 1
                example = content["example"]
                body = example if isinstance(example, str) else json.dumps(example)
                if not isinstance(example, str):
                    Draft202012Validator(resolved).validate(example)
                answer = served.client.post(path, content=body, headers={"Content-Type": kind})
                unused = "no use for" in route.get("description", "")
                assert answer.status_code == (400 if unused else 200), (path, kind, answer.text)
                assert str(answer.status_code) in route["responses"]
                described = route["responses"]["200"]["content"]
                if not unused and answer.headers["content-type"] == "application/json":
                    form = {"components": schema["components"], **described["application/json"]["schema"]}
                    Draft202012Validator(form).validate(answer.json())
    assert examples > 15
    from taxiway.serving.app import create_app

    app = create_app(iris.path, served.spool)
    assert set(schema["paths"]) == set(app._routes)
    for path, route in app._routes.items():
        assert set(schema["paths"][path]) == {route.method.lower()}
        told = set(schema["paths"][path][route.method.lower()]["responses"])
        assert route.open or {"401", "429"} <= told
        assert route.method == "GET" or "503" in told
        assert not path.startswith("/v1/") or route.method == "GET" or "404" in told
    app.close()
