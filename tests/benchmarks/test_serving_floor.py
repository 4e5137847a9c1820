"""The serving process is no slower beside a bare ASGI callable than ``floor.json`` says, and hardly larger.

Ratios of one run, so that they hold on any machine; ``make bench-serving`` measures the whole.
"""

from __future__ import annotations

import json
import shutil
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.benchmarks.serving import peers
from tests.benchmarks.serving.case import Case, build
from tests.benchmarks.serving.load import side_by_side
from tests.benchmarks.serving.report import MOST_MEMORY, ratio

FLOOR = json.loads(Path(__file__).with_name("floor.json").read_text())
PAIRS = {
    "one_row": (peers.BARE, peers.TAXIWAY),
    "arrow": (peers.BARE_ARROW, peers.TAXIWAY_ARROW),
}
ROUNDS = 3
MOST_ROUNDS = 9


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return build(tmp_path_factory.mktemp("bench") / "model")


@pytest.mark.alone
@pytest.mark.parametrize("asked", PAIRS)
def test_serving_keeps_its_share_of_the_bare_limit(asked: str, case: Case, tmp_path: Path) -> None:
    assert shutil.which("wrk"), "wrk is missing: make test installs it, or apt-get install wrk"
    floor = FLOOR[asked]
    rounds = side_by_side(PAIRS[asked], case, Path(sys.executable).parent, tmp_path / "servers", seconds=1)
    measured = list(islice(rounds, ROUNDS))

    def shares() -> dict[str, float]:
        return {
            "requests": ratio(measured, peers.OURS, peers.LIMIT, "rate"),
            "cpu": ratio(measured, peers.LIMIT, peers.OURS, "cpu"),
        }

    # What else the machine does may spoil a round or two, not the median of nine.
    while any(share < floor[name] for name, share in shares().items()) and len(measured) < MOST_ROUNDS:
        measured.append(next(rounds))
    rounds.close()
    for name, share in shares().items():
        assert share >= floor[name], (
            f"{asked}, {name}: {share:.2f} of the bare limit; the floor is {floor[name]}"
        )
    held = {name: one.memory for name, one in measured[-1].items()}
    assert held[peers.OURS] - held[peers.LIMIT] <= MOST_MEMORY, held
