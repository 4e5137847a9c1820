from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taxiway.monitoring.findings import schema_findings
from taxiway.monitoring.log import (
    model_frame,
    outcomes_frame,
    predictions_frame,
)
from taxiway.serving import rows
from taxiway.serving.spool import STAMP, SpoolWriter, list_segments, read_segment
from tests.monitoring.records import AT, outcome, prediction


def test_each_predicted_row_is_a_row_with_its_request():
    frame = predictions_frame([prediction(["a", "b"]), prediction(["c"], role="shadow"), outcome(["a"], [1])])
    assert list(frame.columns) == [
        "id", "request", "time", "received", "model", "role", "latency_ms", "in.wind", "in.kind", "out.label",
    ]  # fmt: skip
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame["request"].tolist() == ["r-a", "r-a", "r-c"]
    assert frame["role"].tolist() == ["live", "live", "shadow"]
    assert frame["in.wind"].dtype == np.float64


def test_the_datas_own_time_is_taken_if_given_else_that_of_receipt():
    day = datetime(2013, 1, 5, tzinfo=UTC)
    frame = predictions_frame([prediction(["a"], times=[day.timestamp()]), prediction(["b"])])
    assert frame["time"].tolist() == [pd.Timestamp(day), pd.Timestamp(AT, unit="s", tz="UTC")]
    assert str(frame["time"].dtype.tz) == "UTC"
    assert (frame["received"] == pd.Timestamp(AT, unit="s", tz="UTC")).all()


@pytest.mark.parametrize("wrong", [float("nan"), 1e300, -1e300, None, "soon"])
def test_a_time_that_cannot_be_one_is_that_of_receipt(wrong):
    frame = predictions_frame([prediction(["a"], times=[wrong])])
    assert frame["time"].tolist() == frame["received"].tolist()


@pytest.mark.parametrize("wrong", [1.79e12, 1_790_000_000_000, -(10**11), 10**30, 253_370_764_800])
@pytest.mark.parametrize("day", [1_700_000_000, 1_700_000_000.5])
def test_a_time_that_no_calendar_holds_is_that_of_receipt_for_its_row_alone(wrong, day):
    days = pd.to_datetime([day, day], unit="s", utc=True).as_unit("us")
    for frame in (
        predictions_frame([prediction(["a", "b", "c"], times=[day, wrong, day])]),
        outcomes_frame([outcome(["a", "b", "c"], [1, 2, 3], times=[day, wrong, day])]),
    ):
        assert [*frame["time"][[0, 2]]] == [*days]
        assert frame["time"][1] == frame["received"][1]
        assert frame["time"].dt.year.between(1, 9998).all()


def test_models_of_different_columns_share_a_frame_in_the_order_of_the_records():
    other = {"wind": [1.0], "moon": ["full"]}
    frame = predictions_frame([prediction(["a"]), prediction(["b"], inputs=other), prediction(["c"])])
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame["in.moon"].tolist()[1] == "full"
    assert frame["in.kind"].isna().tolist() == [False, True, False]


def test_no_records_give_empty_frames_with_their_columns():
    frame = predictions_frame([])
    assert {"id", "time", "model", "role"} <= set(frame.columns)
    assert len(frame) == 0
    assert str(frame["time"].dtype.tz) == "UTC"
    assert list(outcomes_frame([]).columns) == ["id", "outcome", "time", "received"]


def test_ten_thousand_single_row_requests_become_a_frame_quickly():
    inputs = {f"x{i}": [0.5] for i in range(10)}
    records = [prediction([str(i)], inputs=inputs, role="live" if i % 2 else "shadow") for i in range(10_000)]
    start = time.process_time()
    frame = predictions_frame(records)
    assert time.process_time() - start < 2
    assert len(frame) == 10_000


def test_outcomes_are_rows_with_their_times():
    frame = outcomes_frame(
        [outcome(["a", "b"], ["rain", "dry"], times=[AT - 60, AT - 30]), outcome(["c"], ["dry"])]
    )
    assert frame["outcome"].tolist() == ["rain", "dry", "dry"]
    assert (frame["received"] - frame["time"]).dt.total_seconds().tolist() == [60, 30, 0]


def test_the_model_frame_has_the_names_of_the_reference():
    assert list(model_frame(predictions_frame([prediction(["a"])])).columns) == ["wind", "kind", "label"]


def test_values_of_mixed_types_can_be_kept_in_parquet(tmp_path):
    mixed = predictions_frame(
        [prediction(["a", "b", "c"], inputs={"x": [1, "two", None], "y": [True, None, False]})]
    )
    outcomes = outcomes_frame([outcome(["a", "b"], ["rain", 1])])
    for frame in (mixed, outcomes):
        frame.to_parquet(tmp_path / "part.parquet")
    assert mixed["in.x"].tolist()[:2] == ["1", "two"]
    assert outcomes["outcome"].tolist() == ["rain", "1"]


#: JSON as clients send it: what looks like another type, what no double holds, what is nested.
VALUES = st.sampled_from(
    [
        "1",
        "1.0",
        "-0",
        "-0.0",
        "1e5",
        "1.5",
        "0.1",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
        "null",
        "true",
        "false",
        '"1"',
        '"1.0"',
        '"2013-01-05"',
        '"2013-01-05T00:00:00Z"',
        '"NaN"',
        '"null"',
        '"true"',
        '""',
        '"\\u00e5\\n\\""',
        '"å"',
        '"\\u0000"',
        "[]",
        '[1,"a"]',
        '{"a":null}',
    ]
)
NAMES = st.sampled_from(["x", "y", "z", r"\u0078", r"\u0000", "å", "", "id"])  # one may come twice
ROWS = st.one_of(
    st.tuples(VALUES, VALUES).map(lambda cells: list(zip("xy", cells, strict=True))),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
).map(lambda cells: "{" + ",".join(f'"{name}":{value}' for name, value in cells) + "}")
OUTPUTS = st.sampled_from(['{"label":"a"}', '{"label":1}'])
FINDINGS = st.sampled_from(["[]", '[{"kind":"extra","column":"x","count":1,"example":3}]'])
ODD = st.sampled_from(["", "", "", "", "times", "ids", "no list", "no answer", "unstamped", "listed"])


def spooled(number, odd="", row='{"x":1,"y":2}', answer='{"label":"a"}', found="[]"):
    """A record of one row, mostly as serving writes it without a look at it."""
    at = AT + number
    times = "[1.5]" if odd == "times" else "null"
    ids = '"ids":["own"]' if odd == "ids" else '"unnamed":1'
    answer = "[1]" if odd == "no answer" else answer
    cells = f'"row":{row if odd == "no list" else f"[{row}]"},"answer":{answer}'
    if odd == "listed":
        cells = '"inputs":{"x":[2],"y":["b"]},"outputs":{"label":["a"]}'
    text = (
        f'{{"kind":"prediction","times":{times},"model":"rain:abc","role":"live","findings":{found},{ids},'
        f'"request":"r{number}",{cells}'
    ).encode()
    if odd in ("unstamped", "listed"):
        return text + f',"time":{at},"latency_ms":0.5}}'.encode()
    return text + b"}\0" + STAMP.pack(at, 0.5)


SPOOLED = st.builds(spooled, st.integers(0, 10**6), ODD, ROWS, OUTPUTS, FINDINGS)


@settings(max_examples=40, deadline=None)
@given(payloads=st.lists(SPOOLED, min_size=1, max_size=8), most=st.integers(1, 4))
@example(payloads=[spooled(1), spooled(2, "unstamped"), spooled(3, "no answer")], most=4)
@example(payloads=[spooled(number, row=r'{"a\u0000b":"\u0000"}') for number in range(3)], most=4)
def test_rows_that_are_read_joined_give_the_same_frame_and_findings(payloads, most):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(rows, "MOST_ROWS", most):
        writer = SpoolWriter(Path(folder), "live")
        for payload in payloads:
            assert writer.write(payload)
        writer.close()
        (segment,) = list_segments(Path(folder))
        listed, end = read_segment(segment)
        joined, same = read_segment(segment, joined=True)
    assert same == end
    wanted, made = predictions_frame(listed), predictions_frame(joined)
    pd.testing.assert_frame_equal(made, wanted, check_exact=True)
    for name in wanted:
        assert [*map(repr, made[name])] == [*map(repr, wanted[name])]  # of the same type, and -0.0 is not 0.0
    order = {"rain:abc": ("y", "x")}
    assert schema_findings(joined, order) == schema_findings(listed, order)


def test_plain_rows_that_follow_each_other_are_one_record(tmp_path):
    """Otherwise the two ways above were one."""
    writer = SpoolWriter(tmp_path, "live")
    for number in range(3):
        row = b'{"x":%d}' % number if number < 2 else b'{"y":1}'
        writer.write(
            b'{"kind":"prediction","times":null,"model":"m","role":"live","findings":[],'
            b'"request":"r%d","unnamed":1,"row":[%b],"answer":{"label":"b"}}\0'
            % (number, row)
            + STAMP.pack(number, 1)
        )
    writer.close()
    first, second = read_segment(*list_segments(tmp_path), joined=True)[0]
    assert (first["time"].to_pylist(), first["ids"].to_pylist()) == ([0, 1], ["r0", "r1"])
    assert {name: cells.to_pylist() for name, cells in first["inputs"].items()} == {"x": [0, 1]}
    assert (second["outputs"], second["inputs"]) == ({"label": ["b"]}, {"y": [1]})
