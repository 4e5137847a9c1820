"""What a request's data has that the signature does not expect."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

import orjson

Kind = Literal["extra", "missing", "retyped", "null", "new_category", "out_of_range"]
Action = Literal["ignore", "warn", "reject"]

DEFAULT_POLICIES: Final[dict[str, str]] = {
    "missing": "reject",
    "retyped": "reject",
    "null": "reject",
    "extra": "warn",
    "new_category": "warn",
    "out_of_range": "warn",
}
ACTIONS: Final = ("ignore", "warn", "reject")

REDACTED = "(redacted)"
MAX_EXAMPLE_LENGTH = 100
MAX_NAME_LENGTH = 200

_TYPE_NAMES: Final[dict[type, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}


class Finding(TypedDict):
    """One kind of deviation in one column of one request.

    ``row`` is the first such row (None where the whole column is concerned) and ``count`` their number.
    """

    kind: Kind
    column: str
    row: int | None
    count: int
    expected: str
    found: str
    example: Any


def finding(
    kind: Kind, column: str, *, row: int | None, count: int, expected: str, found: str, example: Any
) -> Finding:
    """Make a finding whose name and example cannot be long, whatever a client sent."""
    return Finding(
        kind=kind,
        column=column[:MAX_NAME_LENGTH],
        row=row,
        count=count,
        expected=expected,
        found=found,
        example=shorten(example),
    )


def redact(one: Finding) -> Finding:
    """Take the value out of a finding in a column that is marked sensitive."""
    shows_value = one["kind"] in ("new_category", "out_of_range")
    return {**one, "example": None, "found": REDACTED if shows_value else one["found"]}


def shorten(value: Any) -> Any:
    """Give a value that is short when written; nested ones become their JSON text."""
    if isinstance(value, dict | list):
        try:
            value = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode(errors="replace")
        except orjson.JSONEncodeError:
            return "(nested too deep to be shown)"
    if isinstance(value, str) and len(value) > MAX_EXAMPLE_LENGTH:
        return value[: MAX_EXAMPLE_LENGTH - 1] + "…"
    return value


def type_name(value: Any) -> str:
    """Name a JSON value's type in words that a client knows."""
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def complete_policies(policies: dict[str, str] | None) -> dict[str, str]:
    """Fill in the default action of every kind that is not named.

    Raises
    ------
    ValueError
        A kind or an action that there is not.
    """
    given = policies or {}
    for kind, action in given.items():
        if kind not in DEFAULT_POLICIES or action not in ACTIONS:
            raise ValueError(f"there is no policy {kind}={action}")
    return DEFAULT_POLICIES | given


def describe(one: Finding) -> str:
    """Say a finding in one sentence."""
    where = "" if one["row"] is None else f" in row {one['row']}"
    times = f" ({one['count']} rows)" if one["count"] > 1 else ""
    if one["kind"] == "missing":
        return f"Column {one['column']!r} is missing{where}{times}; {one['expected']} is expected."
    if one["kind"] == "extra":
        return f"Column {one['column']!r} is not in the signature{times}."
    return f"Column {one['column']!r}{where}{times}: expected {one['expected']}, found {one['found']}."
