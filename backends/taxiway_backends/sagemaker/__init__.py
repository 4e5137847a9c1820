"""Endpoints on Amazon SageMaker, in the user's own account."""

from taxiway_backends.sagemaker.backend import SageMakerBackend

__all__ = ["SageMakerBackend"]
