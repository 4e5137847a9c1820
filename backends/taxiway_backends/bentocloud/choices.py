"""What only BentoCloud knows of an endpoint: the keys of ``EndpointSpec.settings``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taxiway.errors import InputError
from taxiway_backends.cloud import wishes

PLACE = "BentoCloud"
STORE_VARIABLE = "TAXIWAY_STORE_URL"
_STORES = re.compile(r"(s3|gs|az|file)://.+")


@dataclass(frozen=True, slots=True)
class Choices:
    """The settings of one endpoint.

    Parameters
    ----------
    instance_type
        Such as ``cpu.1``, as ``plan`` lists them; the cheapest without a GPU if not given.
    min_replicas, max_replicas
        Between which BentoCloud scales by itself; as many as ``workers`` if not given. A least of 0 lets it
        stop while nobody asks, and start at the next request.
    scale_to_zero_after
        Seconds without a request after which the last replica stops; it sets ``min_replicas`` to 0.
    cold_start_seconds
        How long a request may wait for a replica to start; BentoCloud's default if not given.
    canary
        Per cent of the requests that a new live Model gets first, while the bake lasts; 0 moves all at once.
    cluster
        Instead of the organization's default; what is deployed cannot move to another.
    ship_to
        Where the prediction log goes: ``s3://bucket/prefix``; else the variable ``TAXIWAY_STORE_URL``.
    secrets
        Names of BentoCloud secrets that replicas get: the store's credentials.
    mirror_secret
        The name of a BentoCloud secret with ``TAXIWAY_MIRROR_TOKEN``, an API token with which the live
        Model's replicas may ask the shadow's; else one is made that holds your own token.
    """

    instance_type: str = ""
    min_replicas: int | None = None
    max_replicas: int | None = None
    scale_to_zero_after: int = 0
    cold_start_seconds: int = 0
    canary: int = 0
    cluster: str = ""
    ship_to: str = ""
    secrets: tuple[str, ...] = ()
    mirror_secret: str = ""

    def scale(self, workers: int) -> tuple[int, int]:
        """Give the least and the most replicas."""
        least = 0 if self.scale_to_zero_after else self.min_replicas
        least = workers if least is None else least
        return least, self.max_replicas or max(workers, least, 1)


def read(given: Mapping[str, Any]) -> Choices:
    """Read ``EndpointSpec.settings``.

    Raises
    ------
    InputError
        A key is not known, or its value cannot be.
    """
    values = wishes.read_settings(given, Choices, PLACE, {"secrets": _names})
    choices = Choices(**{"ship_to": os.environ.get(STORE_VARIABLE, ""), **values})
    _check(choices)
    return choices


def _check(choices: Choices) -> None:
    least, most = choices.min_replicas, choices.max_replicas
    for key, number, lowest in (
        ("min_replicas", least, 0),
        ("max_replicas", most, 1),
        ("scale_to_zero_after", choices.scale_to_zero_after, 0),
        ("cold_start_seconds", choices.cold_start_seconds, 0),
    ):
        if number is not None and number < lowest:
            raise InputError(f"{key} cannot be {number}.", hint=f"Give {lowest} or more.")
    if least is not None and most is not None and least > most:
        raise InputError(
            f"min_replicas is {least} and max_replicas {most}.", hint="Let the least be the smaller one."
        )
    if choices.scale_to_zero_after and least:
        raise InputError(
            f"With min_replicas {least} it never stops, and scale_to_zero_after has no meaning.",
            hint="Leave one of them out.",
        )
    if not 0 <= choices.canary < 100:
        raise InputError("canary must be from 0 to 99 per cent.", hint="10 is usual.")
    if choices.ship_to and _STORES.fullmatch(choices.ship_to) is None:
        raise InputError(
            f"The prediction log cannot be shipped to {choices.ship_to!r}.",
            hint="Give ship_to an address such as s3://bucket/prefix.",
        )


def _names(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and all(isinstance(one, str) and one for one in names):
        return tuple(names)
    raise InputError(f"The setting secrets cannot be {value!r}.", hint='Give names: ["aws"].')
