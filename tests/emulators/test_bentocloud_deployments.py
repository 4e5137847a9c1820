"""The emulated BentoCloud's deployments, driven by the real bentoml client alone: real processes answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.emulators.bentocloud.tenant import TAG, Tenant, alive, refused
from tests.waiting import wait_until


@pytest.fixture
def shared(tenant: Tenant) -> str:
    """A running deployment that says ``shared``; tests may change it, and what they change stays."""
    if "shared" not in tenant.cloud.account()["deployments"]:
        tenant.create("shared", said="shared")
    tenant.until("shared", "running")
    return "shared"


@contextmanager
def deployed(tenant: Tenant, name: str, **given: Any) -> Iterator[str]:
    """A deployment of one test, gone after it."""
    tenant.create(name, **given)
    try:
        yield name
    finally:
        tenant.cloud.release()
        tenant.gone(name)


def test_a_deployment_is_built_deployed_and_answers_whoever_has_the_token(tenant: Tenant) -> None:
    from bentoml.exceptions import NotFound

    label = {"key": "taxiway-endpoint", "value": "x"}
    tenant.client.secret.create("word", "env", key_vals=[("SAID", "a secret")])
    tenant.cloud.stuck("image-building")
    with deployed(tenant, "first", secrets=["word"], labels=[label], instance_type="cpu.2") as name:
        # The image of the Bento is built once, by whichever test deploys it first.
        state = tenant.status(name)
        assert state in ("image-building", "deploying")
        with refused("url is not ready"):
            tenant.url(name)
        tenant.cloud.release()
        tenant.until(name, "running")
        seen = tenant.deployments.get(name)
        assert [(one.key, one.value) for one in seen._schema.labels] == [(label["key"], label["value"])]
        config = seen.get_config(refetch=False)
        assert (config.bento, config.secrets, config.access_authorization) == ("tiny:v1", ["word"], True)
        assert config.services["tiny"].instance_type == "cpu.2"
        answer = tenant.ask(name, "hello")
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["text"], said["said"], said["model"]) == ("hello", "a secret", "hello")
        assert int(said["pid"]) in tenant.cloud.processes(name)
        assert tenant.ask(name, token="wrong").status_code == 401
        assert tenant.http.post(tenant.url(name) + "/answer", json={"text": "x"}).status_code == 401
        pids = tenant.cloud.processes(name)
        tenant.deployments.terminate(name)
        tenant.until(name, "terminated")
        assert not any(alive(pid) for pid in pids)
        assert tenant.deployments.get(name)._urls == []
    tenant.client.secret.delete("word")
    with pytest.raises(NotFound, match=r"first.*record not found"):
        tenant.deployments.get("first")


def test_what_a_deployment_must_be(tenant: Tenant, shared: str) -> None:
    from bentoml._internal.cloud.schemas.modelschemas import DeploymentServiceConfig
    from bentoml._internal.cloud.schemas.schemasv2 import CreateDeploymentSchema

    for given, said in (
        ({"name": shared}, "409.*already exists"),
        ({"name": "Upper_Case"}, "400.*is no name"),
        ({"name": "never", "instance_type": "cpu.99"}, "instance type cpu.99"),
        ({"name": "never", "cluster": "moon"}, "cluster moon does not exist"),
        ({"name": "never", "secrets": ["nobody"]}, "secret nobody: record not found"),
    ):
        with refused(said):
            tenant.create(**given)
    strange = {"other": DeploymentServiceConfig()}
    with refused("400.*tiny:v1 has the service tiny, not other"):
        tenant.rest.v2.create_deployment(CreateDeploymentSchema(name="never", bento=TAG, services=strange))
    with refused("400.*deployment shared is running: terminate it first"):
        tenant.deployments.delete(shared)
    tenant.cloud.quota(2)
    with refused("403.*quota exceeded: 1 of 2 replicas"):
        tenant.create("never", scaling_max=2)
    with refused("403.*quota exceeded"):
        tenant.update(shared, scaling_max=3)
    assert tenant.cloud.account()["deployments"] == [shared]


def test_an_update_merges_loses_labels_and_fails_no_request(tenant: Tenant, shared: str) -> None:
    url, statuses, ended = tenant.url(shared), Counter[int](), threading.Event()

    def keep_asking() -> None:
        with httpx.Client(headers={"authorization": f"Bearer {tenant.token}"}, timeout=30) as client:
            while not ended.is_set():
                statuses[client.post(url + "/answer", json={"text": "x"}).status_code] += 1
                time.sleep(0.02)  # who asks without a pause takes the time of what is waited for

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(keep_asking)
        tenant.cloud.stuck("deploying")
        tenant.update(shared, said="updated", labels=[{"key": "a", "value": "b"}])
        assert tenant.status(shared) == "deploying"
        assert tenant.ask(shared).json()["said"] != "updated"
        tenant.cloud.release()
        tenant.until(shared, "running")
        assert tenant.ask(shared).json()["said"] == "updated"
        ended.set()
        asking.result(30)
    assert set(statuses) == {200}, statuses
    config = tenant.deployments.get(shared).get_config(refetch=False)
    assert config.access_authorization, "merged from what was there"
    assert tenant.deployments.get(shared)._schema.labels
    (pid,) = tenant.cloud.processes(shared)
    tenant.update(shared, scaling_min=2, scaling_max=2)
    tenant.until(shared, "running")
    assert not tenant.deployments.get(shared)._schema.labels, "the client sends null"
    pids = tenant.cloud.processes(shared)
    assert (len(pids), pid in pids) == (2, True), "scaling restarts nothing"
    assert {int(tenant.ask(shared).json()["pid"]) for _ in range(4)} == set(pids)
    tenant.update(shared, scaling_min=1, scaling_max=1)
    wait_until(lambda: len(tenant.cloud.processes(shared)) == 1, "one to leave")


def test_apply_resets_what_it_does_not_name(tenant: Tenant, shared: str) -> None:
    with refused("cluster cannot be changed"):
        tenant.deployments.apply(tenant.parameters(name=shared, bento="tiny:v1"))
    with deployed(tenant, "open") as name:
        tenant.until(name, "running")
        cluster = tenant.deployments.get(name).cluster
        tenant.deployments.apply(tenant.parameters(name=name, bento="tiny:v1", cluster=cluster))
        tenant.until(name, "running")
        assert tenant.http.post(tenant.url(name) + "/answer", json={"text": "x"}).status_code == 200


def test_many_deployments_are_listed_in_pages_and_by_cluster(tenant: Tenant) -> None:
    tenant.cloud.stuck("deploying")
    tenant.cloud.stuck("image-building")
    before = set(tenant.names())
    names = {f"many-{number}" for number in range(11)}
    for name in names:
        tenant.create(name, cluster="emulated-eu-1" if name == "many-0" else "emulated-us-1")
    assert set(tenant.names()) == before | names
    assert [one.name for one in tenant.deployments.list(cluster="emulated-eu-1")] == ["many-0"]
    assert len(tenant.rest.v2.list_deployment(all=True).items) == 10
    assert {one.name for one in tenant.deployments.list(search="many-1")} == {"many-1", "many-10"}
    for name in names:
        tenant.deployments.terminate(name, cluster="emulated-eu-1" if name == "many-0" else None)
    for name in names:
        cluster = "emulated-eu-1" if name == "many-0" else None
        wait_until(
            lambda name=name, cluster=cluster: (  # type: ignore[misc]
                tenant.deployments.get(name, cluster).get_status(False).status == "terminated"
            ),
            name,
        )
        tenant.deployments.delete(name, cluster=cluster)
    assert set(tenant.names()) == before


def test_a_canary_gets_its_share(tenant: Tenant, shared: str) -> None:
    def canary(kind: str, by: str | None = None, **version: Any) -> None:
        wanted = {"bento": "tiny:v1", "weight": 20, "services": {"tiny": {}}, **version}
        wanted["envs"] = [{"name": "SAID", "value": "canary"}]
        routing = {"route_type": kind, "route_by": by, "versions": {"v2": wanted}}
        config = {"name": shared, "canary": routing, "services": {"tiny": {}}}
        tenant.deployments.update(tenant.parameters(config_dict=config))
        tenant.until(shared, "running")

    def says(times: int = 1, **more: Any) -> list[str]:
        return [
            "canary" if tenant.ask(shared, **more).json()["said"] == "canary" else "main"
            for _ in range(times)
        ]

    for weight in (101, -1):
        with refused("are not shares of 100"):
            canary("random", weight=weight)
    canary("random")
    assert Counter(says(20))["canary"] in (3, 4, 5), "spread evenly, wherever the count begins"
    pids = tenant.cloud.processes(shared)
    assert len(pids) == 2
    seen = tenant.deployments.get(shared).get_config(refetch=False).canary
    assert (seen.route_type, seen.versions["v2"].weight) == ("random", 20)
    canary("header", "X-User")
    by_header = {user: set(says(2, **{"X-User": user})) for user in map(str, range(8))}
    assert all(len(one) == 1 for one in by_header.values()), "one user, one version"
    assert len(set.union(*by_header.values())) == 2
    canary("query", "user", weight=100)
    assert says(query="?user=1") == ["canary"]
    assert tenant.cloud.processes(shared) == pids, "routing restarts nothing"
    tenant.deployments.update(
        tenant.parameters(config_dict={"name": shared, "canary": None, "services": {"tiny": {}}})
    )
    tenant.until(shared, "running")
    assert set(says(3)) == {"main"}


def test_it_scales_to_zero_and_wakes_for_a_request(tenant: Tenant) -> None:
    policy = {"scale_down_stabilization_window": 30}
    scaling = {"min_replicas": 0, "max_replicas": 1, "policy": policy}
    services: dict[str, Any] = {"tiny": {"scaling": scaling, "cold_start_timeout": 1500}}
    config = {"name": "sleepy", "bento": "tiny:v1", "access_authorization": True, "services": services}
    tenant.deployments.create(tenant.parameters(config_dict=config))
    try:
        tenant.until("sleepy", "scaled-to-zero")
        assert tenant.cloud.processes("sleepy") == []
        tenant.cloud.cold_start(0.3)
        began = time.monotonic()
        assert tenant.ask("sleepy").status_code == 200
        assert time.monotonic() - began > 0.3
        assert len(tenant.cloud.processes("sleepy")) == 1
        services["tiny"]["cold_start_timeout"] = 10
        tenant.deployments.update(tenant.parameters(config_dict={"name": "sleepy", "services": services}))
        tenant.until("sleepy", "scaled-to-zero")
        late = tenant.ask("sleepy")
        assert late.status_code == 504, "after 10 of BentoCloud's seconds"
        assert "no replica was ready" in late.json()["error"]
    finally:
        tenant.cloud.release()
        tenant.gone("sleepy")


def test_a_build_fails_with_its_log_as_the_reason(tenant: Tenant, capfd: pytest.CaptureFixture[str]) -> None:
    reason = "ERROR: No matching distribution found for leftpad==9"
    tenant.cloud.build_fails(["Collecting leftpad==9", reason])
    tenant.cloud.stuck("image-building")
    with deployed(tenant, "unbuilt") as name:
        assert tenant.status(name) == "image-building"
        builder = tenant.rest.v2.get_deployment_image_builder_pod(name)
        assert builder.pod_status.status == "Running"
        with ThreadPoolExecutor(1) as pool:
            heard = pool.submit(lambda: list(tenant.logs(builder.name, "builder")))
            tenant.cloud.go_on("image-building")
            assert tenant.deployments.get(name).wait_until_ready(timeout=30, check_interval=0.2) == 1
            lines = heard.result(30)
        assert tenant.status(name) == "image-build-failed"
        assert lines[-1].endswith(f"{reason}\n")
        assert "image-build-failed" in capfd.readouterr().out
        again = tenant.rest.v2.get_deployment_image_builder_pod(name)
        assert list(tenant.logs(again.name, "builder")) == lines, "it can be read afterwards"
        tenant.cloud.release()
        tenant.update(name, said="built")
        tenant.until(name, "running")


def test_a_pod_tells_what_its_process_prints_while_it_prints_it(tenant: Tenant, shared: str) -> None:
    from httpx_ws import WebSocketUpgradeError

    (pod,) = tenant.rest.v2.list_deployment_pods(shared)
    assert (pod.pod_status.status, pod.status.ready) == ("Running", True)
    lines = tenant.logs(pod.name)
    tenant.ask(shared, "a first thing")
    assert any("asked for a first thing" in line for line in lines)
    tenant.ask(shared, "a second thing")
    assert any("asked for a second thing" in line for line in lines)
    lines.close()  # type: ignore[attr-defined]
    with refused("pod nobody not found"):
        list(tenant.logs("nobody"))
    tenant.cloud.expire_token()
    with pytest.raises(WebSocketUpgradeError):
        list(tenant.logs(pod.name))


def test_a_deployment_that_is_never_ready_is_unhealthy_until_it_is(tenant: Tenant, shared: str) -> None:
    tenant.cloud.never_ready()
    before = tenant.ask(shared).json()["said"]
    tenant.update(shared, said="late")
    tenant.until(shared, "unhealthy")
    assert tenant.ask(shared).json()["said"] == before, "what served goes on"
    tenant.cloud.release()
    tenant.until(shared, "running")
    assert tenant.ask(shared).json()["said"] == "late"


def test_a_bento_that_crashes_has_failed_and_its_log_says_why(tenant: Tenant) -> None:
    with deployed(tenant, "crashing", envs=[{"name": "CRASH", "value": "1"}]) as name:
        tenant.until(name, "failed")
        with refused("url is not ready"):
            tenant.url(name)
        (pod,) = tenant.rest.v2.list_deployment_pods(name)
        assert pod.pod_status.status == "Failed"
        assert any("this Bento was told to crash" in line for line in tenant.logs(pod.name))


def test_a_lost_replica_is_replaced(tenant: Tenant, shared: str) -> None:
    (pid,) = tenant.cloud.processes(shared)
    tenant.cloud.lose_replica(shared)
    wait_until(lambda: tenant.cloud.processes(shared) not in ([], [pid]), "another")
    tenant.until(shared, "running")
    assert tenant.ask(shared).status_code == 200


def test_deployments_answer_while_the_api_is_down_and_not_with_an_expired_token(
    tenant: Tenant, shared: str
) -> None:
    url = tenant.url(shared) + "/answer"
    headers = {"authorization": f"Bearer {tenant.token}"}
    tenant.cloud.down()
    try:
        assert tenant.http.post(url, json={"text": "x"}, headers=headers).status_code == 200
        tenant.cloud.expire_token()
        assert tenant.http.post(url, json={"text": "x"}, headers=headers).status_code == 401
    finally:
        tenant.cloud.renew_token()
        tenant.cloud.up()


def test_what_is_terminated_comes_back_with_an_update(tenant: Tenant) -> None:
    with deployed(tenant, "phoenix") as name:
        tenant.until(name, "running")
        url = tenant.url(name)
        tenant.cloud.stuck("terminating")
        tenant.deployments.terminate(name)
        assert tenant.status(name) == "terminating"
        tenant.cloud.release()
        tenant.until(name, "terminated")
        assert tenant.http.post(url + "/answer", json={"text": "x"}).status_code == 404
        tenant.update(name, said="again")
        tenant.until(name, "running")
        assert (tenant.url(name), tenant.ask(name).json()["said"]) == (url, "again")
