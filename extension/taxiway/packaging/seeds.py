"""The random seeds in force: what the generators' states are, without changing them."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

from taxiway.packaging import digest
from taxiway.packaging.environment import hash_seed


def in_force(estimator: Mapping[str, int | str | None]) -> dict[str, Any]:
    """Give the digests of the global generators' states, the hash seed, and the model's own seeds.

    Parameters
    ----------
    estimator
        Step and parameter → its random state; None is one that no seed fixes.
    """
    return {
        "random": digest.of_bytes(repr(random.getstate()).encode())[:12],
        "numpy": _numpy(),
        "PYTHONHASHSEED": hash_seed(),
        "estimator": dict(estimator),
    }


def _numpy() -> str | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    state = numpy.random.get_state(legacy=False)
    inner = state["state"]
    position = repr((inner.get("pos"), state["has_gauss"], state["gauss"])).encode()
    return digest.of_bytes(inner["key"].tobytes() + position)[:12]
