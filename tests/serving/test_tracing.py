from __future__ import annotations

import re

import pytest

from taxiway.serving.tracing import Trace, read_trace

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{PARENT}-01"


def read(parent: str, *states: str) -> Trace | None:
    return read_trace(
        [
            (b"host", b"x"),
            (b"traceparent", parent.encode("latin-1")),
            *((b"tracestate", state.encode("latin-1")) for state in states),
        ]
    )


@pytest.mark.parametrize(
    "parent",
    [
        GIVEN,
        f" {GIVEN}\t",
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like",
        f"00-{TRACE}-{PARENT}-ff",
    ],
)
def test_a_trace_is_continued_under_a_span_of_its_own(parent: str) -> None:
    trace = read(parent)
    assert trace is not None
    assert (trace.trace, trace.parent) == (TRACE, PARENT)
    assert re.fullmatch("[0-9a-f]{16}", trace.span)
    assert trace.span not in (PARENT, "0" * 16)
    flags = "03" if parent.endswith("ff") else "01"
    assert trace.lines() == f"traceparent: 00-{TRACE}-{trace.span}-{flags}\r\n".encode()


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"00-{TRACE}-{PARENT}-0x",
        f"00-{TRACE}-{PARENT}-1",
        f"{GIVEN}-",
        f"{GIVEN}-more",
        f"cc-{TRACE}-{PARENT}-01.what",
        f"{GIVEN},{GIVEN}",
        f"{GIVEN}\u00e9",
    ],
)
def test_what_is_no_traceparent_begins_no_trace(parent: str) -> None:
    assert read(parent, "a=1") is None


def test_without_a_traceparent_or_with_two_there_is_no_trace() -> None:
    assert read_trace([(b"tracestate", b"a=1")]) is None
    assert read_trace([(b"traceparent", GIVEN.encode())] * 2) is None


@pytest.mark.parametrize(
    ("states", "passed_on"),
    [
        (["a=1"], b"a=1"),
        (["a=1 , b=2", "", " ,c@d=3\t"], b"a=1,b=2,c@d=3"),
        (["1a-_*/=x y"], b"1a-_*/=x y"),
        ([",".join(f"k{n}=1" for n in range(32))], ",".join(f"k{n}=1" for n in range(32)).encode()),
        ([",".join(f"k{n}=1" for n in range(33))], b""),
        (["a=1,a=2"], b""),
        (["A=1"], b""),
        (["a=1=2"], b""),
        (["a=\u00e9"], b""),
        (["a"], b""),
        (["a=1\r\nx: y"], b""),
        (["a=" + "x" * 200 + ",b=" + "x" * 250 + ",c=" + "x" * 100 + ",d=4"], None),
    ],
)
def test_a_state_is_passed_on_when_all_of_it_is_valid(states: list[str], passed_on: bytes | None) -> None:
    trace = read(GIVEN, *states)
    assert trace is not None
    if passed_on is None:
        # What does not fit into 512 characters is left out whole.
        assert [member[:2] for member in trace.state.split(b",")] == [b"a=", b"b=", b"d="]
        assert len(trace.state) <= 512
    else:
        assert trace.state == passed_on
        tail = b"tracestate: " + passed_on + b"\r\n" if passed_on else b""
        assert trace.lines().split(b"\r\n", 1)[1] == tail
