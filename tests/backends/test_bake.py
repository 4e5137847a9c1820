from __future__ import annotations

import json
import os
import signal

import psutil
import pytest

from taxiway.backends import Bake, ModelRef, Routing, Status
from tests.backends.conftest import Endpoint, ref_of
from tests.backends.flawed import FAILS_ABOVE, failing, slow
from tests.load import Load, ask
from tests.waiting import wait_until

LONG = Bake(seconds=600)


@pytest.fixture(scope="session")
def flawed(models, tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return failing(models[0], tmp_path_factory.mktemp("failing"))


def promoted(endpoint: Endpoint, model: ModelRef) -> None:
    """Route to a Model, and wait until it is live."""
    endpoint.backend.route(endpoint.ref, Routing(model), token=model.tag)
    endpoint.until(lambda seen: (seen.status, seen.live) == (Status.READY, model.tag))


def taken_back(endpoint: Endpoint, model: ModelRef) -> str:
    seen = endpoint.until(lambda seen: seen.status is Status.DEGRADED)
    assert f"{model.tag} was taken back" in seen.reason
    assert seen.live == endpoint.models[0].tag
    return seen.reason


def test_a_model_that_fails_is_taken_back_and_the_one_before_it_never_left(
    endpoint: Endpoint, flawed: ModelRef
) -> None:
    url = endpoint.start(bake=LONG).url
    assert url is not None
    before = endpoint.worker("live").pid
    promoted(endpoint, flawed)
    assert any(flawed.tag in note for note in endpoint.backend.observe(endpoint.ref).notes)
    rows = endpoint.models[0].rows(150)
    assert any(row["sepal_length"] > FAILS_ABOVE for row in rows)
    with Load(url, rows) as load:
        assert "predictions failed" in taken_back(endpoint, flawed)
        load.wait_for(100)
        settled = len(load.failures)
        load.wait_for(200)
        assert len(load.failures) == settled, "the Model before it answers all again"
    assert all(failure.startswith("500") for failure in load.failures), "nobody lost a connection"
    assert endpoint.worker("live").pid == before, "it was kept warm"
    # Who mends what is degraded changes nothing, and neither does the next master.
    endpoint.backend.apply(endpoint.spec().__class__("iris", Routing(flawed), bake=LONG), token="mend")
    os.kill(endpoint.status()["pid"], signal.SIGKILL)
    endpoint.until(lambda seen: seen.native == "orphaned")
    endpoint.backend.apply(endpoint.spec().__class__("iris", Routing(flawed), bake=LONG), token="mend")
    taken_back(endpoint, flawed)
    # To roll back is to accept it.
    endpoint.backend.route(endpoint.ref, endpoint.routing(0), token="accept")
    endpoint.ready(0)
    assert not (endpoint.folder / "bake.json").exists()


def test_a_model_that_is_slower_is_taken_back(
    endpoint: Endpoint, models, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = endpoint.start(bake=LONG).url
    assert url is not None
    late = slow(models[0], tmp_path_factory.mktemp("slow"))
    with Load(url, endpoint.models[0].rows(150)) as load:
        load.wait_for(300)
        promoted(endpoint, late)
        assert "took longer than" in taken_back(endpoint, late)
    assert load.failures == []


def test_a_sound_model_stays_and_the_one_before_it_leaves_when_the_bake_is_over(endpoint: Endpoint) -> None:
    url = endpoint.start(bake=Bake(seconds=2)).url
    assert url is not None
    before = endpoint.worker("live")
    with Load(url, endpoint.models[0].rows(150)) as load:
        load.wait_for(100)
        promoted(endpoint, ref_of(endpoint.models[1]))
        assert before.is_running()
        answers = [json.loads(ask(url, "/predict", endpoint.models[0].rows(1))[1]) for _ in range(10)]
        assert {answer["model"] for answer in answers} == {endpoint.models[1].tag}, "off the traffic"
        before.wait(20)
        load.wait_for(50)
    assert load.failures == []
    assert endpoint.ready(1).notes == ()


def test_the_next_master_goes_on_with_the_watch(endpoint: Endpoint, flawed: ModelRef) -> None:
    url = endpoint.start(bake=LONG).url
    promoted(endpoint, flawed)
    os.kill(endpoint.status()["pid"], signal.SIGKILL)
    endpoint.until(lambda seen: seen.native == "orphaned")
    endpoint.backend.apply(endpoint.spec().__class__("iris", Routing(flawed), bake=LONG), token="again")
    endpoint.until(lambda seen: (seen.status, seen.live) == (Status.READY, flawed.tag))
    bad = [endpoint.models[0].rows(1)[0] | {"sepal_length": FAILS_ABOVE + 0.5}]
    assert {ask(url, "/predict", bad)[0] for _ in range(10)} == {500}
    taken_back(endpoint, flawed)
    assert ask(url, "/predict", bad)[0] == 200


def test_a_rollback_within_the_bake_starts_nothing(endpoint: Endpoint) -> None:
    endpoint.start(bake=LONG)
    before = endpoint.worker("live").pid
    for _ in range(2):
        promoted(endpoint, ref_of(endpoint.models[1]))
        promoted(endpoint, ref_of(endpoint.models[0]))
        assert endpoint.worker("live").pid == before


def test_a_model_that_does_not_stay_up_is_taken_back(endpoint: Endpoint) -> None:
    endpoint.start(bake=LONG)
    new = ref_of(endpoint.models[1])
    promoted(endpoint, new)
    victim = endpoint.worker("live")
    victim.send_signal(signal.SIGKILL)
    victim = wait_until(lambda: _another(endpoint, victim.pid), "the one that takes its place")
    victim.send_signal(signal.SIGKILL)
    assert "does not stay up" in taken_back(endpoint, new)


def _another(endpoint: Endpoint, pid: int) -> psutil.Process | None:
    live = [one["pid"] for one in endpoint.status()["workers"] if one["role"] == "live"]
    return psutil.Process(live[0]) if live and live[0] != pid else None
