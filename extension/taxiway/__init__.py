"""Taxiway: from a notebook cell to production, and right once there.

The public API, and nothing else. Every name is imported on first use, so that ``import taxiway``
costs nothing in a kernel, in a serving process or at Jupyter's start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxiway.control.api import deploy as deploy
    from taxiway.control.api import endpoint as endpoint
    from taxiway.control.api import endpoints as endpoints
    from taxiway.control.endpoint import Endpoint as Endpoint
    from taxiway.control.models import delete as delete
    from taxiway.control.models import import_model as import_model
    from taxiway.control.models import tag as tag
    from taxiway.control.models import untag as untag
    from taxiway.control.profiling import profile as profile
    from taxiway.errors import TaxiwayError as TaxiwayError
    from taxiway.packaging import package as package
    from taxiway.packaging.inference import signature_of as signature_of
    from taxiway.packaging.loading import load as load
    from taxiway.packaging.model import Model as Model
    from taxiway.packaging.registry import list_models as models

_HOMES = {
    "Endpoint": ("taxiway.control.endpoint", "Endpoint"),
    "Model": ("taxiway.packaging.model", "Model"),
    "TaxiwayError": ("taxiway.errors", "TaxiwayError"),
    "delete": ("taxiway.control.models", "delete"),
    "deploy": ("taxiway.control.api", "deploy"),
    "endpoint": ("taxiway.control.api", "endpoint"),
    "endpoints": ("taxiway.control.api", "endpoints"),
    "import_model": ("taxiway.control.models", "import_model"),
    "load": ("taxiway.packaging.loading", "load"),
    "models": ("taxiway.packaging.registry", "list_models"),
    "package": ("taxiway.packaging", "package"),
    "profile": ("taxiway.control.profiling", "profile"),
    "signature_of": ("taxiway.packaging.inference", "signature_of"),
    "tag": ("taxiway.control.models", "tag"),
    "untag": ("taxiway.control.models", "untag"),
}

__all__ = [
    "Endpoint",
    "Model",
    "TaxiwayError",
    "delete",
    "deploy",
    "endpoint",
    "endpoints",
    "import_model",
    "load",
    "models",
    "package",
    "profile",
    "signature_of",
    "tag",
    "untag",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("taxiway")
    if name not in _HOMES:
        raise AttributeError(f"module 'taxiway' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "taxiway"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from taxiway.lab.extension import TaxiwayExtension

    return [{"module": "taxiway.lab.extension", "app": TaxiwayExtension}]
