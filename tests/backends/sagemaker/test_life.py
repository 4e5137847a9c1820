"""What only SageMaker has: its modes, its fleets, its log store, and what all that costs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from taxiway.backends import Bake, EndpointRef, EndpointSpec, Status
from taxiway.serving.spool import list_segments
from taxiway_backends.cloud.collecting import JOURNAL, Journal, collect
from taxiway_backends.sagemaker import choices, log, prices
from taxiway_backends.sagemaker.account import Account
from taxiway_backends.sagemaker.choices import Choices
from taxiway_backends.sagemaker.collecting import PredictionLog
from taxiway_backends.sagemaker.design import design_key
from taxiway_backends.sagemaker.images import MACHINES
from taxiway_backends.sagemaker.place import Place
from taxiway_backends.sagemaker.session import Session
from tests.backends.sagemaker.conftest import MINE, Cut, Endpoint
from tests.waiting import wait_until


def _nothing_is_left(endpoint: Endpoint) -> None:
    account = endpoint.account.account()
    mine = {kind: [name for name in names if "iris" in name] for kind, names in account.items()}
    assert mine == {kind: [] for kind in account}


def test_each_prediction_is_collected_once_and_after_destroy_the_account_is_empty(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = endpoint.start(shadow=1, bake=Bake(seconds=1.0), settings={"autoscale": [1, 3]})
    assert seen.spool is not None
    account = endpoint.account.account()
    assert account["scaling"] == ["endpoint/taxiway-iris/variant/AllTraffic"]
    scaling = endpoint.account.client("application-autoscaling")
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    wanted = policy["TargetTrackingScalingPolicyConfiguration"]
    assert policy["ResourceId"] == account["scaling"][0]
    assert wanted["TargetValue"] == Choices().invocations_per_instance
    names = [f"id-{number}" for number in range(5)]
    for name in names[:3]:
        endpoint.ask_as(name)
    assert {one.inference_id for one in endpoint.account.invocations()} >= set(names[:3])
    wait_until(
        lambda: any("/spool/live" in name for name in endpoint.account.account()["objects"]), "shipping", 60
    )
    # Killed after a segment got its name and before its object was removed: it is not brought again
    with monkeypatch.context() as killed:
        killed.setattr(PredictionLog, "delete", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            endpoint.backend.collect(endpoint.ref, seen.spool)
    for path in list_segments(seen.spool):
        path.unlink()  # as the monitor does with what it has read
    assert endpoint.backend.collect(endpoint.ref, seen.spool) == 0
    for name in names[3:]:
        endpoint.ask_as(name)
    # What had not been shipped when it was destroyed comes with SIGTERM, and is brought by destroy
    assert endpoint.backend.destroy(endpoint.ref, token="end").status is Status.ABSENT
    found = endpoint.collected()
    assert [name for role, name in found if role == "live" and name in names[3:]] == names[3:]
    assert len(found) == len(set(found)), "something was collected twice"
    _nothing_is_left(endpoint)


def _asked_for(endpoint: Endpoint, **more: Any) -> tuple[Place, EndpointSpec, Choices]:
    spec = endpoint.spec(**more)
    return endpoint.backend._place("", ""), spec, choices.read(spec.settings)


def _killed(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], method: str) -> None:
    """Begin something, and end where it comes to a method of ``Account``."""

    def cut(*_: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Account, method, cut)
        with pytest.raises(Cut):
            act()


@pytest.mark.timeout(600)
def test_an_image_is_built_tried_and_pushed_and_goes_with_the_last_endpoint_that_uses_it(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if endpoint.account.registry is None:
        pytest.skip("Docker does not answer: no image can be run here")
    caplog.set_level("INFO", "taxiway.sagemaker")
    endpoint.image = ""
    seen = endpoint.start()
    assert endpoint.ask(seen) == endpoint.models[0].tag
    steps = [record.getMessage() for record in caplog.records]
    tried = next(place for place, step in enumerate(steps) if "tried" in step)
    pushed = next(place for place, step in enumerate(steps) if step.startswith("pushed"))
    assert tried < pushed
    # The same environment for a GPU is another image, on a machine whose driver fits it
    after = endpoint.backend._design(*_asked_for(endpoint, device="gpu"))
    before = endpoint.backend._design(*_asked_for(endpoint))
    assert (before.gpu, before.machine, after.gpu) == (False, "", True)
    assert after.image != before.image
    assert after.machine in MACHINES.values()
    assert "--device cuda" in after.environment["TAXIWAY_SERVING_OPTIONS"]
    # A new version of the Model needs no new image
    endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="next")
    endpoint.ready(1)
    assert [one for one in endpoint.account.account()["images"] if one.startswith("taxiway-serving:")] != []
    assert sum(step.startswith("pushed") for step in [record.getMessage() for record in caplog.records]) == 1
    # Killed in the midst of its end, and just after a push: the next time, the image goes too
    _killed(monkeypatch, lambda: endpoint.backend.destroy(endpoint.ref, token="end"), "remove")
    endpoint.backend.destroy(endpoint.ref, token="end")
    assert endpoint.resources() == []
    _killed(monkeypatch, lambda: endpoint.backend.apply(endpoint.spec(), token="again"), "create")
    assert any(one.startswith("taxiway-serving:") for one in endpoint.account.account()["images"])
    endpoint.backend.destroy(endpoint.ref, token="end")
    assert endpoint.resources() == []
    repositories = endpoint.account.client("ecr").describe_repositories()["repositories"]
    assert [one["repositoryName"] for one in repositories] == [MINE]


def test_a_segment_that_was_staged_is_brought_to_its_name(endpoint: Endpoint, tmp_path: Path) -> None:
    place = endpoint.backend._place("", "")
    place.storage.make()
    key = "taxiway/iris/spool/live-a-1.spool"
    place.storage.client.put_object(Bucket=place.storage.bucket, Key=key, Body=b"TWSPOOL1")
    # Killed between the journal and the name
    journal = Journal(tmp_path / JOURNAL)
    (tmp_path / ".live-a-1.spool.staged").write_bytes(b"TWSPOOL1")
    journal.add("live-a-1.spool")
    shelf = PredictionLog(place.storage, "iris")
    assert collect(shelf, tmp_path) == 1
    assert [path.name for path in list_segments(tmp_path)] == ["live-a-1.spool"]
    assert collect(shelf, tmp_path) == 0


def test_a_native_shadow_variant_is_a_second_fleet_with_the_same_prediction_ids(endpoint: Endpoint) -> None:
    plan = endpoint.backend.plan(endpoint.spec(shadow=1, settings={"shadow": "native"}))
    assert plan.hourly_cost == pytest.approx(2 * prices.HOURLY["ml.m5.large"])
    assert "2 × ml.m5.large, live and shadow fleet together" in plan.notes[0]
    assert "bills until it is deleted" in plan.notes[0]
    endpoint.start(shadow=1, settings={"shadow": "native"})
    assert len(endpoint.account.account()["models"]) == 2
    endpoint.ask_as("one")
    wait_until(
        lambda: (
            {one.shadow for one in endpoint.account.invocations() if one.inference_id == "one"}
            == {True, False}
        ),
        "the shadow's copy",
        30,
    )
    endpoint.backend.destroy(endpoint.ref, token="end")
    assert endpoint.collected() == [("live", "one"), ("shadow", "one")]
    _nothing_is_left(endpoint)


def test_a_serverless_endpoint_answers_and_costs_nothing_while_it_is_idle(endpoint: Endpoint) -> None:
    settings = {"mode": "serverless", "memory_mb": 2048, "max_concurrency": 2}
    plan = endpoint.backend.plan(endpoint.spec(settings=settings))
    assert plan.hourly_cost == 0.0
    assert "nothing while nobody asks" in plan.notes[0]
    seen = endpoint.start(settings=settings)
    assert endpoint.ask(seen) == endpoint.models[0].tag


def test_an_asynchronous_endpoint_answers_through_s3(endpoint: Endpoint) -> None:
    seen = endpoint.start(settings={"mode": "async", "autoscale": [0, 2]})
    assert endpoint.ask(seen) == endpoint.models[0].tag
    assert [name for name in endpoint.account.account()["objects"] if "/async/" in name] == []
    # Of no instances the first comes with the first request that waits, others with their number
    scaling = endpoint.account.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 2)
    policies = {
        policy["PolicyType"]: policy
        for policy in scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    }
    backlog = policies["TargetTrackingScaling"]["TargetTrackingScalingPolicyConfiguration"]
    metric = backlog["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    (alarm,) = endpoint.account.client("cloudwatch").describe_alarms(AlarmNames=["taxiway-iris-waiting"])[
        "MetricAlarms"
    ]
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert alarm["Dimensions"] == metric["Dimensions"] == [{"Name": "EndpointName", "Value": "taxiway-iris"}]
    assert alarm["AlarmActions"] == [policies["StepScaling"]["PolicyARN"]]
    endpoint.backend.destroy(endpoint.ref, token="end")
    _nothing_is_left(endpoint)


def test_a_gpu_is_of_an_instance_that_has_one_and_whose_driver_is_chosen(endpoint: Endpoint) -> None:
    machine = MACHINES["12"]
    spec = endpoint.spec(device="gpu", settings={"machine": machine})
    endpoint.interrupt(spec, "a", "before the endpoint")
    (config,) = endpoint.account.account()["configs"]
    client = endpoint.account.client("sagemaker")
    (variant,) = client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    assert (variant["InstanceType"], variant["InferenceAmiVersion"]) == (choices.GPU_DEFAULT, machine)


def test_a_plan_tells_what_an_update_costs_beside(endpoint: Endpoint) -> None:
    first = endpoint.backend.plan(endpoint.spec(workers=2))
    assert first.hourly_cost == pytest.approx(2 * prices.HOURLY["ml.m5.large"])
    assert f"${2 * prices.HOURLY['ml.m5.large'] * 730:,.0f} a month" in first.notes[0]
    assert prices.DATE in first.notes[0]
    endpoint.start(workers=2)
    update = endpoint.backend.plan(endpoint.spec(live=1, workers=2))
    assert any("old and the new fleet are billed" in note for note in update.notes)
    assert endpoint.backend.plan(endpoint.spec(settings={"instance_type": "ml.x1.huge"})).hourly_cost is None


def test_an_update_behind_alarms_is_sent_back_when_one_sounds(endpoint: Endpoint) -> None:
    endpoint.start(bake=Bake(seconds=2000.0))
    endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="next")
    assert "taxiway-iris-errors" in endpoint.account.account()["alarms"]
    endpoint.account.client("cloudwatch").set_alarm_state(
        AlarmName="taxiway-iris-errors", StateValue="ALARM", StateReason="planted"
    )
    seen = endpoint.until(lambda seen: seen.native == "InService")
    assert (seen.status, seen.live) == (Status.DEGRADED, endpoint.models[0].tag)
    assert "ALARM" in seen.reason


def test_it_converges_where_aws_shows_what_was_and_asks_for_patience(endpoint: Endpoint) -> None:
    endpoint.account.stale_reads(1.0)
    endpoint.account.throttle("*", 3)
    endpoint.start()
    assert endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="b").status is not Status.ABSENT
    endpoint.ready(1)
    endpoint.account.release()
    assert endpoint.backend.metrics(endpoint.ref) == {} or "invocations" in endpoint.backend.metrics(
        endpoint.ref
    )


def test_a_bucket_that_does_not_answer_is_not_taken_for_an_empty_one(endpoint: Endpoint) -> None:
    """What is left would be forgotten, and stay."""
    storage = endpoint.backend._place("", "").storage
    storage.make()
    storage.client.put_object(
        Bucket=storage.bucket, Key="taxiway/iris/spool/live-a-1.spool", Body=b"TWSPOOL1"
    )
    endpoint.account.fail_next("s3:ListObjectsV2", "ExpiredToken")
    assert endpoint.backend.observe(endpoint.ref).status is Status.UNKNOWN
    endpoint.backend.destroy(endpoint.ref, token="end")
    _nothing_is_left(endpoint)
    endpoint.account.deny("s3:ListObjectsV2")
    assert endpoint.backend.observe(endpoint.ref).status is Status.ABSENT


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"endpoint": "iris", "bake": 3}'])
def test_a_design_that_was_not_written_by_us_is_none(endpoint: Endpoint, content: bytes) -> None:
    storage = endpoint.backend._place("", "").storage
    storage.make()
    storage.client.put_object(Bucket=storage.bucket, Key=design_key("iris", "0" * 12), Body=content)
    assert storage.designs("iris") == []


def test_a_log_that_is_followed_is_read_from_its_beginning_once(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, now = endpoint.account.client("logs"), time.time()
    where = {"logGroupName": log.group("followed"), "logStreamName": "AllTraffic/i-1"}

    def say(text: str, seconds_ago: float) -> None:
        events = [{"timestamp": int((now - seconds_ago) * 1000), "message": text}]
        client.put_log_events(**where, logEvents=events)

    client.create_log_group(logGroupName=where["logGroupName"])
    client.create_log_stream(**where)
    say("old", 3600)
    say("new", 0)
    starts: list[datetime | None] = []
    read = log._events

    def looked(session: Session, name: str, since: datetime | None) -> list[dict[str, Any]]:
        starts.append(since)
        return read(session, name, since)

    def is_there() -> bool:
        if len(starts) == 1:
            say("late", 30)
        return len(starts) < 2

    monkeypatch.setattr(log, "_events", looked)
    monkeypatch.setattr(log, "FOLLOW_SECONDS", 0.0)
    session = endpoint.backend._place("", "").session
    followed = [line.text for line in log.follow(session, "followed", is_there)]
    log.remove(session, "followed")
    assert followed == ["old", "new", "late"]
    assert starts[0] is None
    assert all(start is not None and now - start.timestamp() < 100 for start in starts[1:])


def test_neither_the_sdk_nor_boto3_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, taxiway, taxiway.control.api, taxiway.serving.app, taxiway.lab.extension\n"
        "import taxiway.control.reconcile as reconcile\n"
        "reconcile.backend('sagemaker'); import taxiway.control.agent\n"
        "print(sorted({'sagemaker', 'boto3', 'botocore', 'obstore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_sagemaker_does_not_take_is_refused(endpoint: Endpoint) -> None:
    from taxiway.errors import InputError

    for name in ("a" * 41, "double--hyphen", "ends-"):
        with pytest.raises(InputError, match="name"):
            endpoint.backend.observe(EndpointRef(name))
