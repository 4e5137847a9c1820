"""CloudWatch as far as moto lacks it: percentiles, and alarms that sound by what they watch."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.emulators.sagemaker.site import Site

if TYPE_CHECKING:
    from moto.cloudwatch.models import Statistics

#: How far back an alarm looks here; CloudWatch itself goes by whole minutes.
LOOK_BACK = timedelta(seconds=2)


def count_percentiles() -> None:
    """Let moto answer ``ExtendedStatistics``."""
    from moto.cloudwatch.models import Statistics

    Statistics.extended_statistics = property(_percentiles)


def _percentiles(found: Statistics) -> dict[str, float]:
    values = sorted(found.metric_single_values_list)
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {f"p{percent}": cuts[percent - 1] for percent in (50, 90, 95, 99)}


def sounding(site: Site, region: str, names: list[str]) -> list[str]:
    """Look at what alarms watch, and name those that sound; one that sounds goes on."""
    cloudwatch = site.client("cloudwatch", region)
    found = []
    for alarm in cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] if names else ():
        name = alarm["AlarmName"]
        if alarm["StateValue"] != "ALARM":
            value = _value(cloudwatch, alarm)
            if value <= alarm["Threshold"]:
                continue
            said = f"{value:g} is more than {alarm['Threshold']:g}"
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=said)
        found.append(name)
    return found


def _value(cloudwatch: Any, alarm: dict[str, Any]) -> float:
    """What an alarm compares; nothing happened is 0, which breaches no bound (``notBreaching``)."""
    if "MetricName" in alarm:
        return _measured(cloudwatch, alarm, alarm.get("ExtendedStatistic") or alarm["Statistic"])
    values: dict[str, Any] = {"IF": lambda holds, one, other: one if holds else other}
    expression = "0"
    for one in alarm["Metrics"]:
        if stat := one.get("MetricStat"):
            values[one["Id"]] = _measured(cloudwatch, stat["Metric"], stat["Stat"])
        else:
            expression = one["Expression"]
    try:
        return float(eval(expression, {"__builtins__": {}}, values))
    except ZeroDivisionError:
        return 0.0


def _measured(cloudwatch: Any, metric: dict[str, Any], statistic: str) -> float:
    now = datetime.now(UTC)
    extended = statistic.startswith("p")
    points = cloudwatch.get_metric_statistics(
        Namespace=metric["Namespace"],
        MetricName=metric["MetricName"],
        Dimensions=metric.get("Dimensions", []),
        StartTime=now - LOOK_BACK,
        EndTime=now + timedelta(seconds=1),
        Period=60,
        **{"ExtendedStatistics" if extended else "Statistics": [statistic]},
    )["Datapoints"]
    found = [(point["ExtendedStatistics"] if extended else point)[statistic] for point in points]
    return float(max(found, default=0.0))
