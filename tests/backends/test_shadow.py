from __future__ import annotations

import signal
import statistics
import time

import httpx
import pytest

from taxiway.backends import ModelRef, Routing, Status
from tests.backends.conftest import Endpoint, ref_of
from tests.load import Load, ask


def mirrored(url: str | None) -> dict[str, int]:
    lines = ask(url, "/metrics")[1].splitlines()
    counts = (
        line.split('result="')[1].split('"} ') for line in lines if line.startswith("taxiway_mirrored_total")
    )
    return {result: int(count) for result, count in counts}


def until_mirrored(url: str | None, count: int) -> dict[str, int]:
    deadline = time.monotonic() + 20
    while sum((counts := mirrored(url)).values()) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return counts


def test_the_shadow_sees_every_answered_request_under_the_same_ids(endpoint: Endpoint) -> None:
    url = endpoint.start(shadow=1).url
    rows = endpoint.models[0].rows(150)
    with httpx.Client(base_url=str(url), verify=False) as client:
        answers = [
            client.post("/predict", json={"records": rows[n : n + 3], "times": [0, 1, n]}) for n in range(100)
        ]
        client.post("/predict", json=[{"sepal_length": "warm"}])
    assert {answer.json()["model"] for answer in answers} == {endpoint.models[0].tag}
    assert until_mirrored(url, 100) == {"sent": 100, "dropped": 0, "failed": 0}
    live, shadow = endpoint.records("live"), endpoint.records("shadow")
    assert {record["model"] for record in shadow} == {endpoint.models[1].tag}
    pairs = {tuple(record["ids"]): record for record in shadow}
    assert len(pairs) == len(shadow) == 100
    for record in live:
        other = pairs[tuple(record["ids"])]
        assert (other["inputs"], other["times"]) == (record["inputs"], record["times"])
        assert other["outputs"] != record["outputs"]


@pytest.mark.alone
def test_a_shadow_that_hangs_leaves_live_answers_as_they_were(endpoint: Endpoint) -> None:
    url = endpoint.start(shadow=1).url
    assert url is not None
    rows = endpoint.models[0].rows(150)
    with Load(url, rows) as healthy:
        healthy.wait_for(300)
    endpoint.worker("shadow").send_signal(signal.SIGSTOP)
    try:
        with Load(url, rows, pause=0.0) as load:
            load.wait_for(2500)
        counts = mirrored(url)
    finally:
        endpoint.worker("shadow").send_signal(signal.SIGCONT)
    assert load.failures == []
    assert set(load.answered.values()) == {endpoint.models[0].tag}
    assert statistics.median(load.times) < 10 * statistics.median(healthy.times)
    assert counts["dropped"] > 0, "the queue is bounded"


def test_a_killed_shadow_leaves_live_answers_as_they_were_and_comes_back(endpoint: Endpoint) -> None:
    url = endpoint.start(shadow=1).url
    assert url is not None
    with Load(url, endpoint.models[0].rows(150)) as load:
        load.wait_for(50)
        victim = endpoint.worker("shadow")
        victim.send_signal(signal.SIGKILL)
        endpoint.until(lambda seen: seen.shadow is None)
        load.wait_for(50)
        endpoint.ready(0, 1)
        before = mirrored(url)["sent"]
        deadline = time.monotonic() + 20
        while (sent := mirrored(url)["sent"]) < before + 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sent >= before + 20
    assert load.failures == []


def test_a_shadow_that_never_gets_ready_is_named_and_live_serves_on(
    endpoint: Endpoint, broken: ModelRef
) -> None:
    endpoint.start()
    endpoint.backend.route(endpoint.ref, Routing(ref_of(endpoint.models[0]), broken), token="a")
    seen = endpoint.until(lambda seen: seen.status is Status.DEGRADED)
    assert (seen.live, seen.shadow) == (endpoint.models[0].tag, None)
    assert "shadow" in seen.reason
    assert broken.tag in seen.reason
    endpoint.backend.route(endpoint.ref, endpoint.routing(0), token="b")
    endpoint.ready(0)


def test_a_shadow_starts_and_stops_without_touching_the_live_process(endpoint: Endpoint) -> None:
    endpoint.start()
    live = endpoint.worker("live").pid
    for shadow in (1, 2, None):
        endpoint.backend.route(endpoint.ref, endpoint.routing(0, shadow), token=f"{shadow}")
        endpoint.ready(0, shadow)
        assert endpoint.worker("live").pid == live
