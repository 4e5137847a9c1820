from __future__ import annotations

import asyncio
import json
import re
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest

from taxiway.serving.app import create_app
from taxiway.serving.control import PREDICTING
from tests.models import NUMBERS, BuiltModel
from tests.serving.conftest import Serve
from tests.waiting import wait_until

GOOD = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2, "site": "hill"}


def test_predictions_equal_those_of_scikit_learn(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    answer = served.post("/predict", iris.rows(150)).json()
    given = pd.DataFrame(answer["predictions"])
    assert answer["model"] == iris.tag
    assert list(given["label"]) == list(iris.pipeline.predict(iris.frame))
    expected = iris.pipeline.predict_proba(iris.frame)
    columns = [f"probability_{name}" for name in iris.pipeline.classes_]
    np.testing.assert_allclose(given[columns].to_numpy(), expected, atol=1e-6)
    assert len(set(given["id"])) == 150


def test_the_shapes_of_pandas_are_answered_alike(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    frame = iris.frame.iloc[[0, 60, 140]]
    ids = ["a", "b", "c"]
    bodies = [
        {"records": frame.to_dict(orient="records"), "ids": ids},
        {"columns": frame.to_dict(orient="list"), "ids": ids},
        {
            "split": {key: value for key, value in frame.to_dict(orient="split").items() if key != "index"},
            "ids": ids,
        },
    ]
    answers = [served.post("/predict", body).json()["predictions"] for body in bodies]
    assert answers[0] == answers[1] == answers[2]
    assert [one["label"] for one in answers[0]] == ["setosa", "versicolor", "virginica"]
    bare = served.post("/predict", frame.to_dict(orient="records")).json()["predictions"]
    assert [one["label"] for one in bare] == [one["label"] for one in answers[0]]


def test_a_column_turned_to_text_gets_a_422_that_names_row_column_expected_and_found(serve: Serve) -> None:
    served = serve()
    rows = [GOOD, GOOD, GOOD, GOOD | {"sepal_length": "warm"}]
    response = served.post("/predict", rows)
    assert response.status_code == 422
    finding = {
        "kind": "retyped",
        "column": "sepal_length",
        "row": 3,
        "count": 1,
        "expected": "float64",
        "found": "string",
        "example": "warm",
    }
    assert response.json()["findings"] == [finding]
    assert "sepal_length" in response.json()["error"]
    assert "row 3" in response.json()["error"]
    (record,) = served.records()
    assert record["kind"] == "rejected"
    assert record["findings"] == [finding]
    assert record["rows"] == 4


def test_a_missing_column_is_refused_and_an_extra_one_is_answered_and_named(serve: Serve) -> None:
    served = serve()
    without = {name: value for name, value in GOOD.items() if name != "petal_width"}
    missing = served.post("/predict", [without, without])
    assert missing.status_code == 422
    (finding,) = missing.json()["findings"]
    assert (finding["kind"], finding["column"], finding["row"], finding["count"]) == (
        "missing",
        "petal_width",
        None,
        2,
    )
    extra = served.post("/predict", [GOOD | {"account_type": "gold"}])
    assert extra.status_code == 200
    (finding,) = extra.json()["findings"]
    assert (finding["kind"], finding["column"], finding["example"]) == ("extra", "account_type", "gold")
    record = served.records()[-1]
    assert record["findings"] == [finding]
    assert "account_type" not in record["inputs"]


def test_policies_are_obeyed(serve: Serve) -> None:
    served = serve("--policy", "extra=reject", "--policy", "new_category=ignore", "--policy", "retyped=warn")
    assert served.post("/predict", [GOOD | {"account_type": "gold"}]).status_code == 422
    ignored = served.post("/predict", [GOOD | {"site": "moon"}])
    assert ignored.status_code == 200
    assert "findings" not in ignored.json()
    converted = served.post("/predict", [GOOD | {"sepal_length": "5.1"}])
    assert converted.status_code == 200
    assert converted.json()["findings"][0]["kind"] == "retyped"
    plain = served.post("/predict", [GOOD]).json()["predictions"][0]
    assert converted.json()["predictions"][0] | {"id": ""} == plain | {"id": ""}


def test_a_missing_value_is_taken_where_the_reference_data_had_some_and_only_there(
    serve: Serve, nullable_iris: BuiltModel
) -> None:
    body = json.dumps([GOOD | {"site": None}])
    not_a_number = json.dumps([GOOD | {"sepal_width": float("nan")}])
    infinite = json.dumps([GOOD | {"sepal_width": float("inf")}])
    strict = serve()
    refused = strict.send(not_a_number)
    assert refused.status_code == 422
    assert refused.json()["findings"][0]["kind"] == "null"
    assert strict.send(body).status_code == 422
    lenient = serve(model=nullable_iris)
    assert lenient.send(body).status_code == 200
    for served in (strict, lenient):
        refused = served.send(infinite)
        assert refused.status_code == 422
        assert refused.json()["findings"][0]["found"] == "infinity"


NO_SHAPE = {
    b"{": "not JSON",
    b"3": "neither a list nor an object",
    b"[]": "no rows",
    b'{"rows": []}': "none, or several",
    b"[3]": "Row 0 is not an object",
    b'{"columns": {"a": [1], "b": [1, 2]}}': "'a' has 1 values and 'b' has 2",
    b'{"columns": {}}': "not an object of lists",
    b'{"split": {"columns": ["a"], "data": [[1, 2]]}}': "Row 0 is not a list of 1",
    b'{"records": [{"a": 1}], "ids": [1]}': "something else than text",
    b'{"records": [{"a": 1}, {"a": 1}], "ids": ["x", "x"]}': "same id twice",
    b'{"records": [{"a": 1}], "times": ["noon"]}': "time of row 0",
    b"[" * 100_000: "not JSON",
    b"\xff": "not a text in UTF-8",
}


def test_a_body_of_no_known_shape_gets_a_400_that_says_why(serve: Serve) -> None:
    served = serve()
    for body, says in NO_SHAPE.items():
        response = served.send(body)
        assert response.status_code == 400, body[:100]
        assert says in response.json()["error"]
        assert response.json()["hint"]


def test_ids_and_times_are_the_clients_where_given(serve: Serve) -> None:
    served = serve()
    began = time.time()
    body = {"records": [GOOD, GOOD], "ids": ["x", "y"], "times": ["2015-01-31T12:00:00Z", 1422705600]}
    assert [one["id"] for one in served.post("/predict", body).json()["predictions"]] == ["x", "y"]
    named = served.post("/predict", [GOOD, GOOD], headers={"X-Request-Id": "order-7"})
    assert named.headers["x-request-id"] == named.json()["request_id"] == "order-7"
    assert [one["id"] for one in named.json()["predictions"]] == ["order-7-0", "order-7-1"]
    for unusable in ({}, {"X-Request-Id": "order 7"}, {"X-Request-Id": "7" * 129}):
        made = served.post("/predict", [GOOD], headers=unusable).json()
        assert made["predictions"][0]["id"] == made["request_id"]
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made["request_id"]
        )
    records = served.records()
    took = 1e3 * (time.time() - began)
    assert all(began - 1 < record["time"] < began + took / 1e3 + 1 for record in records)
    assert all(0 < record["latency_ms"] < took for record in records)
    assert records[0]["times"] == [1422705600.0, 1422705600.0]
    assert records[1]["times"] is None
    assert records[0]["inputs"]["site"] == ["hill", "hill"]
    assert set(records[0]["outputs"]) == {
        "label",
        "probability_setosa",
        "probability_versicolor",
        "probability_virginica",
    }


TIMES_OUTSIDE = (
    "1422705600000",  # milliseconds
    "-62135596801",
    "253370764800",
    "Infinity",
    "1e308",
    "1" * 400,
    '"9999-01-01"',
    '"9998-12-31T23:59:59-01:00"',
    '"0001-01-01T00:00:00+00:01"',
)
TIMES_WITHIN = (
    "-62135596800",
    "253370764799.5",
    '"0001-01-01"',
    '"9998-12-31T23:59:59Z"',
    '"9999-01-01T00:00:00+00:01"',
)


def test_a_time_that_no_calendar_holds_is_refused_with_its_row_and_the_usual_cause(serve: Serve) -> None:
    served = serve()

    def ask(time: str) -> list[httpx.Response]:
        rows = f'{{"records": {json.dumps([GOOD, GOOD])}, "times": [0, {time}]}}'
        outcomes = (f'{{"id": "{row}", "outcome": 1, "time": {said}}}' for row, said in enumerate((0, time)))
        content = f'{{"outcomes": [{", ".join(outcomes)}]}}'
        return [served.send(rows), served.client.post("/outcomes", content=content)]

    for time_ in TIMES_OUTSIDE:
        for answer in ask(time_):
            assert answer.status_code == 400, (time_, answer.text)
            assert "time of row 1" in answer.json()["error"]
            assert "years 1 to 9998" in answer.json()["error"]
            assert "Milliseconds" in answer.json()["hint"]
    assert served.records() == []
    for time_ in TIMES_WITHIN:
        assert [answer.status_code for answer in ask(time_)] == [200, 202], time_
    assert {record["times"][1] for record in served.records()} == {
        *(-62135596800.0, 253370764799.5, 253370764799.0, 253370764740.0),
    }


def test_outcomes_are_written_down(serve: Serve) -> None:
    served = serve()
    sent = {
        "outcomes": [
            {"id": "x", "outcome": "setosa", "time": "2015-02-01"},
            {"id": "y", "outcome": 1, "time": 0},
        ]
    }
    response = served.post("/outcomes", sent)
    assert (response.status_code, response.json()) == (202, {"accepted": 2})
    (record,) = served.records()
    assert record["kind"] == "outcome"
    assert record["ids"] == ["x", "y"]
    assert record["outcomes"] == ["setosa", 1]
    assert record["times"] == [1422748800.0, 0.0]
    assert served.post("/outcomes", {"outcomes": [{"id": 3, "outcome": 1}]}).status_code == 400


def test_what_is_too_large_gets_a_413_and_the_next_request_an_answer(serve: Serve) -> None:
    served = serve("--max-body", "20000", "--max-rows", "10")
    for rows in (11, 5000):
        response = served.post("/predict", [GOOD] * rows)
        assert response.status_code == 413
        assert response.json()["hint"]
    assert served.post("/predict", [GOOD]).status_code == 200


def test_too_many_requests_at_once_get_a_429_with_retry_after(serve: Serve) -> None:
    served = serve("--max-requests", "1")
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port)) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[")
        wait_until(lambda: served.post("/predict", [GOOD]).status_code == 429, "the slow one to be counted")
        response = served.post("/predict", [GOOD])
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        assert served.get("/healthz").status_code == 200
    wait_until(lambda: served.post("/predict", [GOOD]).status_code == 200, "room")


def test_unknown_routes_and_methods_get_json(serve: Serve) -> None:
    served = serve()
    for path, method, status in (
        ("/nowhere", "GET", 404),
        ("/admin/reload", "POST", 404),  # a process serves one model
        ("/predict", "GET", 405),
        ("/ping", "POST", 405),
    ):
        response = served.client.request(method, path)
        assert response.status_code == status, path
        assert set(response.json()) == {"error", "hint"}


def test_no_route_changes_what_is_served(iris: BuiltModel, tmp_path: Path) -> None:
    app = create_app(iris.path, tmp_path)
    takes = {path for path, route in app._routes.items() if route.method != "GET"}
    assert {path for path in takes if not path.endswith(PREDICTING)} == {"/outcomes"}
    app.close()


def test_a_token_is_asked_for_everywhere_but_in_health_checks(serve: Serve, tmp_path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    served = serve("--token-file", str(secret))
    for path in ("/ping", "/healthz", "/readyz"):
        assert served.get(path).status_code == 200
    for path in ("/metrics", "/schema"):
        assert served.get(path).status_code == 401
    assert served.post("/predict", [GOOD]).status_code == 401
    assert served.post("/predict", [GOOD], headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert served.post("/predict", [GOOD], headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_nothing_listens_beyond_loopback_without_a_token(serve: Serve) -> None:
    served = serve("--host", "0.0.0.0")
    assert served.process.wait(10) == 2


def test_metrics_stay_few_whatever_clients_send(serve: Serve) -> None:
    served = serve()
    for number in range(120):
        served.post("/predict", [GOOD | {f"made_up_{number}": 1}])
        served.get(f"/path/{number}")
    text = served.get("/metrics").text
    assert 'taxiway_requests_total{route="/predict",status="200"} 120' in text
    assert 'taxiway_requests_total{route="(other)",status="404"} 120' in text
    assert 'taxiway_findings_total{kind="extra",column="made_up_0"} 1' in text
    assert 'taxiway_findings_total{kind="extra",column="(other)"} 70' in text
    assert "taxiway_predictions_total 120" in text
    assert "taxiway_predict_seconds_count 120" in text
    assert "/path/" not in text


def test_the_schema_describes_this_model(serve: Serve, iris: BuiltModel) -> None:
    served = serve()
    schema = served.get("/schema").json()
    assert schema["openapi"] == "3.1.0"
    assert schema["info"]["version"] == iris.version
    assert set(schema["components"]["schemas"]["Row"]["properties"]) == {*NUMBERS, "site"}
    example = schema["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert served.post("/predict", example).status_code == 200


def test_the_spool_is_its_owners_alone(serve: Serve) -> None:
    served = serve()
    served.post("/predict", [GOOD])
    (segment,) = served.spool.glob("*.spool")
    (count,) = served.spool.glob("losses/*")
    for folder in (served.spool, served.spool / "losses"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in (segment, count):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("client", "token", "status"),
    [("192.0.2.7", None, 401), ("127.0.0.1", None, 200), ("::1", None, 200), ("192.0.2.7", "secret", 200)],
)
def test_without_a_token_only_this_machine_is_answered(
    iris: BuiltModel, tmp_path: Path, client: str, token: str | None, status: int
) -> None:
    """Also where somebody else binds the socket, as ``bentoml serve`` does, to every address by default."""
    app = create_app(iris.path, tmp_path, token=token)

    async def ask(path: str) -> int:
        transport = httpx.ASGITransport(app=app, client=(client, 1234))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as http:
            return (await http.get(path, headers=headers)).status_code

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, ask("/schema")).result() == status
        assert pool.submit(asyncio.run, ask("/healthz")).result() == 200
