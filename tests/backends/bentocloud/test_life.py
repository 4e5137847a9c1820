"""What only BentoCloud has: its two deployments, its canary, scaling to zero, and the log's way home."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from taxiway.backends import Bake, EndpointRef, Status
from taxiway.errors import InputError
from taxiway_backends.bentocloud import BentoCloudBackend
from tests.backends.bentocloud.conftest import Endpoint
from tests.waiting import wait_until


def test_a_candidate_sees_each_request_and_every_prediction_is_collected_once(endpoint: Endpoint) -> None:
    seen = endpoint.start()
    assert endpoint.ask_as("alone") == endpoint.models[0].tag
    endpoint.backend.route(endpoint.ref, endpoint.routing(0, 1), token="shadow")
    assert endpoint.ready(0, 1).url == seen.url
    assert sorted(endpoint.resources()) == [
        "deployments taxiway-iris",
        "deployments taxiway-iris-shadow",
        "secrets taxiway-iris-mirror",
    ]
    names = [f"id-{number}" for number in range(5)]
    for name in names:
        assert endpoint.ask_as(name) == endpoint.models[0].tag
    assert seen.spool is not None
    spool = seen.spool

    def brought() -> bool:
        endpoint.backend.collect(endpoint.ref, spool)
        return {("shadow", name) for name in names} <= set(endpoint.collected())

    wait_until(brought, "the shadow's predictions", 30)
    # Promoted, it is live under the same address, and nothing is left of its own deployment
    endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="promote")
    assert endpoint.ready(1).url == seen.url
    assert endpoint.resources() == ["deployments taxiway-iris"]
    assert endpoint.ask_as("after") == endpoint.models[1].tag
    # What had not been shipped when it was destroyed comes with SIGTERM, and is brought by destroy
    assert endpoint.backend.destroy(endpoint.ref, token="end").status is Status.ABSENT
    found = endpoint.collected()
    assert len(found) == len(set(found)), "something was collected twice"
    assert [name for role, name in found if role == "live"] == sorted(["after", "alone", *names])
    assert [name for role, name in found if role == "shadow"] == names


def test_nobody_is_let_in_without_a_token_whatever_changes(endpoint: Endpoint) -> None:
    import httpx

    def refuses() -> None:
        url = endpoint.backend.observe(endpoint.ref).url
        assert url is not None
        body = json.dumps({"records": endpoint.models[0].rows(1)}).encode()
        for headers in ({}, {"authorization": "Bearer wrong"}):
            given = {"content-type": "application/json", **headers}
            assert httpx.post(f"{url}/predict", content=body, headers=given).status_code == 401

    endpoint.start()
    refuses()
    for change in (
        {"live": 1},
        {"live": 1, "policies": {"extra": "reject"}},
        {"live": 1, "policies": {"extra": "reject"}, "settings": {"max_replicas": 2}},
    ):
        endpoint.backend.apply(endpoint.spec(**change), token=str(change))
        endpoint.ready(1)
        refuses()
        revision = endpoint.cloud.deployment("taxiway-iris").revision
        assert [target.config["access_authorization"] for target in revision.targets] == [True]
    token = endpoint.cloud.environment["BENTO_CLOUD_API_KEY"]
    assert token not in json.dumps([target.config for target in revision.targets])
    for path in endpoint.backend.home.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


def test_a_canary_gets_its_share_until_the_bake_is_over(endpoint: Endpoint) -> None:
    more = {"settings": {"canary": 40}, "bake": Bake(seconds=6.0)}
    first = endpoint.start(**more)
    endpoint.backend.apply(endpoint.spec(1, **more), token="next")
    seen = endpoint.until(lambda seen: "40 %" in seen.reason)
    assert (seen.status, seen.live, seen.url) == (Status.PENDING, endpoint.models[0].tag, first.url)
    answers = [endpoint.ask_as(f"id-{number}") for number in range(20)]
    assert {endpoint.models[0].tag, endpoint.models[1].tag} == set(answers)
    endpoint.ready(1)
    assert {endpoint.ask_as(f"after-{number}") for number in range(5)} == {endpoint.models[1].tag}
    # One that does not get ready is sent back, and only tried again when somebody asks again
    broken = endpoint.spec(2, policies={"extra": "no policy"}, **more)
    endpoint.backend.apply(broken, token="bad")
    seen = endpoint.until(lambda seen: "sent back" in seen.reason)
    assert (seen.status, seen.live) == (Status.DEGRADED, endpoint.models[1].tag)
    assert endpoint.backend.apply(broken, token="bad").status is Status.DEGRADED
    assert endpoint.ask_as("still") == endpoint.models[1].tag
    # That is over when what answers is asked for, and stays known when only a shadow gets its copies
    endpoint.backend.apply(endpoint.spec(1, **more), token="back")
    endpoint.ready(1)
    endpoint.backend.apply(broken, token="worse")
    endpoint.until(lambda seen: "sent back" in seen.reason)
    endpoint.orphan()
    seen = endpoint.until(lambda seen: seen.shadow is not None and seen.native == "running")
    assert (seen.status, "sent back" in seen.reason) == (Status.DEGRADED, True)
    assert endpoint.backend.apply(broken, token="worse").status is Status.DEGRADED
    endpoint.backend.apply(endpoint.spec(2, **more), token="again")
    endpoint.ready(2)
    assert endpoint.resources() == ["deployments taxiway-iris"]


def test_scaled_to_zero_it_bills_nothing_and_the_next_request_wakes_it(endpoint: Endpoint) -> None:
    settings = {"scale_to_zero_after": 2, "cold_start_seconds": 60}
    plan = endpoint.backend.plan(endpoint.spec(settings=settings))
    assert "nothing while nobody asks" in plan.notes[0]
    endpoint.start(settings=settings)
    seen = endpoint.until(lambda seen: seen.native == "scaled-to-zero")
    assert (seen.status, seen.replicas, seen.live) == (Status.READY, 0, endpoint.models[0].tag)
    assert "next request waits" in " ".join(seen.notes)
    assert endpoint.cloud.processes("taxiway-iris") == []
    assert endpoint.ask_as("woken") == endpoint.models[0].tag
    assert endpoint.cloud.processes("taxiway-iris") != []


def test_a_plan_has_the_instance_types_and_their_price_from_the_account(endpoint: Endpoint) -> None:
    plan = endpoint.backend.plan(endpoint.spec(workers=2))
    assert plan.hourly_cost == pytest.approx(2 * 0.0484)
    assert f"2 × cpu.1: about $0.10 an hour, ${2 * 0.0484 * 730:,.0f} a month" in plan.notes[0]
    both = endpoint.backend.plan(endpoint.spec(shadow=1, settings={"instance_type": "cpu.2"}))
    assert both.hourly_cost == pytest.approx(2 * 0.0884)
    assert "live and shadow together" in both.notes[0]
    assert len(both.changes) == 2
    unshipped = endpoint.backend.plan(endpoint.spec(settings={"ship_to": "", "max_replicas": 3}))
    assert "scales up to 3 replicas" in unshipped.notes[1]
    assert "not monitored" in unshipped.notes[2]


def test_a_rollback_uploads_nothing(endpoint: Endpoint) -> None:
    endpoint.start(2)
    endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="next")
    endpoint.ready(1)
    before = len(endpoint.cloud.calls())
    endpoint.backend.route(endpoint.ref, endpoint.routing(2), token="back")
    endpoint.ready(2)
    later = endpoint.cloud.calls()[before:]
    assert "update_deployment" in later
    assert [call for call in later if "upload" in call or "put" in call] == []


def test_bentoml_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, taxiway, taxiway.control.api\n"
        "import taxiway.control.reconcile as reconcile\n"
        "reconcile.backend('bentocloud')\n"
        "print(sorted({'bentoml', 'httpx_ws', 'keyring'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_bentocloud_does_not_take_is_refused(endpoint: Endpoint) -> None:
    for name in ("a" * 41, "double--hyphen", "ends-", "iris-shadow"):
        with pytest.raises(InputError, match="name"):
            BentoCloudBackend(endpoint.backend.home).observe(EndpointRef(name))
