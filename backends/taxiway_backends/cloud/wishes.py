"""What can be asked of a cloud's endpoint: its name, its Models, its settings, the options of its serving."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from taxiway.backends import EndpointSpec, ModelRef, Resources, Routing
from taxiway.errors import InputError, NotFoundError

LONGEST_NAME = 40
_NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*")


def check_name(name: str, place: str) -> None:
    """Refuse what cannot be an endpoint's name in a cloud."""
    if _NAME.fullmatch(name) is None or len(name) > LONGEST_NAME:
        raise InputError(
            f"{name!r} cannot be an endpoint's name on {place}.",
            hint=f"Use up to {LONGEST_NAME} lower-case letters, digits and single hyphens.",
        )


def check_workers(spec: EndpointSpec) -> None:
    """Refuse an endpoint without workers."""
    if spec.workers < 1:
        raise InputError("An endpoint needs at least one worker.", hint="Set workers to 1 or more.")


def check_routing(routing: Routing) -> None:
    """Refuse Models that have no files."""
    for model in filter(None, (routing.live, routing.shadow)):
        require_files(model)


def require_files(model: ModelRef) -> None:
    """Raise NotFoundError where a Model has no files."""
    if not (model.path / "model.json").is_file():
        raise NotFoundError(f"{model.tag} has no files in {model.path}.", hint="Package the model again.")


def refuse_unknown(given: Iterable[str], known: Iterable[str], place: str) -> None:
    """Refuse a setting that a cloud does not know, with the nearest that it does."""
    names = sorted(known)
    for key in given:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            meant = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
            raise InputError(f"{place} has no setting {key!r}.", hint=meant)


def whole_number(key: str, value: Any) -> int:
    """Read a setting that is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"The setting {key} cannot be {value!r}.", hint="Give a whole number.")
    return value


def text(key: str, value: Any) -> str:
    """Read a setting that is a text."""
    if not isinstance(value, str):
        raise InputError(f"The setting {key} cannot be {value!r}.", hint="Give a text.")
    return value


def serving_options(policies: Mapping[str, str]) -> str:
    """Write policies as ``TAXIWAY_SERVING_OPTIONS`` has them."""
    return shlex.join([word for pair in sorted(policies.items()) for word in ("--policy", "=".join(pair))])


def lacks_of_clouds(spec: EndpointSpec, place: str, who: str) -> list[str]:
    """Say what of a spec no cloud gives, because it decides that itself.

    Parameters
    ----------
    who
        How clients prove who they are instead of with a token of ours.
    """
    lacks = []
    if spec.device not in ("auto", "cpu", "gpu"):
        raise InputError(f"There is no device {spec.device!r}.", hint="Name auto, cpu or gpu.")
    if spec.limits != Resources():
        lacks.append("limits: choose another instance_type instead")
    if spec.uds or spec.tls or spec.host not in ("", "127.0.0.1", "localhost"):
        lacks.append(f"host, uds and tls: {place} decides where it listens")
    if spec.token_hash:
        lacks.append(f"a token: {who}")
    return lacks
