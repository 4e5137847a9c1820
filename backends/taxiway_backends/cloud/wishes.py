"""What can be asked of a cloud's endpoint: its name, its Models, its settings, the options of its serving."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from taxiway.backends import EndpointSpec, ModelRef, Resources, Routing
from taxiway.errors import InputError, NotFoundError, UnsupportedError

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


def read_settings(
    given: Mapping[str, Any], kind: type, place: str, own: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """Read settings as the fields of a dataclass, each by its default: a text or a whole number.

    Parameters
    ----------
    own
        What reads a setting that is neither.

    Raises
    ------
    InputError
        A key is not known, or its value cannot be.
    """
    defaults = {field.name: field.default for field in fields(kind)}
    _refuse_unknown(given, defaults, place)
    values = {}
    for key, value in given.items():
        if key in own:
            values[key] = own[key](value)
        else:
            values[key] = (_text if isinstance(defaults[key], str) else _whole_number)(key, value)
    return values


def _refuse_unknown(given: Iterable[str], known: Iterable[str], place: str) -> None:
    """Refuse a setting that a cloud does not know, with the nearest that it does."""
    names = sorted(known)
    for key in given:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            meant = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
            raise InputError(f"{place} has no setting {key!r}.", hint=meant)


def _whole_number(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"The setting {key} cannot be {value!r}.", hint="Give a whole number.")
    return value


def _text(key: str, value: Any) -> str:
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


def refuse_lacks(lacks: Sequence[str], place: str) -> None:
    """Refuse what a cloud cannot give."""
    if lacks:
        raise UnsupportedError(
            f"{place} cannot do this: {lacks[0]}.", hint="Leave it out, or deploy elsewhere."
        )


def differences(before: Any, after: Any, but: Collection[str]) -> list[str]:
    """Say in which fields two designs of one cloud differ, one sentence a field.

    Parameters
    ----------
    but
        Fields that are left out.
    """
    changes = []
    for one in fields(after):
        old, new = getattr(before, one.name), getattr(after, one.name)
        if one.name not in but and old != new:
            changes.append(f"{one.name}: {_brief(old)} → {_brief(new)}")
    return changes


def _brief(value: Any) -> str:
    return "none" if value in (None, "", {}, ()) else str(value)
