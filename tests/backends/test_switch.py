from __future__ import annotations

import json

from taxiway.backends import ModelRef, Routing, Status
from tests.backends.conftest import Endpoint, ref_of
from tests.load import Load, ask


def test_promote_and_rollback_under_load_fail_no_request(endpoint: Endpoint) -> None:
    url = endpoint.start(shadow=1).url
    assert url is not None
    with Load(url, endpoint.models[0].rows(150)) as load:
        load.wait_for(100)
        for live in (1, 0, 1, 0):
            endpoint.backend.route(endpoint.ref, endpoint.routing(live), token=f"to {live}")
            endpoint.ready(live)
            load.wait_for(150)
    assert load.failures == []
    assert set(load.answered.values()) == {endpoint.models[0].tag, endpoint.models[1].tag}
    written = [one for record in endpoint.records("live") for one in record["ids"]]
    assert sorted(written) == sorted(load.answered), "every answer was written down, and once"


def test_once_promoted_a_new_connection_gets_the_new_model_only(endpoint: Endpoint) -> None:
    url = endpoint.start().url
    for live in (1, 2, 0):
        endpoint.backend.route(endpoint.ref, endpoint.routing(live), token=f"to {live}")
        endpoint.ready(live)
        answers = [ask(url, "/predict", endpoint.models[0].rows(1)) for _ in range(20)]
        assert {json.loads(text)["model"] for _, text in answers} == {endpoint.models[live].tag}


def test_it_is_not_ready_while_an_old_process_could_still_take_a_connection(endpoint: Endpoint) -> None:
    endpoint.start()
    old = endpoint.worker("live")
    old.suspend()
    endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="a")
    endpoint.until(lambda seen: seen.live == endpoint.models[1].tag)
    seen = endpoint.backend.observe(endpoint.ref)
    assert (seen.status, seen.reason.split()[-1]) == (Status.PENDING, "connections.")
    old.resume()
    endpoint.ready(1)


def test_a_model_that_never_gets_ready_leaves_the_old_one_serving(
    endpoint: Endpoint, broken: ModelRef
) -> None:
    url = endpoint.start().url
    assert url is not None
    with Load(url, endpoint.models[0].rows(150)) as load:
        endpoint.backend.route(endpoint.ref, Routing(broken), token="a")
        seen = endpoint.until(lambda seen: seen.status is Status.DEGRADED)
        load.wait_for(100)
    assert load.failures == []
    assert set(load.answered.values()) == {endpoint.models[0].tag}
    assert seen.live == endpoint.models[0].tag
    assert broken.tag in seen.reason
    assert "tulip" in seen.reason
    endpoint.backend.route(endpoint.ref, endpoint.routing(0), token="b")
    endpoint.ready(0)


def test_a_first_model_that_never_gets_ready_is_a_failure_with_its_reason(
    endpoint: Endpoint, broken: ModelRef
) -> None:
    endpoint.backend.apply(endpoint.spec().__class__("iris", Routing(broken)), token="a")
    seen = endpoint.until(lambda seen: seen.status is Status.FAILED)
    assert seen.live is None
    assert "tulip" in seen.reason
    endpoint.backend.route(endpoint.ref, Routing(ref_of(endpoint.models[0])), token="b")
    endpoint.ready(0)
