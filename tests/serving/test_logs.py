from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from taxiway.serving import logs
from taxiway.serving.tracing import CURRENT, Trace
from taxiway.signature import Column, Output, Signature
from taxiway_backends.local.log import parse_line
from tests.models import BuiltModel
from tests.serving.conftest import Serve, Served

SECRET = 987654321


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, logging.StreamHandler[io.StringIO]]]:
    """A logger of its own, whose handler has what a serving process's has."""
    logger = logging.getLogger("test.logs")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logs.JsonLines("live", "iris:abc"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger, handler
    logger.removeHandler(handler)


def raise_secret() -> None:
    try:
        float(f"secret-{SECRET}")
    except ValueError as error:
        raise RuntimeError(f"cannot take secret-{SECRET}") from error


@pytest.mark.parametrize("kind", ["json", "text"])
def test_a_line_tells_the_request_and_where_it_failed_but_no_value(log: Any, kind: str) -> None:
    logger, handler = log
    if kind == "text":
        handler.setFormatter(logs.Lines("live", "iris:abc"))
    told = CURRENT.set(("r-1", Trace("a" * 32, "b" * 16, "c" * 16)))
    try:
        raise_secret()
    except RuntimeError:
        logger.exception("a %s", "request\nfailed")
    finally:
        CURRENT.reset(told)
    text = handler.stream.getvalue()
    assert str(SECRET) not in text
    if kind == "text":
        line = parse_line(text.split("\n", 1)[0])
        assert line.source == f"live[{os.getpid()}]"
        assert "builtins.RuntimeError" in text
        return
    (line,) = [json.loads(one) for one in text.splitlines()]
    moment = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    raised = line.pop("exception")
    assert raised.index("builtins.ValueError") < raised.index("builtins.RuntimeError")
    assert "in raise_secret" in raised
    assert line == {
        "level": "error",
        "role": "live",
        "pid": os.getpid(),
        "model": "iris:abc",
        "message": "a request\nfailed",
        "request": "r-1",
        "trace": "a" * 32,
        "span": "c" * 16,
    }
    parsed = parse_line(text.rstrip())
    assert (parsed.time, parsed.source, parsed.text) == (moment, f"live[{os.getpid()}]", "a request\nfailed")


def test_many_lines_alike_are_left_out_and_it_is_said_once(log: Any) -> None:
    logger, handler = log
    handler.addFilter(logs.Throttle(most=3, seconds=3600))
    for number in range(50):
        logger.warning("request %d was bad", number)
    logger.warning("something else")
    messages = [json.loads(line)["message"] for line in handler.stream.getvalue().splitlines()]
    assert messages == [
        "request 0 was bad",
        "request 1 was bad",
        "request 2 was bad (more like this are left out for 3600 s)",
        "something else",
    ]


def test_what_ends_the_process_or_a_thread_or_warns_is_one_object_too() -> None:
    code = (
        "import asyncio, threading, warnings; from taxiway.serving import logs\n"
        "logs.set_up('live', 'json', 'iris:abc')\n"
        f"def fail(): raise ValueError('{SECRET}')\n"
        "async def task(): fail()\n"
        "async def main():\n  made = asyncio.create_task(task())\n  await asyncio.sleep(0)\n  del made\n"
        "  await asyncio.sleep(0)\n"
        "asyncio.run(main()); warnings.warn('look')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join(); fail()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert str(SECRET) not in ended.stderr.replace("', 'json'", "")
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["error", "warning", "error", "critical"]
    assert "never retrieved" in lines[0]["message"]
    assert all("ValueError" in lines[place]["exception"] for place in (0, 2, 3))


@pytest.fixture(scope="session")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """A model that fails on an index that it does not have; ONNX Runtime's message then quotes the index."""
    from onnx import TensorProto, helper, save

    folder = tmp_path_factory.mktemp("models") / "lookup"
    folder.mkdir()
    table = helper.make_tensor("table", TensorProto.DOUBLE, [3], [1.0, 2.0, 3.0])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        "lookup",
        [helper.make_tensor_value_info("index", TensorProto.INT64, [None, 1])],
        [helper.make_tensor_value_info("value", TensorProto.DOUBLE, [None, 1])],
        [table],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, folder / "model.onnx")
    signature = Signature((Column("index", "int64"),), (Output("value", "float64"),))
    output = {"name": "value", "tensor": "value", "index": None}
    for name, content in (
        ("model.json", {"name": "lookup", "version": "1" * 12, "outputs": [output]}),
        ("signature.json", signature.to_dict()),
        ("sample.json", {"records": [{"index": 1}], "outputs": {"value": [2.0]}}),
    ):
        (folder / name).write_text(json.dumps(content))
    return BuiltModel(folder, "lookup", "1" * 12, None, None)  # type: ignore[arg-type]


def ended(served: Served) -> str:
    """End the process and give all that it wrote to its log."""
    served.process.terminate()
    assert served.process.wait(10) == 0
    assert served.process.stderr is not None
    return served.process.stderr.read()


@pytest.mark.parametrize("kind", ["json", "text"])
def test_a_model_that_fails_tells_the_client_why_and_the_log_which_request(
    serve: Serve, lookup: BuiltModel, kind: str
) -> None:
    served = serve("--log-format", kind, "--drain-seconds", "0.2", model=lookup)
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    sent = {"x-request-id": "bad-1", "traceparent": parent}
    answer = served.post("/predict", [{"index": SECRET}], headers=sent)
    assert answer.status_code == 500
    assert str(SECRET) in answer.text
    assert served.post("/predict", [{"index": 2}]).json()["predictions"][0]["value"] == 3.0
    text = ended(served)
    # Not by us, and not by ONNX Runtime, which would write its errors there itself.
    assert str(SECRET) not in text
    assert "bad-1" in text
    assert "a" * 32 in text
    if kind == "text":
        assert re.search(r"^\S+Z live\[\d+\] lookup:1+ is ready as live$", text, re.MULTILINE)
        return
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["model"] for line in lines} == {lookup.tag}
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert (failed["request"], failed["trace"]) == ("bad-1", "a" * 32)
    assert "exception" in failed


def test_a_fault_of_ours_on_the_short_way_is_in_the_log_and_the_request_goes_the_long_way(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve(
        *("--log-format", "json", "--drain-seconds", "0.2"),
        before=(
            "from taxiway.serving.app import App\n"
            f"def fail(self, given, body, defaults): raise ValueError(f'{SECRET} {{body}}')\n"
            "App.answer_at_once = fail"
        ),
    )
    row = iris.rows(1)
    body = json.dumps(row).encode()
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), 20) as line:
        line.sendall(head + body)
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert len(served.records()) == 1
    text = ended(served)
    (failed,) = [line for line in map(json.loads, text.splitlines()) if line["level"] == "error"]
    assert failed["exception"].endswith("ValueError")
    assert "connection.py" in failed["exception"]
    assert str(SECRET) not in text
    assert next(iter(row[0])) not in text


def test_a_start_that_fails_is_an_object_with_the_model_in_it(taxiway_home: Path, lookup: BuiltModel) -> None:
    broken = taxiway_home / "broken"
    broken.mkdir(parents=True)
    for name in ("model.json", "signature.json"):
        (broken / name).write_bytes((lookup.path / name).read_bytes())
    command = [sys.executable, "-m", "taxiway.serving", "--model", str(broken), "--spool", str(broken / "s")]
    environment = os.environ | {logs.VARIABLE: "json"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 3
    (line,) = [json.loads(one) for one in result.stderr.splitlines()]
    assert (line["level"], line["model"]) == ("error", lookup.tag)
    assert "sample.json" in line["message"]
    environment[logs.VARIABLE] = "xml"
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 2
    assert "set it to text or json" in result.stderr
