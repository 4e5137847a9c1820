"""JSON as browsers read it."""

from __future__ import annotations

import json
import math


def encode(body: object) -> str:
    """Return ``body`` as JSON; a float that JSON does not know (NaN, infinity) becomes ``null``."""
    try:
        return json.dumps(body, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(body), allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
