"""An update brings the new fleet in by shares, and goes back by itself where an alarm sounds."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from taxiway.backends import Bake, Observation, Status
from tests.backends.sagemaker.conftest import Endpoint

CALLS = 25  # as many as an alarm on the share of failures wants, and a percentile


def _asked(endpoint: Endpoint, seen: Observation, count: int = CALLS) -> list[str]:
    return [endpoint.ask(seen) for _ in range(count)]


def test_a_canary_gives_the_new_fleet_its_share_and_then_all(endpoint: Endpoint) -> None:
    settings = {"canary": 30}
    bake = Bake(seconds=60.0)
    seen = endpoint.start(bake=bake, settings=settings)
    endpoint.account.stuck("Baking")
    endpoint.backend.apply(endpoint.spec(1, bake=bake, settings=settings), token="next")
    old, new = endpoint.models[0].tag, endpoint.models[1].tag
    deadline = time.monotonic() + endpoint.seconds
    while new not in _asked(endpoint, seen, 5):
        assert time.monotonic() < deadline
    assert endpoint.backend.observe(endpoint.ref).live == old, "until all is moved, it is not live"
    share = _asked(endpoint, seen, 60).count(new) / 60
    assert 0.1 < share < 0.6, "30 per cent were to go to the new fleet"
    endpoint.account.release()
    endpoint.ready(1)
    assert set(_asked(endpoint, seen, 10)) == {new}
    deployment = endpoint.account.client("sagemaker").describe_endpoint(EndpointName="taxiway-iris")
    policy = deployment["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (policy["Type"], policy["CanarySize"]["Value"]) == ("CANARY", 30)


def test_a_new_model_that_is_slower_is_sent_back_by_the_alarm_on_latency(endpoint: Endpoint) -> None:
    bake = Bake(seconds=60.0, latency_factor=3.0)
    seen = endpoint.start(bake=bake)
    _asked(endpoint, seen)
    endpoint.account.flush()
    endpoint.account.stuck("Baking")
    endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="next")
    cloudwatch = endpoint.account.client("cloudwatch")
    alarms = {alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert set(alarms) == {"taxiway-iris-errors", "taxiway-iris-latency"}
    latency = alarms["taxiway-iris-latency"]
    assert latency["ExtendedStatistic"] == "p95"
    now = datetime.now(UTC)
    (seen_so_far,) = cloudwatch.get_metric_statistics(
        **{name: latency[name] for name in ("Namespace", "MetricName", "Dimensions")},
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=7200,
        Statistics=["Average", "Maximum"],
    )["Datapoints"]
    usual = latency["Threshold"] / bake.latency_factor
    assert seen_so_far["Average"] / 10 < usual <= seen_so_far["Maximum"]
    endpoint.account.slow(latency["Threshold"] * 2e-6)
    deadline = time.monotonic() + endpoint.seconds
    while endpoint.backend.observe(endpoint.ref).native != "InService":
        assert time.monotonic() < deadline
        endpoint.ask(seen)
    told = endpoint.until(lambda told: told.native == "InService")
    assert (told.status, told.live) == (Status.DEGRADED, endpoint.models[0].tag)
    assert "taxiway-iris-latency" in told.reason
