"""The socket on which an endpoint listens."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from taxiway_backends.local.spec import Spec


def listen(spec: Spec) -> socket.socket:
    """Bind the endpoint's socket.

    Raises
    ------
    OSError
        Another listens there, or it is not allowed.
    """
    if spec.uds:
        return _private(spec.uds)
    family, kind, protocol, _, address = socket.getaddrinfo(spec.host, spec.port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    return listener


def resolve(host: str) -> list[str]:
    """Give the addresses that a host's name stands for; none if there are none."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(address[0]) for *_, address in found]


def free_port(host: str) -> int:
    """Give a port of this address that nobody listens on."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])


def _private(path: str) -> socket.socket:
    """Bind a Unix socket for its owner only; one that nobody listens on any more is replaced."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError(errno.EADDRINUSE, "another process listens on it")
    if Path(path).is_socket():
        Path(path).unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    Path(path).chmod(0o600)
    return listener
