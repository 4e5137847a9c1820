"""Load a Model by name, and say so if it was made in another environment."""

from __future__ import annotations

import logging

from taxiway.packaging import registry
from taxiway.packaging.model import Model

_log = logging.getLogger(__name__)


def load(tag: str) -> Model:
    """Load a Model by ``name`` (its newest version), ``name:latest`` or ``name:version``.

    One warning is logged if this process differs from where the Model was made by more than details;
    ``model.check_environment()`` tells all differences by name.

    Raises
    ------
    NotFoundError
        There is no such Model.
    CorruptionError
        A file of it is not what was packaged.
    """
    model = registry.load(tag)
    found = model.check_environment()
    if found.verdict == "differs":
        _log.warning("%s was made in another environment than this one; it %s", model.tag, found.sentence())
    return model
