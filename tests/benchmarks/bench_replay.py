"""A clean replay whose environment is there already, beside the bare start of a serving process."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

ROUNDS = 7
MOST = "1.2 × the start + 2 s"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"TAXIWAY_HOME": home}
        os.environ.pop("BENTOML_HOME", None)
        _measure(Path(home))


def _measure(home: Path) -> None:
    import taxiway
    from taxiway.packaging.rehearsal import rehearse
    from taxiway.packaging.replay import replay

    inputs, target = load_breast_cancer(return_X_y=True, as_frame=True)
    forest = RandomForestClassifier(100, random_state=0).fit(inputs, target)
    model = taxiway.package(forest, name="tumour", reference=inputs, target=target, replay=False)
    bento = home / "bentoml" / "bentos" / model.name / model.version

    def started() -> float:
        # the very process that an endpoint has: this interpreter, this source, the same files
        begun = time.perf_counter()
        with rehearse(sys.executable, Path(taxiway.__file__).parents[1], model.path):
            return time.perf_counter() - begun

    def replayed() -> float:
        begun = time.perf_counter()
        found = list(replay(model, bento, lambda line: None))
        seconds = time.perf_counter() - begun
        assert found[0].result == "passed", found[0]
        return seconds

    first = replayed()
    starts, replays = [], []
    for _ in range(ROUNDS):
        starts.append(started())
        replays.append(replayed())
    start, again = statistics.median(starts), statistics.median(replays)
    most = 1.2 * start + 2
    print(f"start of a serving process     {start:6.2f} s")
    print(f"clean replay, the first time   {first:6.2f} s")
    print(f"clean replay, the second time  {again:6.2f} s, {again / most:.2f} of {MOST} ({most:.2f} s)")


if __name__ == "__main__":
    main()
