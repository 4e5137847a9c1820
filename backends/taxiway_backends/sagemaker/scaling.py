"""What stands beside an endpoint: autoscaling, and the alarms behind which it is updated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from taxiway_backends.sagemaker.design import VARIANT, Design, native_name
from taxiway_backends.sagemaker.refusals import AwsError, is_missing, told
from taxiway_backends.sagemaker.session import Session

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_NAMESPACE = "AWS/SageMaker"
_LONGEST_BAKE = 3600
_LONGEST_UPDATE = 28800
_LEAST_REQUESTS = 20
#: Alarms behind which an update is made, and the one that wakes an endpoint without instances.
_OF_BAKES = ("errors", "latency")
_ASLEEP = ("waiting",)


def scale(session: Session, design: Design) -> None:
    """Register or deregister autoscaling, as the design says; again and again is the same."""
    client = session.client("application-autoscaling")
    resource = f"endpoint/{native_name(design.endpoint)}/variant/{VARIANT}"
    given = {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": _DIMENSION}
    if design.autoscale is None:
        unscale(session, design.endpoint)
        return
    least, most = design.autoscale
    with told("set up autoscaling"):
        client.register_scalable_target(**given, MinCapacity=least, MaxCapacity=most)
        client.put_scaling_policy(
            **given,
            PolicyName=f"{native_name(design.endpoint)}-invocations",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=_target(design),
        )
        if least == 0:
            _wake(session, design, client, given)
        else:
            remove_alarms(session, design.endpoint, _ASLEEP)


def _wake(session: Session, design: Design, client: Any, given: dict[str, Any]) -> None:
    """Have a first instance as soon as anything waits: the target alone wants more than five requests to.

    After SageMaker's documentation, "Autoscale an asynchronous endpoint", on scaling up from zero.
    """
    step = {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
    policy = client.put_scaling_policy(
        **given,
        PolicyName=f"{native_name(design.endpoint)}-first",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Average",
            "Cooldown": 300,
            "StepAdjustments": [step],
        },
    )
    (name,) = alarm_names(design.endpoint, _ASLEEP)
    session.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        AlarmDescription=f"Taxiway: starts an instance of {native_name(design.endpoint)}.",
        AlarmActions=[policy["PolicyARN"]],
        Namespace=_NAMESPACE,
        MetricName="HasBacklogWithoutCapacity",
        Dimensions=_dimensions(design.endpoint)[:1],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


def _target(design: Design) -> dict[str, Any]:
    if design.mode != "async":
        metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        return {
            "TargetValue": float(design.invocations_per_instance),
            "PredefinedMetricSpecification": metric,
        }
    backlog = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": _NAMESPACE,
        "Dimensions": [{"Name": "EndpointName", "Value": native_name(design.endpoint)}],
        "Statistic": "Average",
    }
    return {"TargetValue": 5.0, "CustomizedMetricSpecification": backlog}


def unscale(session: Session, endpoint: str) -> None:
    """Take autoscaling away, where there is any; its policies go with it."""
    client = session.client("application-autoscaling")
    resource = f"endpoint/{native_name(endpoint)}/variant/{VARIANT}"
    with told("take autoscaling away"):
        found = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
        if not found["ScalableTargets"]:
            return
        remove_alarms(session, endpoint, _ASLEEP)
        try:
            client.deregister_scalable_target(
                ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=_DIMENSION
            )
        except Exception as error:
            if not is_missing(error):
                raise


def alarm_names(endpoint: str, kinds: tuple[str, ...] = _OF_BAKES) -> list[str]:
    """Name alarms of an endpoint."""
    return [f"{native_name(endpoint)}-{kind}" for kind in kinds]


def set_alarms(session: Session, design: Design) -> list[str]:
    """Make the alarms that a bake asks for; give the names of those that an update can watch.

    The bound on latency needs the latency that there is: without traffic in the last hours there is no alarm.
    """
    if design.bake is None:
        return []
    errors, latency = alarm_names(design.endpoint)
    client = session.client("cloudwatch")
    common = {
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmDescription": f"Taxiway: sends an update of {native_name(design.endpoint)} back.",
    }
    share = [
        _metric("failed", "Invocation5XXErrors", design.endpoint, "Sum"),
        _metric("all", "Invocations", design.endpoint, "Sum"),
        {
            "Id": "share",
            "Expression": f"IF(all >= {_LEAST_REQUESTS}, failed / all, 0)",
            "Label": "share of failed requests",
            "ReturnData": True,
        },
    ]
    with told("set the alarms"):
        client.put_metric_alarm(AlarmName=errors, Metrics=share, Threshold=design.bake.error_rate, **common)
        usual = _usual_latency(client, design.endpoint)
        if usual is None:
            return [errors]
        client.put_metric_alarm(
            AlarmName=latency,
            Namespace=_NAMESPACE,
            MetricName="ModelLatency",
            Dimensions=_dimensions(design.endpoint),
            ExtendedStatistic="p95",
            Period=60,
            Threshold=usual * design.bake.latency_factor,
            **common,
        )
    return [errors, latency]


def remove_alarms(session: Session, endpoint: str, kinds: tuple[str, ...] = _OF_BAKES) -> None:
    """Delete alarms of ours, where there are any."""
    client = session.client("cloudwatch")
    with told("delete the alarms"):
        found = client.describe_alarms(AlarmNames=alarm_names(endpoint, kinds))["MetricAlarms"]
        if found:
            client.delete_alarms(AlarmNames=[alarm["AlarmName"] for alarm in found])


def deployment(design: Design, alarms: list[str]) -> dict[str, Any] | None:
    """Say how an update goes: a new fleet beside the old one, sent back when an alarm sounds."""
    if design.mode != "realtime" or not (design.bake or design.canary):
        return None
    seconds = int(min(design.bake.seconds if design.bake else 300, _LONGEST_BAKE))
    routing: dict[str, Any] = {
        "Type": "ALL_AT_ONCE",
        "WaitIntervalInSeconds": seconds if design.canary else 0,
    }
    if design.canary:
        routing |= {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": design.canary}}
    policy = {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": seconds,  # while the old fleet is there, an alarm brings it back
        "MaximumExecutionTimeoutInSeconds": _LONGEST_UPDATE,
    }
    back = (
        {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    )
    return {"BlueGreenUpdatePolicy": policy, **back}


def measure(session: Session, endpoint: str, *, minutes: int = 60) -> dict[str, float]:
    """Read the endpoint's own figures of the last minutes from CloudWatch.

    Returns
    -------
    dict
        ``invocations``, ``errors_4xx``, ``errors_5xx`` (counts), ``latency_ms`` (mean of the container),
        ``overhead_ms`` (mean of what SageMaker adds); those without data are left out.
    """
    wanted = {
        "invocations": ("Invocations", "Sum", 1.0),
        "errors_4xx": ("Invocation4XXErrors", "Sum", 1.0),
        "errors_5xx": ("Invocation5XXErrors", "Sum", 1.0),
        "latency_ms": ("ModelLatency", "Average", 1e-3),  # it is given in microseconds
        "overhead_ms": ("OverheadLatency", "Average", 1e-3),
    }
    queries = [
        _metric(name, metric, endpoint, statistic, minutes * 60) | {"ReturnData": True}
        for name, (metric, statistic, _) in wanted.items()
    ]
    now = datetime.now(UTC)
    with told("read the endpoint's metrics"):
        found = session.client("cloudwatch").get_metric_data(
            MetricDataQueries=queries, StartTime=now - timedelta(minutes=minutes), EndTime=now
        )
    values = {entry["Id"]: entry["Values"] for entry in found["MetricDataResults"] if entry["Values"]}
    return {
        name: (sum(values[name]) if statistic == "Sum" else sum(values[name]) / len(values[name])) * factor
        for name, (_, statistic, factor) in wanted.items()
        if name in values
    }


def _usual_latency(client: Any, endpoint: str) -> float | None:
    """Give the 95th percentile of the last three hours, in microseconds."""
    now = datetime.now(UTC)
    try:
        found = client.get_metric_statistics(
            Namespace=_NAMESPACE,
            MetricName="ModelLatency",
            Dimensions=_dimensions(endpoint),
            StartTime=now - timedelta(hours=3),
            EndTime=now,
            Period=10800,
            ExtendedStatistics=["p95"],
        )["Datapoints"]
    except AwsError:
        return None
    return max(
        (point["ExtendedStatistics"]["p95"] for point in found if "ExtendedStatistics" in point), default=None
    )


def _metric(name: str, metric: str, endpoint: str, statistic: str, period: int = 60) -> dict[str, Any]:
    stat = {
        "Metric": {"Namespace": _NAMESPACE, "MetricName": metric, "Dimensions": _dimensions(endpoint)},
        "Period": period,
        "Stat": statistic,
    }
    return {"Id": name, "MetricStat": stat, "ReturnData": False}


def _dimensions(endpoint: str) -> list[dict[str, str]]:
    return [
        {"Name": "EndpointName", "Value": native_name(endpoint)},
        {"Name": "VariantName", "Value": VARIANT},
    ]
