"""What an endpoint costs: a small table of published prices, for an estimate before anything is started.

AWS has no price in its SageMaker API. These are on-demand prices of hosting in us-east-1, written down in
the month of ``DATE`` and not checked against AWS's own list since; sources disagree by a sixth. Other
regions cost up to half as much again, and taxes, traffic and S3 are extra.
"""

from __future__ import annotations

DATE = "2026-11"
REGION = "us-east-1"
HOURS_A_MONTH = 730
#: US dollars an hour and instance.
HOURLY = {
    "ml.t2.medium": 0.056,
    "ml.t2.large": 0.111,
    "ml.t3.medium": 0.05,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.269,
    "ml.m5.2xlarge": 0.538,
    "ml.m5.4xlarge": 1.075,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.g4dn.xlarge": 0.736,
    "ml.g5.xlarge": 1.41,
    "ml.g5.2xlarge": 1.515,
}
#: Serverless: US dollars for each second of work and GB of memory.
SERVERLESS_GB_SECOND = 0.00002


def hourly(instance_type: str) -> float | None:
    """Give the price of one instance in US dollars an hour; None where the table does not know it."""
    return HOURLY.get(instance_type)


def say(instance_type: str, instances: int, fleets: int) -> str:
    """Say in a sentence what so many instances cost.

    Parameters
    ----------
    instances
        Of one fleet.
    fleets
        Two with a native shadow variant, which is a fleet of its own.
    """
    count = instances * fleets
    each = hourly(instance_type)
    many = f"{count} × {instance_type}"
    if each is None:
        return f"{many}: its price is not in the table of {DATE}; it bills by the hour until it is deleted."
    cost = each * count
    shadow = ", live and shadow fleet together" if fleets > 1 else ""
    return (
        f"{many}{shadow}: about ${cost:.2f} an hour, ${cost * HOURS_A_MONTH:,.0f} a month "
        f"({REGION}, {DATE}, an estimate); it bills until it is deleted."
    )


def say_serverless(memory_mb: int) -> str:
    """Say in a sentence what a serverless endpoint costs."""
    second = SERVERLESS_GB_SECOND * memory_mb / 1024
    return (
        f"Serverless with {memory_mb} MB: nothing while nobody asks, about ${second:.5f} for each second of "
        f"work ({REGION}, {DATE}, an estimate)."
    )
