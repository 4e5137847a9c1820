"""The random seeds in force: what the generators' seeds and states are, without changing them."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from typing import Any

from taxiway.packaging import digest
from taxiway.packaging.environment import hash_seed


def in_force(estimator: Mapping[str, int | str | None], model: Any = None) -> dict[str, Any]:
    """Give the seeds and the digests of the states of all generators that can be found.

    Parameters
    ----------
    estimator
        Step and parameter → its random state; None is one that no seed fixes.
    model
        The model itself: NumPy generators among its parameters are described too.

    Returns
    -------
    dict
        ``random`` and ``numpy``: digests of the global generators' states. ``generators``: variable of the
        notebook, or parameter of the model → ``{"seed", "state"}``. ``torch``, ``keras`` and ``tensorflow``:
        their global seeds, where they are imported and tell. ``PYTHONHASHSEED`` and ``estimator``.
    """
    found: dict[str, Any] = {
        "random": digest.of_bytes(repr(random.getstate()).encode())[:12],
        "numpy": _numpy(),
        "generators": {**_generators(_notebook(), ""), **_generators(_parameters(model), "model.")},
        "torch": _torch(),
        "keras": _keras(),
        "tensorflow": tensorflow(),
    }
    kept = {name: value for name, value in found.items() if value not in (None, {})}
    return {**kept, "PYTHONHASHSEED": hash_seed(), "estimator": dict(estimator)}


def of_generator(value: Any) -> dict[str, str | None] | None:
    """Give a NumPy generator's seed, where it has one, and its state's digest; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.random.Generator, numpy.random.RandomState)):
        return None
    generator = getattr(value, "bit_generator", None) or value._bit_generator
    entropy = getattr(getattr(generator, "seed_seq", None), "entropy", None)
    state = json.dumps(generator.state, sort_keys=True, default=lambda array: array.tolist())
    return {
        "seed": None if entropy is None else str(entropy),
        "state": digest.of_bytes(state.encode())[:12],
    }


def _generators(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    described = {f"{prefix}{name}": of_generator(value) for name, value in values.items()}
    return {name: value for name, value in sorted(described.items()) if value is not None}


def _notebook() -> dict[str, Any]:
    """Give the variables of the notebook or script; those that IPython keeps begin with an underscore."""
    variables = vars(sys.modules["__main__"]).copy()
    return {name: value for name, value in variables.items() if not name.startswith("_")}


def _parameters(model: Any) -> Mapping[str, Any]:
    get_params = getattr(model, "get_params", None)
    if get_params is None or isinstance(model, type):
        return {}
    try:
        found = get_params(deep=True)
    except Exception:  # noqa: BLE001 - a model's own code; what it does not tell is not recorded
        return {}
    return found if isinstance(found, Mapping) else {}


def _numpy() -> str | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    state = numpy.random.get_state(legacy=False)
    inner = state["state"]
    position = repr((inner.get("pos"), state["has_gauss"], state["gauss"])).encode()
    return digest.of_bytes(inner["key"].tobytes() + position)[:12]


def _torch() -> dict[str, int] | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "initial_seed"):
        return None
    found = {"cpu": int(torch.initial_seed())}
    if torch.cuda.is_initialized():  # asking would start CUDA
        found["cuda"] = int(torch.cuda.initial_seed())
    return found


def _keras() -> int | None:
    """Give what ``keras.utils.set_random_seed`` was called with; Keras tells it under no public name."""
    module = sys.modules.get("keras.src.utils.rng_utils")
    seed = getattr(module, "get_random_seed", lambda: None)()
    return seed if isinstance(seed, int) else None


def tensorflow() -> int | None:
    """Give what ``tf.random.set_seed`` was called with; the public getter would count itself as a use."""
    module = sys.modules.get("tensorflow.python.eager.context")
    seed = getattr(module, "global_seed", lambda: None)()
    return seed if isinstance(seed, int) else None
