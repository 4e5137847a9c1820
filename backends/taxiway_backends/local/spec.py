"""What should run of one endpoint, as its folder's ``spec.json`` says it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from taxiway.backends import Bake, Resources

Wanted = Literal["running", "stopped", "destroyed"]
UNLIMITED = Resources()


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A Model as the spec names it."""

    name: str
    version: str
    path: str

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class Spec:
    """What should run.

    Attributes
    ----------
    limits, device, bake, token_hash
        As in ``EndpointSpec``.
    certificate, key
        The files to serve HTTPS with; empty for HTTP.
    uds
        The Unix socket to listen on, instead of ``host`` and ``port``; empty for none.
    revision
        Grows with every change; the status names the one that it answers to.
    token
        Under which the last change was asked for.
    """

    live: ModelEntry
    shadow: ModelEntry | None = None
    workers: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    policies: dict[str, str] = field(default_factory=dict)
    drain_seconds: float = 30.0
    limits: Resources = UNLIMITED
    device: str = "auto"
    bake: Bake | None = None
    token_hash: str = ""
    certificate: str = ""
    key: str = ""
    uds: str = ""
    wanted: Wanted = "running"
    revision: int = 0
    token: str = ""

    @property
    def url(self) -> str:
        """Where clients find the endpoint."""
        if self.uds:
            return f"unix://{self.uds}"
        host = socket.gethostname() if is_anywhere(self.host) else self.host
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Spec:
        """Read what ``asdict`` gave."""
        shadow, bake = data["shadow"], data.get("bake")
        return cls(
            **{
                **data,
                "live": ModelEntry(**data["live"]),
                "shadow": None if shadow is None else ModelEntry(**shadow),
                "limits": Resources(**data.get("limits", {})),
                "bake": None if bake is None else Bake(**bake),
            }
        )


@lru_cache(maxsize=64)
def is_anywhere(host: str) -> bool:
    """Tell whether a host stands for every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
