from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from taxiway.backends import Bake
from taxiway.serving.metrics import BUCKETS
from taxiway_backends.local.bake import Totals, at_least, find_fault, slow_from
from taxiway_backends.local.baking import Baking
from taxiway_backends.local.rundir import RunDir
from taxiway_backends.local.spec import ModelEntry


def timed(**counts: int) -> Totals:
    """Answers by bucket: ``b3=100`` are a hundred in the fourth."""
    buckets = [0] * (len(BUCKETS) + 1)
    for name, count in counts.items():
        buckets[int(name[1:])] = count
    return Totals(sum(buckets), 0, tuple(buckets))


@pytest.mark.parametrize(
    ("failures", "answers", "out"),
    [(0, 0, False), (1, 1, False), (2, 2, True), (3, 1000, False), (30, 1000, False), (40, 1000, True)],
)
def test_failures_take_a_model_back_when_chance_does_not_explain_them(
    failures: int, answers: int, out: bool
) -> None:
    fault = find_fault(Totals(answers, failures), Bake(error_rate=0.02), None)
    assert bool(fault) == out
    if out:
        assert f"{failures} of {answers} predictions failed" in fault


def test_the_interval_is_wilsons() -> None:
    # E.g. 10 of 100: the published formula by hand, z = 2.576.
    assert at_least(10, 100) == pytest.approx(0.04598, abs=1e-4)


def test_latency_is_compared_with_the_model_before() -> None:
    before = timed(b5=950, b6=50)  # up to 25 ms: the 95th percentile is the bucket's end
    slow = slow_from(before, 2.0)
    assert slow == pytest.approx(0.05)
    bake = Bake(latency_factor=2.0)
    assert find_fault(timed(b6=1000), bake, slow) == ""
    assert "longer than 50 ms" in find_fault(timed(b7=200, b6=800), bake, slow)
    assert find_fault(timed(b7=60), bake, slow) == "", "too few answers tell nothing"


def test_what_is_not_known_and_what_is_noise_take_nothing_back() -> None:
    assert slow_from(timed(b1=50), 2.0) is None
    assert slow_from(timed(b12=500), 2.0) is None, "slower than the last bucket tells"
    slow = slow_from(timed(b0=1000), 2.0)
    assert slow == pytest.approx(0.95 * 0.0005 + 0.005)
    assert find_fault(timed(b1=1000), Bake(), slow) == "", "twice of half a millisecond is noise"


def test_totals_of_several_processes_are_added() -> None:
    assert Totals(3, 1, (1,) * 13) + Totals(2, 0, (2,) * 13) == Totals(5, 1, (3,) * 13)


def test_the_next_master_goes_on_with_the_watch_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, bake = RunDir(tmp_path), Bake(seconds=600)
    new, old = (ModelEntry("iris", version, tmp_path.name) for version in "ab")
    Baking(directory).begin(new, old, bake, Totals())
    told = json.loads(directory.bake.read_text())
    monkeypatch.setattr(time, "time", lambda: 0.0)  # the clock is set back by decades
    told["began"] -= 100
    directory.bake.write_text(json.dumps(told))
    assert Baking(directory).left(bake) == pytest.approx(500, abs=5)
    for other in ({"boot": "another"}, {"began": told["began"] + 10**9}, {"boot": ""}):
        directory.bake.write_text(json.dumps(told | other))
        for _ in range(2):  # a watch of before the machine was started anew begins anew, once
            assert Baking(directory).left(bake) == pytest.approx(600, abs=5)
        assert json.loads(directory.bake.read_text())["boot"] == told["boot"]
