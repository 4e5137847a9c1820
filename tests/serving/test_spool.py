from __future__ import annotations

import os
import shutil
import signal
import struct
from pathlib import Path

import pytest

from taxiway.serving import spool
from taxiway.serving.losses import read_losses
from taxiway.serving.spool import (
    MAGIC,
    PIECE_BYTES,
    STAMP,
    SpoolWriter,
    is_finished,
    is_spent,
    list_segments,
    read_segment,
)


def test_what_was_written_is_read_back_from_any_offset(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "live")
    assert writer.append({"n": 0})
    (segment,) = list_segments(tmp_path)
    records, offset = read_segment(segment)
    assert records == [{"n": 0}]
    assert read_segment(segment, offset) == ([], offset)
    assert read_segment(segment, most=0) == ([], 8)
    writer.append({"n": 1, "text": "å"})
    assert read_segment(segment, most=1) == ([{"n": 0}], offset)
    records, offset = read_segment(segment, offset)
    assert records == [{"n": 1, "text": "å"}]
    assert offset < segment.stat().st_size, "room is set aside"
    writer.close()
    assert offset == segment.stat().st_size


@pytest.mark.parametrize("torn", range(1, 20))
def test_a_torn_tail_ends_the_reading_and_is_no_error(tmp_path: Path, torn: int) -> None:
    writer = SpoolWriter(tmp_path, "live")
    writer.append({"n": 0})
    (segment,) = list_segments(tmp_path)
    _, whole = read_segment(segment)
    writer.append({"n": 1, "text": "tail"})
    writer.close()
    os.truncate(segment, min(whole + torn, segment.stat().st_size - 1))
    assert read_segment(segment) == ([{"n": 0}], whole)


def test_a_corrupt_record_is_never_given_out(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "live")
    writer.append({"n": 0})
    (segment,) = list_segments(tmp_path)
    _, whole = read_segment(segment)
    writer.append({"n": 1})
    writer.close()
    content = bytearray(segment.read_bytes())
    content[-2] ^= 1
    segment.write_bytes(content)
    assert read_segment(segment) == ([{"n": 0}], whole)
    segment.write_bytes(bytes(content[:whole]) + struct.pack("<II", 2**31, 0) + b"x")
    assert read_segment(segment) == ([{"n": 0}], whole)


def test_segments_are_rotated_by_size_and_by_age_and_lose_nothing(tmp_path: Path) -> None:
    by_size = SpoolWriter(tmp_path / "size", "live", segment_bytes=100)
    by_age = SpoolWriter(tmp_path / "age", "live", segment_seconds=0.0)
    for writer in (by_size, by_age):
        for number in range(30):
            assert writer.append({"n": number})
        segments = list_segments(writer.directory)
        assert len(segments) > 5
        assert [record["n"] for one in segments for record in read_segment(one)[0]] == list(range(30))
        assert [is_finished(one) for one in segments] == [True] * (len(segments) - 1) + [False]
        writer.close()
        assert is_finished(segments[-1])


def test_beyond_its_budget_the_spool_drops_and_counts_and_leaves_what_there_is_readable(
    tmp_path: Path,
) -> None:
    writer = SpoolWriter(tmp_path, "live", budget_bytes=500)
    taken = [writer.append({"n": number}) for number in range(100)]
    assert taken[0]
    assert not taken[-1]
    assert writer.written + writer.dropped == 100
    (segment,) = list_segments(tmp_path)
    assert segment.stat().st_size <= 500
    assert len(read_segment(segment)[0]) == writer.written
    writer.close()


def test_a_full_disk_drops_and_counts_and_serving_goes_on(tmp_path: Path) -> None:
    import resource

    writer = SpoolWriter(tmp_path, "live")
    assert writer.append({"n": 0})
    (segment,) = list_segments(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # The kernel sets no more room aside here, as on a disk that is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 500, limits[1]))
        assert not writer.append({"n": 1, "text": "x" * 2 * PIECE_BYTES})
        assert writer.append({"n": 2}), "a smaller one has room"
        assert writer.append({"n": 3, "text": "x" * (PIECE_BYTES - 300)}), "and less than a piece"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert writer.dropped == 1
    assert writer.append({"n": 4, "text": "x" * 2 * PIECE_BYTES})
    writer.close()
    assert [record["n"] for record in read_segment(segment)[0]] == [0, 2, 3, 4]
    assert list_segments(tmp_path) == [segment]


def test_a_segment_is_spent_when_its_writer_is_gone_and_no_record_is_left(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "live")
    writer.append({"n": 0})
    (segment,) = list_segments(tmp_path)
    _, first = read_segment(segment)
    writer.append({"n": 1})
    _, end = read_segment(segment)
    assert not is_spent(segment, end), "its writer may go on"
    whole = segment.read_bytes()
    writer.close()
    segment.write_bytes(whole)  # as kill -9 leaves it
    assert not is_spent(segment, first)
    assert is_spent(segment, end)
    segment.write_bytes(whole[: end - 1] + bytes(len(whole) - end + 1))
    assert is_spent(segment, first), "the last record was torn"
    segment.write_bytes(whole[: first - 1] + b"#" + whole[first:])
    assert not is_spent(segment, len(MAGIC)), "a record follows the damaged one"


def test_a_single_row_is_read_back_in_the_form_of_all_others(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "live")
    text = b'{"ids":["a"],"row":[ {"x": 1.50, "site": "\\u00e5"} ],"answer":{"label":"b"}}'
    writer.write(text + b"\0" + STAMP.pack(1795211515.25, 0.75))
    writer.write(text + b"\0" + STAMP.pack(float("nan"), 0.75))
    writer.write(text + b"\0" + STAMP.pack(0.0, float("inf")))
    (segment,) = list_segments(tmp_path)
    [record] = read_segment(segment)[0]
    stamp = {"time": 1795211515.25, "latency_ms": 0.75}
    assert record == stamp | {
        "ids": ["a"],
        "inputs": {"x": [1.5], "site": ["å"]},
        "outputs": {"label": ["b"]},
    }
    writer.close()


def test_a_round_of_reading_ends_after_so_many_bytes_and_has_one_record_at_least(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "live")
    for number in range(7):
        writer.append({"n": number, "text": "x" * 1000})
    (segment,) = list_segments(tmp_path)
    rounds, offset = [], 0
    while True:
        records, offset = read_segment(segment, offset, most_bytes=2000)
        if not records:
            break
        rounds.append([record["n"] for record in records])
    assert rounds == [[0, 1], [2, 3], [4, 5], [6]]
    assert [record["n"] for record in read_segment(segment, most_bytes=1)[0]] == [0]
    writer.close()


def test_a_record_that_no_reader_takes_is_dropped_and_counted_and_hides_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_RECORD_BYTES", PIECE_BYTES)
    writer = SpoolWriter(tmp_path, "live")
    sizes = (1, 2 * PIECE_BYTES, 1)
    taken = [writer.append({"n": number, "text": "x" * size}) for number, size in enumerate(sizes)]
    assert taken == [True, False, True]
    assert (writer.written, writer.dropped) == (2, 1)
    losses = read_losses(tmp_path)
    assert losses is not None
    assert losses.count == 1
    (segment,) = list_segments(tmp_path)
    assert [record["n"] for record in read_segment(segment)[0]] == [0, 2]
    writer.close()


@pytest.mark.parametrize("removed", ["segment", "folder"])
def test_a_segment_that_is_removed_while_it_is_written_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: str
) -> None:
    monkeypatch.setattr(spool, "_BUDGET_SECONDS", 0.0)
    monkeypatch.setattr(spool, "MAX_RECORD_BYTES", 1000)
    folder = tmp_path / "spool"
    writer = SpoolWriter(folder, "live")
    assert writer.append({"n": 0})
    if removed == "folder":
        shutil.rmtree(folder)
    else:
        list_segments(folder)[0].unlink()
    assert writer.append({"n": 1})
    assert writer.append({"n": 2})
    assert not writer.append({"n": 3, "text": "x" * 1000})
    (segment,) = list_segments(folder)
    assert [record["n"] for record in read_segment(segment)[0]] == [1, 2]
    losses = read_losses(folder)
    assert losses is not None
    assert losses.count == 1
    writer.close()
    assert is_finished(segment)
