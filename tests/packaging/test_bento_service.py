"""What a Bento's Service does beside answering: under plain ``bentoml serve``, in real processes."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from taxiway.serving.spool import list_segments, read_segment
from tests.waiting import wait_until

from .conftest import Packaged, Weather
from .test_bento import served

TOKEN = "a-s3cret/token"


def stored(store: Path) -> list[dict[str, Any]]:
    return [record for path in list_segments(store) for record in read_segment(path)[0]]


def workers(arbiter: psutil.Process) -> list[psutil.Process]:
    """The serving processes under BentoML's."""
    return [one for one in arbiter.children() if "_bentoml_impl.worker.service" in one.cmdline()]


@contextmanager
def bentos(packaged: Packaged, folder: Path, **more: str) -> Iterator[tuple[str, psutil.Process, Path]]:
    """Serve the Bento from a home of its own, as another machine would; also give its log."""
    home = folder / "bentoml"
    shutil.copytree(packaged.home / "bentoml", home, symlinks=True)
    with served(packaged.model.tag, home, **more) as (url, process):
        yield url, process, home / "serve.log"


def test_two_workers_mirror_to_a_candidate_and_ship_all_they_logged_whether_killed_or_told_to_stop(
    packaged_home: Packaged, weather: Weather, tmp_path: Path
) -> None:
    store, spool = tmp_path / "store", tmp_path / "spool"
    never = {"TAXIWAY_SHIP_TO": f"file://{store}", "TAXIWAY_SHIP_SECONDS": "3600"}
    rows = weather.inputs.iloc[:40].to_dict("records")
    shadow = {"TAXIWAY_ROLE": "shadow", "TAXIWAY_TOKEN": TOKEN, **never}
    with bentos(packaged_home, tmp_path / "candidate", **shadow) as (candidate, second, its_log):
        live = {
            "BENTOML_CONFIG_OPTIONS": "services.rain.workers=2",
            "TAXIWAY_MIRROR_TO": candidate,
            "TAXIWAY_MIRROR_TOKEN": TOKEN,
            "TAXIWAY_SERVING_OPTIONS": "--policy out_of_range=reject",
            "TAXIWAY_SPOOL": str(spool),
            **never,
        }
        with bentos(packaged_home, tmp_path / "live", **live) as (url, first, log):
            wait_until(lambda: log.read_text().count("Service rain initialized") == 2, "two workers")
            # A connection for each request, so that either worker gets some.
            with httpx.Client(base_url=url, headers={"Connection": "close"}, timeout=20) as client:
                strange = client.post("/predict", json=[rows[0] | {"wind": 1e6}])
                for number, row in enumerate(rows):
                    answer = client.post("/predict", json=[row], headers={"X-Request-Id": f"ask-{number}"})
                    assert answer.status_code == 200
            parts = sorted(path.name for path in spool.iterdir())
            workers(first)[0].kill()
            wait_until(lambda: log.read_text().count("Service rain initialized") == 3, "another worker")
            assert not store.exists(), "nothing is shipped but at the end, so that the end is what is seen"
            first.send_signal(signal.SIGTERM)
            first.wait(30)
            said = log.read_text()
        second.send_signal(signal.SIGTERM)
        second.wait(30)
        said += its_log.read_text()
    assert strange.status_code == 422, "the policy"
    assert parts == ["worker-0", "worker-1"]
    found = Counter((record["role"], record.get("request")) for record in stored(store) if "ids" in record)
    asked = {f"ask-{number}" for number in range(len(rows))}
    assert found == Counter([(role, name) for role in ("live", "shadow") for name in asked])
    assert len(list_segments(store)) >= 3, "three spools have three names"
    assert TOKEN not in said
