"""What a call may say: checked against the service's own published model, which boto3 carries."""

from __future__ import annotations

import functools
import re
from typing import Any

from tests.emulators.sagemaker.calls import invalid

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "float": (int, float),
    "double": (int, float),
    "list": list,
    "structure": dict,
    "map": dict,
}


@functools.cache
def _service() -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def check(operation: str, members: dict[str, Any]) -> None:
    """Refuse what the service's model refuses: what is missing, of another type, too long, not in an enum.

    Members that the model does not know are left out of account, as AWS does.

    Raises
    ------
    AwsError
        All that is wrong, in AWS's own words.
    """
    shape = _service().operation_model(operation).input_shape
    wrong = list(_wrong(members, shape, ""))
    if wrong:
        count = f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''} detected: "
        raise invalid(count + "; ".join(wrong))


def _wrong(value: Any, shape: Any, path: str) -> Any:
    expected = _TYPES.get(shape.type_name)
    if expected is not None and (
        not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean")
    ):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be a {shape.type_name}"
        return
    if shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                where = _down(path, name)
                yield f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _wrong(value[name], member, _down(path, name))
    elif shape.type_name == "list":
        for place, item in enumerate(value, 1):
            yield from _wrong(item, shape.member, f"{path}.{place}.member")
    elif shape.type_name == "map":
        for item in value.values():
            yield from _wrong(item, shape.value, f"{path}.value")
    yield from (
        f"Value '{value}' at '{path}' failed to satisfy constraint: {rule}" for rule in _rules(value, shape)
    )


def _rules(value: Any, shape: Any) -> Any:
    rules = shape.metadata
    if (choices := rules.get("enum")) and value not in choices:
        yield f"Member must satisfy enum value set: [{', '.join(choices[:12])}, …]"
    if (pattern := rules.get("pattern")) and re.fullmatch(_python(pattern), value) is None:
        yield f"Member must satisfy regular expression pattern: {pattern}"
    size = value if isinstance(value, int | float) else len(value)
    noun = "value" if isinstance(value, int | float) else "length"
    if (most := rules.get("max")) is not None and size > most:
        yield f"Member must have {noun} less than or equal to {most}"
    if (least := rules.get("min")) is not None and size < least:
        yield f"Member must have {noun} greater than or equal to {least}"


def _python(pattern: str) -> str:
    for java, own in (("\\p{L}", "\\w"), ("\\p{Z}", "\\s"), ("\\p{N}", "\\d"), ("\\p{M}", "\\w")):
        pattern = pattern.replace(java, own)
    return pattern


def _down(path: str, name: str) -> str:
    lower = name[0].lower() + name[1:]
    return f"{path}.{lower}" if path else lower
