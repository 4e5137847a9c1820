"""A disk that is full: requests are answered, what is lost is counted, and one alert tells."""

from __future__ import annotations

import fcntl
import math
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taxiway.serving.losses import LossCounter, Losses, forget_losses, read_losses
from taxiway.serving.spool import SpoolWriter, list_segments, read_segment
from tests.models import BuiltModel
from tests.serving.conftest import Serve

ROWS = 60


@pytest.fixture
def disk(taxiway_home: Path) -> Iterator[Path]:
    """A file system of 1 MB where the spool of ``serve`` is."""
    spool = taxiway_home / "spool"
    spool.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(spool)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system can only be mounted by root: {mounted.stderr}")
    yield spool
    subprocess.run(["umount", "-l", str(spool)], check=True)


def metric(text: str, name: str) -> int:
    (line,) = (line for line in text.splitlines() if line.startswith(name))
    return int(line.split()[-1])


def test_on_a_full_disk_all_is_answered_what_fits_is_kept_and_the_rest_is_counted(
    disk: Path, serve: Serve, iris: BuiltModel
) -> None:
    served = serve()
    began = time.time()
    (disk / "ballast").write_bytes(b"x" * 600_000)
    rows = iris.rows(ROWS)
    answered = [served.post("/predict", rows).status_code for _ in range(150)]
    answered += [served.post("/predict", rows[:1]).status_code for _ in range(150)]
    assert set(answered) == {200}
    metrics = served.get("/metrics").text
    dropped = metric(metrics, 'taxiway_spool_records_total{result="dropped"}')
    assert dropped > 100
    assert metric(metrics, 'taxiway_spool_records_total{result="written"}') == len(served.records()) > 20
    losses = read_losses(disk)
    assert losses is not None
    assert losses.count == dropped
    assert began < losses.first < losses.last < time.time()
    outcome = {"outcomes": [{"id": "a", "outcome": "setosa"}] * 500}
    refused = served.post("/outcomes", outcome)
    assert refused.status_code == 503, "an outcome is not accepted that would be lost"
    assert refused.headers["retry-after"]

    before = served.records()
    (disk / "ballast").unlink()
    assert served.post("/predict", rows, headers={"X-Request-Id": "again"}).status_code == 200
    records = served.records()
    assert records[: len(before)] == before
    assert records[-1]["request"] == "again"
    counted = read_losses(disk)
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    assert read_losses(disk) == counted, "the count outlives its process"


def test_a_process_that_starts_on_a_full_disk_serves_and_its_loss_is_seen(
    disk: Path, serve: Serve, iris: BuiltModel
) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            try:
                ballast.write(b"x" * 4096)
            except OSError:
                break
    served = serve()
    assert served.post("/predict", iris.rows(1)).status_code == 200
    losses = read_losses(disk)
    assert losses is not None
    assert losses.count == 1
    assert abs(losses.last - time.time()) < 60


def test_losses_are_added_up_over_writers_and_forgotten_when_they_are_old(tmp_path: Path) -> None:
    assert read_losses(tmp_path) is None
    first, second, clean = (LossCounter(tmp_path, name) for name in "abc")
    first.add()
    second.add()
    second.add()
    assert (read_losses(tmp_path) or Losses(0, 0, 0)).count == 3
    later = time.time() + 1
    forget_losses(tmp_path, before=later)
    assert (read_losses(tmp_path) or Losses(0, 0, 0)).count == 3, "their writers are still there"
    for counter in (first, second, clean):
        counter.close()
    assert sorted(path.name for path in (tmp_path / "losses").iterdir()) == ["a", "b"]
    forget_losses(tmp_path, before=0)
    assert (read_losses(tmp_path) or Losses(0, 0, 0)).count == 3
    forget_losses(tmp_path, before=later)
    assert read_losses(tmp_path) is None


def test_a_count_is_never_forgotten_before_its_writer_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def late(file: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            forget_losses(tmp_path, before=math.inf)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    counter = LossCounter(tmp_path, "a")
    counter.add()
    forget_losses(tmp_path, before=math.inf)
    assert (read_losses(tmp_path) or Losses(0, 0, 0)).count == 1
    assert [path.name for path in (tmp_path / "losses").iterdir()] == ["a"]
    counter.close()


def test_a_budget_that_is_used_up_counts_as_well(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "live", budget_bytes=2000)
    taken = [writer.append({"n": number}) for number in range(200)]
    writer.close()
    losses = read_losses(tmp_path)
    assert losses is not None
    assert losses.count == taken.count(False) == writer.dropped
    assert datetime.fromtimestamp(losses.first, UTC).year >= 2026
    (segment,) = list_segments(tmp_path)
    assert len(read_segment(segment)[0]) == taken.count(True)
