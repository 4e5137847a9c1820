"""The container image of a Model's environment: locked, built, tried and pushed. See ``build``."""

from taxiway_backends.sagemaker.image.building import LocalImage, build
from taxiway_backends.sagemaker.image.context import context, cuda, lock_digest
from taxiway_backends.sagemaker.image.registry import Pushed, Registry, push
from taxiway_backends.sagemaker.image.trying import Tried, try_out

__all__ = [
    "LocalImage",
    "Pushed",
    "Registry",
    "Tried",
    "build",
    "context",
    "cuda",
    "lock_digest",
    "push",
    "try_out",
]
