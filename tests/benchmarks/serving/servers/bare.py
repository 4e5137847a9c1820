"""The limit: a bare ASGI callable that trusts whatever comes, logs nothing and counts nothing.

``bare.py MODEL PORT`` answers one row of JSON; ``bare.py MODEL PORT arrow`` an Arrow stream with another.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy
import onnxruntime
import orjson
import uvicorn

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
inputs = [one.name for one in session.get_inputs()]


async def one_row(scope: Any, receive: Any, send: Any) -> None:
    row = orjson.loads((await receive())["body"])[0]
    if len(inputs) == 1:
        feed = {inputs[0]: numpy.array([list(row.values())], dtype=numpy.float32)}
    else:
        values = numpy.array([row[name] for name in inputs], dtype=numpy.float32)
        feed = dict(zip(inputs, values.reshape(-1, 1, 1), strict=True))
    label, probabilities = session.run(None, feed)
    body = orjson.dumps({"label": label.tolist(), "probabilities": probabilities.tolist()})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def many_rows(scope: Any, receive: Any, send: Any) -> None:
    import pyarrow

    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message.get("more_body", False)
    table = pyarrow.ipc.open_stream(b"".join(parts)).read_all()
    if len(inputs) == 1:
        matrix = numpy.empty((table.num_rows, table.num_columns), dtype=numpy.float32)
        for place, column in enumerate(table.columns):
            matrix[:, place] = column
        feed = {inputs[0]: matrix}
    else:
        feed = {name: table.column(name).to_numpy().astype(numpy.float32).reshape(-1, 1) for name in inputs}
    label, probabilities = session.run(None, feed)
    answer = pyarrow.record_batch(
        {
            "label": label,
            "probability_0": numpy.ascontiguousarray(probabilities[:, 0]),
            "probability_1": numpy.ascontiguousarray(probabilities[:, 1]),
        }
    )
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, answer.schema) as writer:
        writer.write_batch(answer)
    body = sink.getvalue().to_pybytes()
    headers = [
        (b"content-type", b"application/vnd.apache.arrow.stream"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        many_rows if sys.argv[3:] == ["arrow"] else one_row,
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
