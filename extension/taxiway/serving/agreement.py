"""Whether an answer is the one that was expected: numbers within a tolerance, all else equal."""

from __future__ import annotations

import math
from typing import Any

import orjson

#: What rounding on another processor, or in a batch of another size, may do.
ABSOLUTE, RELATIVE = 1e-5, 1e-4


def agree(expected: Any, given: Any, absolute: float = ABSOLUTE, relative: float = RELATIVE) -> bool:
    """Compare two answers.

    Parameters
    ----------
    expected, given
        Numbers, texts or None. Missing is None or NaN. A text that is a JSON list (entities) is compared
        piece by piece, and its numbers like others.
    absolute, relative
        Numbers may be ``absolute + relative * |expected|`` apart.
    """
    if _missing(expected):
        return _missing(given)
    if _fraction(expected, given):
        return math.isclose(expected, given, rel_tol=0.0, abs_tol=absolute + relative * abs(expected))
    if expected == given:
        return True
    # what is in such a list is a probability, or must be equal
    return isinstance(expected, str) and apart(expected, given) <= absolute + relative


def apart(expected: str, given: Any) -> float:
    """Give the largest difference between the fractions in two JSON lists; infinity if more differs."""
    if not all(isinstance(text, str) and text.startswith("[") for text in (expected, given)):
        return 0.0 if expected == given else math.inf
    try:
        return _difference(orjson.loads(expected), orjson.loads(given))
    except orjson.JSONDecodeError:
        return 0.0 if expected == given else math.inf


def _difference(one: Any, other: Any) -> float:
    if type(one) is not type(other):
        return math.inf
    if isinstance(one, float):
        return abs(one - float(other))
    if isinstance(one, list) and len(one) == len(other):
        return max((_difference(*pair) for pair in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, dict) and one.keys() == other.keys():
        return max((_difference(value, other[name]) for name, value in one.items()), default=0.0)
    return 0.0 if one == other else math.inf


def _fraction(*values: Any) -> bool:
    """Whether all are numbers, and not all are whole ones by type."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and any(isinstance(value, float) for value in values)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
