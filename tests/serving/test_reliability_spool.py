"""Whatever has become of a segment, its reader raises nothing and gives nothing that was not written."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from taxiway.serving.spool import MAGIC, SpoolWriter, is_finished, is_spent, list_segments, read_segment
from tests.waiting import wait_until

RECORDS = st.lists(
    st.fixed_dictionaries({"n": st.integers(0, 2**40), "text": st.text(max_size=30)}), min_size=1, max_size=8
)
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WRITER = """
import sys
from pathlib import Path
from taxiway.serving.spool import SpoolWriter
writer = SpoolWriter(Path(sys.argv[1]), "live", segment_bytes=200_000)
number = 0
while True:
    writer.append({"n": number, "text": "x" * (number * 7919 % 900)})
    number += 1
"""


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    return tmp_path / "live-1-1-1.spool"


def written(records: list[dict[str, Any]]) -> bytes:
    """The bytes of a segment that was written to its end."""
    return MAGIC + b"".join(framed(json.dumps(record).encode()) for record in records)


def framed(payload: bytes) -> bytes:
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


@FUZZ
@given(records=RECORDS, data=st.data())
def test_damage_and_truncation_leave_the_records_before_them_and_invent_none(
    segment: Path, records: list[dict[str, Any]], data: st.DataObject
) -> None:
    content = bytearray(written(records))
    whole = bytes(content)
    for _ in range(data.draw(st.integers(0, 3), "flips")):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans(), "overwritten"):
        place = data.draw(st.integers(0, len(content)))
        junk = data.draw(st.binary(max_size=40))
        content[place : place + len(junk)] = junk
    if data.draw(st.booleans(), "truncated"):
        del content[data.draw(st.integers(0, len(content))) :]
    content += b"\0" * data.draw(st.sampled_from([0, 1, 7, 8, 4096]), "zeros")
    segment.write_bytes(content)
    found, offset = read_segment(segment)
    assert found == records[: len(found)]
    assert read_segment(segment, offset) == ([], offset)
    sound = next(
        (place for place, both in enumerate(zip(content, whole, strict=False)) if both[0] != both[1]),
        len(whole),
    )
    intact = [size for size in ends(whole) if size <= min(sound, len(content))]
    assert len(found) >= len(intact), "what lies before the damage is read"
    is_spent(segment, offset)


def ends(content: bytes) -> list[int]:
    """Where each record of a sound segment ends."""
    found, place = [], len(MAGIC)
    while place < len(content):
        place += 8 + struct.unpack_from("<I", content, place)[0]
        found.append(place)
    return found


@FUZZ
@given(records=RECORDS, offset=st.integers(0, 500))
def test_any_offset_is_read_from_and_gives_only_what_was_written(
    segment: Path, records: list[dict[str, Any]], offset: int
) -> None:
    segment.write_bytes(written(records))
    found, _ = read_segment(segment, offset)
    assert all(record in records for record in found)
    is_spent(segment, offset)


@FUZZ
@given(content=st.binary(max_size=200), head=st.booleans(), offset=st.integers(0, 300))
@example(content=b"\0" * 64, head=True, offset=0)
@example(content=framed(b""), head=True, offset=0)
def test_any_bytes_are_read_without_an_error(segment: Path, content: bytes, head: bool, offset: int) -> None:
    segment.write_bytes((MAGIC if head else b"") + content)
    assert read_segment(segment, offset)[0] == []
    is_spent(segment, offset)


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"\xff",
        b"3",
        b"[]",
        b"null",
        b'"x"',
        b'{"row": 3}',
        b'{"answer": 3}',
        b'{"row": []}',
        b'{"row": [[]]}',
        b"[" * 2000,
    ],
)
def test_a_record_whose_sum_is_right_and_whose_content_is_none_is_passed_over(
    segment: Path, payload: bytes
) -> None:
    sound = framed(b'{"n":1}')
    segment.write_bytes(MAGIC + sound + framed(payload) + sound)
    assert read_segment(segment)[0] == [{"n": 1}, {"n": 1}]


def test_a_writer_frames_as_these_tests_do(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "live")
    writer.append({"n": 1})
    writer.close()
    (path,) = list_segments(tmp_path)
    assert path.read_bytes() == MAGIC + framed(b'{"n":1}')


def test_a_reader_beside_a_writer_that_is_killed_sees_every_record_once_and_in_order(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    offsets: dict[Path, int] = {}
    seen: list[int] = []

    def read() -> bool:
        for path in list_segments(tmp_path):
            records, offsets[path] = read_segment(path, offsets.get(path, 0))
            seen.extend(record["n"] for record in records)
            assert all(len(record["text"]) == record["n"] * 7919 % 900 for record in records)
        return len(seen) > 20_000

    try:
        wait_until(read, "records")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    read()
    assert seen == list(range(len(seen)))
    segments = list_segments(tmp_path)
    assert len(segments) > 3
    assert all(is_finished(path) and is_spent(path, offsets[path]) for path in segments)
