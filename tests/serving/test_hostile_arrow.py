"""Arrow streams of all kinds are read; what is wrong or too much is refused, and the process lives on."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Served, arrow
from taxiway.serving.protocols.arrow_columns import Reader, fields_of
from taxiway.serving.protocols.flatbuffers import Malformed, Scalar, Table, write
from taxiway.signature import Column, Output, Signature
from tests.models import BuiltModel
from tests.serving.conftest import Served as Process
from tests.serving.refusals import expect, still_sound

ARROW = "application/vnd.apache.arrow.stream"


# Most are read in this process: a crash of the reader would end the tests.
TABLE = pa.table(
    {
        "f": [1.5, None, float("nan")],
        "i": pa.array([1, 2, None], pa.int8()),
        "s": ["a", None, "ü"],
        "b": [True, False, None],
        "d": pa.array(["x", "y", "x"]).dictionary_encode(),
        "l": pa.array(["x", "y", "z"], pa.large_string()),
        "v": pa.array(["x", None, "longer than twelve bytes"], pa.string_view()),
        "n": pa.nulls(3),
        "h": pa.array(np.array([1, 2, 3], np.float16)),
        "u": pa.array([1, 2, 2**64 - 1], pa.uint64()),
        "t": pa.array([1, 2, 3], pa.timestamp("ms")),
    }
)
SERVED = Served(
    "m",
    "v",
    "live",
    Signature(tuple(Column(name, "float64") for name in "fisbdlvnhu"), (Output("o", "bool"),)),
    10,
)


def stream(table: pa.Table, rows: int = 2, **options: Any) -> bytes:
    sink = io.BytesIO()
    settings = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, table.schema, options=settings) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def test_arrow_of_all_kinds_is_read_as_pyarrow_wrote_it() -> None:
    batch = arrow.decode(SERVED, stream(TABLE))
    expected = TABLE.drop(["t"]).to_pydict()
    expected["f"][2] = None
    assert batch.columns == expected
    assert batch.rows == 3
    assert batch.extra["t"].example == "timestamp"
    sliced = arrow.decode(SERVED, stream(TABLE.slice(1, 2)))
    assert sliced.columns == {name: values[1:] for name, values in expected.items()}


def test_arrow_streams_with_any_bytes_wrong_are_refused_or_read_but_crash_nothing() -> None:
    generator = random.Random(4)
    seeds = [stream(TABLE), stream(TABLE.select(["f", "s"]))]
    refused: list[Problem] = []
    for _ in range(4000):
        body = bytearray(generator.choice(seeds))
        for _ in range(generator.randint(1, 6)):
            body[generator.randrange(len(body))] = generator.choice([0, 1, 127, 128, 255])
        if generator.random() < 0.1:
            body = body[: generator.randrange(len(body))]
        try:
            arrow.decode(SERVED, bytes(body))
        except Problem as problem:
            refused.append(problem)
    assert len(refused) > 2000
    assert {problem.status for problem in refused} <= {400, 413}
    assert all(problem.hint for problem in refused)


def test_arrow_that_makes_much_of_little_is_refused() -> None:
    """A few bytes may point to the same text again and again."""
    word = pa.array(["x" * 2_000_000])
    words = pa.array([f"word {number}" for number in range(11)])
    for table in (
        pa.table({"d": coded([0] * 10, word)}),
        pa.table({"f": pa.nulls(11)}),
        pa.table({"d": coded([0, 1], words)}),
        pa.table({f"x{number}": pa.nulls(10) for number in range(10_001)}),
        pa.table({f"x{number}": coded([0], word) for number in range(9)}),
    ):
        with pytest.raises(Problem) as caught:
            arrow.decode(SERVED, stream(table))
        assert caught.value.status == 413


def coded(keys: list[int], words: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(keys, pa.int32()), words)


ROOMY = Served("m", "v", "live", SERVED.signature, 10_000)


def peak(do: Callable[[], object]) -> int:
    """The most bytes of memory that were taken at a time."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_of_a_column_that_is_not_known_one_value_and_a_count_is_kept() -> None:
    rows = 5000
    odd = {f"n{number}": pa.nulls(rows) for number in range(1000)}
    odd |= {f"b{number}": pa.array([True] + [None] * (rows - 1)) for number in range(30)}
    odd |= {f"t{number}": pa.array([None] * rows, pa.timestamp("ms")) for number in range(5)}
    table = pa.table({"f": [1.5] * rows, "c": coded([1] * rows, pa.array(["a", "gold"])), **odd})
    body = stream(table, rows - 1)
    batches: list[Any] = []
    taken = peak(lambda: batches.append(arrow.decode(ROOMY, body)))
    (batch,) = batches
    assert batch.rows == rows
    assert set(batch.columns) == {"f"}
    assert set(batch.extra) == set(table.column_names) - {"f"}
    examples = [batch.extra[name].example for name in ("n0", "b0", "t0", "c")]
    assert examples == [None, True, "timestamp", "gold"]
    assert {(one.row, one.count) for one in batch.extra.values()} == {(0, rows)}
    assert taken < 4 * 2**20, "a list of all rows for each would take 40 MB"


def test_arrow_that_is_too_wide_is_refused_before_its_columns_are_read() -> None:
    table = pa.table({f"x{number}": pa.nulls(1) for number in range(20_000)})
    body = stream(table)

    def refused() -> None:
        with pytest.raises(Problem, match="20,000 columns"):
            arrow.decode(SERVED, body)

    assert peak(refused) < 2 * len(body)


def test_names_and_buffers_that_overlap_are_refused() -> None:
    names = 500 * [{0: "n" * 10_000, 2: Scalar("B", 1), 3: {}}]
    metadata = bytearray(write({1: names}))
    (start, length) = Table.root(bytes(metadata))._vector(Table.root(bytes(metadata))._target(1) or 0, 4)
    first = start + struct.unpack_from("<I", metadata, start)[0]
    for place in range(start, start + 4 * length, 4):
        struct.pack_into("<I", metadata, place, first - place)  # each field is the first one
    body = bytes(metadata[: first + 20_000])
    with pytest.raises(Malformed, match="overlap"):
        fields_of(Table.root(body))
    with pytest.raises(Malformed, match="overlap"):
        Reader(1, [(1, 0)], [(0, 100), (0, 100), (0, -150)], [], memoryview(bytes(100)))


def test_arrow_of_other_kinds_says_what_is_wrong(process: Process, iris: BuiltModel) -> None:
    rows = iris.rows(2)
    sound = pa.Table.from_pylist(rows)
    bodies = {
        stream(sound, compression="zstd"): "compressed",
        stream(sound.append_column("l", pa.array([[1], [2]]))): "'l' does not hold",
        stream(sound.set_column(0, "sepal_length", pa.array([1, 2], pa.timestamp("s")))): "type timestamp",
        stream(sound.append_column("site", sound["site"])): "same name",
        stream(sound)[:-8] + b"any more": "begin",
        b"": "schema",
        b"{}": "begin",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f": "longer",
        b"\xff\xff\xff\xff\xf0\xff\xff\xff": "longer",
    }
    for body, says in bodies.items():
        answer = process.client.post("/predict", content=body, headers={"Content-Type": ARROW})
        expect(answer, 400, says)
        assert says in answer.json()["error"]
    still_sound(process, iris)
