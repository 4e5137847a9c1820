"""Endpoints on this machine: one small master process each, and its serving processes."""

from taxiway_backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
