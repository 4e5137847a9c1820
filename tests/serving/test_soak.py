from __future__ import annotations

from tests.models import BuiltModel
from tests.serving.conftest import Serve
from tests.serving.soak import Soak, predicted
from tests.waiting import wait_until

SECONDS = 12.0
SEGMENT = 4 * 2**20
MOST_GROWTH = 6 * 2**20


def test_under_mixed_load_memory_files_and_threads_stay_and_no_segment_is_lost(
    serve: Serve, iris: BuiltModel
) -> None:
    served = serve("--drain-seconds", "0.5", "--spool-segment", str(SEGMENT))
    soak = Soak(served.url, served.process.pid, served.spool, iris.rows(150))
    looks = soak.run(SECONDS)
    rows = predicted(served.url)
    warm, end = looks[len(looks) // 3 : 2 * len(looks) // 3], looks[-len(looks) // 3 :]
    memory = [round(look.memory / 2**20, 1) for look in looks]
    assert max(look.memory for look in end) <= max(look.memory for look in warm) + MOST_GROWTH, memory
    assert {look.threads for look in end} == {warm[-1].threads}
    assert max(look.files for look in end) <= max(look.files for look in warm), looks
    assert set(soak.statuses) == {200, 202, 400, 404, 422}
    assert soak.segments >= 2, "segments were to rotate"
    served.process.terminate()
    assert served.process.wait(20) == 0
    wait_until(lambda: soak.read_rest() or not list(served.spool.glob("*.spool")), "the log")
    assert soak.logged["prediction"] == rows
