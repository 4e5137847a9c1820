"""Whether BentoCloud can be used from here: each thing that is missing is a sentence with its remedy."""

from __future__ import annotations

from collections.abc import Callable

from taxiway.backends import Diagnosis
from taxiway.errors import TaxiwayError
from taxiway_backends.bentocloud.account import Account, InstanceType
from taxiway_backends.bentocloud.choices import Choices
from taxiway_backends.bentocloud.refusals import CloudError


def check(account: Callable[[], Account], chosen: Choices) -> Diagnosis:
    """Look at all that a deploy needs, and change nothing.

    Parameters
    ----------
    account
        Gives it, or says why there is none.
    chosen
        The endpoint's settings: its instance type is looked at.
    """
    facts: dict[str, str] = {}
    try:
        mine = account()
        facts["endpoint"] = mine.credentials.endpoint
        facts["user"], facts["organization"] = mine.identity()
        types = mine.instance_types(chosen.cluster)
        facts["instance types"] = ", ".join(one.name for one in types)
        pick_type(types, chosen.instance_type)
    except TaxiwayError as error:
        return Diagnosis(False, ((error.message, error.hint),), facts)
    facts["prediction log"] = chosen.ship_to or "goes nowhere, and is not monitored"
    return Diagnosis(True, (), facts)


def pick_type(types: list[InstanceType], wanted: str) -> InstanceType:
    """Give the instance type of that name; without one the cheapest that has no GPU.

    Raises
    ------
    CloudError
        There is none.
    """
    if wanted:
        found = [one for one in types if one.name == wanted]
    else:
        plain = [one for one in types if not one.has_gpu]
        found = sorted(plain, key=lambda one: (one.price is None, one.price or 0.0))
    if not found:
        names = ", ".join(one.name for one in types) or "none"
        raise CloudError(
            f"BentoCloud has no instance type {wanted!r} here."
            if wanted
            else "BentoCloud offers no instance type without a GPU here.",
            hint=f"There are: {names}.",
        )
    return found[0]
