"""From an object in a notebook to an immutable Model: export, proof, checks, store, Bento."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxiway.packaging.packing import package as package

__all__ = ["package"]


def __getattr__(name: str) -> Any:
    if name != "package":
        raise AttributeError(f"module 'taxiway.packaging' has no attribute {name!r}")
    from taxiway.packaging.packing import package

    return package
