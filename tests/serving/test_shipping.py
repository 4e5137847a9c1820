"""The prediction log goes to a store at least once, whatever fails, and frees the disk only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taxiway.serving.losses import read_losses
from taxiway.serving.shipping import DAMAGED, Shipper, cut, read_shipped
from taxiway.serving.spool import MAGIC, SpoolWriter, list_segments, read_segment
from tests.waiting import wait_until


class Bucket:
    """Objects in memory; fails when it is told to, before or after an object is there."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.full = False
        self.silent = 0

    def put(self, name: str, content: bytes) -> None:
        if self.full:
            raise OSError("503 Slow Down")
        self.puts.append(name)
        assert self.objects.get(name, content) == content, "an object was replaced by another"
        self.objects[name] = content
        if self.silent:
            self.silent -= 1
            raise TimeoutError("no answer")

    def collect(self, folder: Path) -> list[dict[str, Any]]:
        """Bring all segments into a folder, as a collector does; give their records in a reader's order."""
        folder.mkdir(exist_ok=True)
        for name, content in self.objects.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        return [record for path in list_segments(folder) for record in read_segment(path)[0]]


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [record["number"] for record in records]


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def test_what_is_written_is_shipped_in_its_order_while_its_segment_is_open(
    tmp_path: Path, bucket: Bucket
) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live")
    shipper = Shipper(spool, "memory://", store=bucket)
    for number in range(30):
        writer.append({"number": number})
        if number % 10 == 9:
            assert shipper.ship()
    assert shipper.ship()
    assert numbers(bucket.collect(tmp_path / "collected")) == list(range(30))
    assert len(bucket.objects) == 3
    assert len(list_segments(spool)) == 1
    writer.close()
    shipper.ship()
    assert list_segments(spool) == []
    assert len(bucket.objects) == 3


def test_a_large_segment_goes_in_pieces_that_end_with_a_record(tmp_path: Path, bucket: Bucket) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live", segment_bytes=4096)
    for number in range(200):
        writer.append({"number": number, "text": "x" * 100})
    writer.close()
    Shipper(spool, "", store=bucket, object_bytes=1000).ship()
    assert max(map(len, bucket.objects.values())) < 1200
    assert numbers(bucket.collect(tmp_path / "collected")) == list(range(200))


def test_a_piece_whose_arrival_nobody_knows_is_put_again_as_it_was(tmp_path: Path, bucket: Bucket) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live")
    writer.append({"number": 0})
    bucket.silent = 1
    assert not Shipper(spool, "", store=bucket).ship()
    writer.append({"number": 1})
    # The shipper that did not know was killed; another goes on.
    assert Shipper(spool, "", store=bucket).ship()
    assert bucket.puts[0] == bucket.puts[1]
    assert numbers(bucket.collect(tmp_path / "collected")) == [0, 1]


def test_a_store_that_is_away_costs_nothing_until_the_spool_is_full(tmp_path: Path, bucket: Bucket) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live", segment_bytes=2048, budget_bytes=8192)
    shipper = Shipper(spool, "s3://nowhere/log", store=bucket)
    bucket.full = True
    kept = 0
    while writer.append({"number": kept, "text": "x" * 100}):
        kept += 1
        assert not shipper.ship()
    assert kept > 40
    told = read_shipped(spool)
    assert told is not None
    assert told.error == "OSError: 503 Slow Down"
    assert told.counts()["failures"] == kept
    assert told.counts()["waiting"] >= 0
    losses = read_losses(spool)
    assert losses is not None
    assert losses.count == 1
    bucket.full = False
    writer.close()
    assert shipper.ship()
    assert numbers(bucket.collect(tmp_path / "collected")) == list(range(kept))
    lost = read_losses(tmp_path / "collected")
    assert lost is not None
    assert lost.count == 1
    assert list_segments(spool) == []


def test_two_instances_of_one_image_never_share_an_object(tmp_path: Path, bucket: Bucket) -> None:
    # Two containers may have the same process ids, and begin at the same time.
    for instance in range(2):
        spool = tmp_path / f"spool-{instance}"
        writer = SpoolWriter(spool, "live")
        writer.append({"number": instance})
        writer.close()
        for path in list_segments(spool):
            path.rename(spool / "live-7-1790000000000000000-1.spool")
        Shipper(spool, "", store=bucket).ship()
    assert sorted(numbers(bucket.collect(tmp_path / "collected"))) == [0, 1]


def test_what_follows_a_damaged_record_is_kept_apart(tmp_path: Path, bucket: Bucket) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live")
    for number in range(3):
        writer.append({"number": number})
    writer.close()
    path = list_segments(spool)[0]
    content = bytearray(path.read_bytes())
    first = len(MAGIC) + len(cut(path, len(MAGIC), 1))
    content[first + 10] ^= 1
    path.write_bytes(content)
    assert Shipper(spool, "", store=bucket).ship()
    assert list_segments(spool) == []
    apart = [name for name in bucket.objects if name.startswith(DAMAGED)]
    assert [bucket.objects[name] for name in apart] == [bytes(content[first:])]


def test_a_record_that_is_still_being_written_waits(tmp_path: Path, bucket: Bucket) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live")
    writer.append({"number": 0})
    path = list_segments(spool)[0]
    whole = len(cut(path, len(MAGIC), 10**6))
    writer.append({"number": 1})
    with path.open("r+b") as file:  # as if the last bytes of the second record were not there yet
        file.seek(len(MAGIC) + 2 * whole - 3)
        rest = file.read(3)
        file.seek(-3, 1)
        file.write(b"\0\0\0")
    shipper = Shipper(spool, "", store=bucket)
    shipper.ship()
    assert numbers(bucket.collect(tmp_path / "one")) == [0]
    with path.open("r+b") as file:
        file.seek(len(MAGIC) + 2 * whole - 3)
        file.write(rest)
    shipper.ship()
    assert numbers(bucket.collect(tmp_path / "two")) == [0, 1]
    writer.close()


def test_closing_ships_the_rest_and_does_not_wait_for_a_store_that_is_away(
    tmp_path: Path, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live")
    shipper = Shipper(spool, "s3://b/p", store=bucket, seconds=60)
    shipper.start()
    writer.append({"number": 0})
    writer.close()
    shipper.close(20)  # in less than its 60 seconds
    assert numbers(bucket.collect(tmp_path / "collected")) == [0]

    bucket.full = True
    writer.append({"number": 1})
    writer.close()
    shipper = Shipper(spool, "s3://b/p", store=bucket, seconds=60)
    assert not shipper.ship()
    shipper.start()
    shipper.close(0.3)
    assert "1 segments of the prediction log were not shipped: OSError: 503" in caplog.text
    bucket.full = False


def test_a_timer_ships(tmp_path: Path, bucket: Bucket) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live")
    shipper = Shipper(spool, "s3://b/p", store=bucket, seconds=0.05)
    shipper.start()
    writer.append({"number": 0})
    wait_until(lambda: bucket.objects, "an object", 5)
    writer.close()
    shipper.close(5)
