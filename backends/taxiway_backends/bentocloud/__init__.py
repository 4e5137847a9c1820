"""Endpoints on BentoCloud, in the user's own organization."""

from taxiway_backends.bentocloud.backend import BentoCloudBackend

__all__ = ["BentoCloudBackend"]
