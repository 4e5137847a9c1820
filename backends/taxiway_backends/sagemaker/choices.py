"""What only SageMaker knows of an endpoint: the keys of ``EndpointSpec.settings``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taxiway.errors import InputError
from taxiway_backends.cloud import wishes

PLACE = "SageMaker"
MODES = ("realtime", "serverless", "async")
SHADOWS = ("mirror", "native")
#: SageMaker's instances with a GPU that serve ONNX models.
_GPU = ("ml.g", "ml.p")
CPU_DEFAULT = "ml.m5.large"
GPU_DEFAULT = "ml.g5.xlarge"
SERVERLESS_MB = range(1024, 6145, 1024)


@dataclass(frozen=True, slots=True)
class Choices:
    """The settings of one endpoint.

    Parameters
    ----------
    mode
        ``realtime``; ``serverless``: nothing is billed while nobody asks; ``async``: bodies up to
        1 GB, answered through S3.
    instance_type
        Such as ``ml.m5.large``; not with ``serverless``.
    memory_mb, max_concurrency
        Of a serverless endpoint: 1024 to 6144 in steps of 1024; how many requests it answers at once.
    autoscale
        The least and the most instances; ``async`` may go down to 0.
    invocations_per_instance
        What autoscaling aims at: requests a minute and instance.
    shadow
        ``mirror``: in the live Model's container, compared row by row; ``native``: SageMaker's own
        shadow variant, a second fleet.
    canary
        Per cent of the traffic that a new fleet gets first, while the bake lasts; 0 moves all at once.
    role
        The ARN or name of the execution role.
    region
        Instead of the one of the environment.
    bucket
        Where Models and the prediction log lie; SageMaker's default bucket if not given.
    image
        The URI of an image that was built elsewhere; else one is built and pushed.
    machine
        SageMaker's ``InferenceAmiVersion`` of instances with a GPU, which decides on their driver; the one
        that fits the image if not given.
    startup_seconds
        How long a container may take until it answers, from 60 to 3600.
    """

    mode: str = "realtime"
    instance_type: str = ""
    memory_mb: int = 2048
    max_concurrency: int = 5
    autoscale: tuple[int, int] | None = None
    invocations_per_instance: int = 600
    shadow: str = "mirror"
    canary: int = 0
    role: str = ""
    region: str = ""
    bucket: str = ""
    image: str = ""
    machine: str = ""
    startup_seconds: int = 600


def read(given: Mapping[str, Any]) -> Choices:
    """Read ``EndpointSpec.settings``.

    Raises
    ------
    InputError
        A key is not known, or its value cannot be.
    """
    choices = Choices(**wishes.read_settings(given, Choices, PLACE, {"autoscale": _range}))
    _check(choices)
    return choices


def _check(choices: Choices) -> None:
    for key, value, allowed in (("mode", choices.mode, MODES), ("shadow", choices.shadow, SHADOWS)):
        if value not in allowed:
            raise InputError(
                f"The setting {key} cannot be {value!r}.", hint=f"Use one of {', '.join(allowed)}."
            )
    if choices.memory_mb not in SERVERLESS_MB:
        raise InputError(
            f"A serverless endpoint cannot have {choices.memory_mb} MB.",
            hint="Give 1024, 2048, 3072, 4096, 5120 or 6144.",
        )
    if not 1 <= choices.max_concurrency <= 200:
        raise InputError("max_concurrency must be from 1 to 200.", hint="5 is usual.")
    if not 60 <= choices.startup_seconds <= 3600:
        raise InputError("startup_seconds must be from 60 to 3600.", hint="600 is usual.")
    if not 0 <= choices.canary < 100:
        raise InputError("canary must be from 0 to 99 per cent.", hint="10 is usual.")
    if choices.invocations_per_instance < 1:
        raise InputError("invocations_per_instance must be 1 or more.", hint="600 is ten a second.")
    kind = choices.instance_type
    if kind and (not kind.startswith("ml.") or kind.count(".") != 2):
        raise InputError(f"{kind!r} is not an instance type.", hint=f"Name one such as {CPU_DEFAULT}.")
    if choices.mode == "serverless":
        wrong = [key for key in ("instance_type", "autoscale", "canary") if getattr(choices, key)]
        if wrong:
            raise InputError(
                f"A serverless endpoint has no {wrong[0]}.", hint="Leave it out: SageMaker scales by itself."
            )
    if choices.autoscale and choices.autoscale[0] == 0 and choices.mode != "async":
        raise InputError(
            "Only an async endpoint can scale down to no instance.",
            hint="Set autoscale to [1, …], or the mode.",
        )


def is_gpu(instance_type: str) -> bool:
    """Tell whether an instance type has a GPU."""
    return instance_type.startswith(_GPU)


def _range(value: Any) -> tuple[int, int] | None:
    if value in (None, 0, []):
        return None
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(one) is int for one in value):
        least, most = value
        if 0 <= least <= most and most >= 1:
            return least, most
    raise InputError(
        f"The setting autoscale cannot be {value!r}.", hint="Give the least and the most: [1, 4]."
    )
