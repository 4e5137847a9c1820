"""Where copies of requests go: the shadow's Unix socket, or an address that may be far away."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from urllib.parse import urlsplit

#: A name of a request that no proxy on the way writes anew, as some do with ``X-Request-Id``.
COPY_OF = b"x-taxiway-copy-of"
_REQUEST_ID = b"x-request-id"
_CONNECTIONS = 8


class Destination:
    """A shadow that can be connected to.

    Parameters
    ----------
    address
        The path of a Unix socket, or ``https://host/prefix``; ``http://`` too where no token is sent or the
        host is this machine.
    token
        What to send as a bearer token; never shown.

    Raises
    ------
    ValueError
        The address or the token cannot be used.

    Attributes
    ----------
    connections
        How many are open at once.
    pipeline
        Requests on one of them before the first answer: one alone where a proxy may be on the way.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self._address = address
        self._tls: ssl.SSLContext | None = None
        if "://" not in address:
            self.connections, self.pipeline = 1, 16
            self._names: tuple[bytes, ...] = (_REQUEST_ID,)
            self._host, self._head = "", _head("", "shadow", "")
            return
        self.connections, self.pipeline = _CONNECTIONS, 1
        self._names = (_REQUEST_ID, COPY_OF)
        # Not shown where it is refused: who writes a password into an address keeps it secret.
        try:
            url = urlsplit(address)
            host, port = (url.hostname or "").encode("idna").decode(), url.port
            self._head = _head(url.path.rstrip("/"), _with_port(host, port), token)
        except ValueError:
            raise ValueError("it, or its token, holds what no request can") from None
        if url.scheme not in ("http", "https") or not host:
            raise ValueError("it is neither https://… nor http://…")
        if "@" in url.netloc or url.query or url.fragment:
            raise ValueError("it may name a host, a port and a path, and nothing else")
        if url.scheme == "https":
            self._tls = ssl.create_default_context()
        elif token and not _is_here(host):
            raise ValueError("it is not https://…, and the token could be read on the way")
        self._host, self._port = host, port or (443 if self._tls else 80)

    def __str__(self) -> str:
        return self._address

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; a certificate that is not trusted, or another host's, is an OSError."""
        if not self._host:
            return await asyncio.open_unix_connection(self._address)
        return await asyncio.open_connection(self._host, self._port, ssl=self._tls)

    def write(self, request: bytes, more: bytes, body: bytes) -> bytes:
        """Write a request.

        Parameters
        ----------
        request
            Its id.
        more
            Further lines of its head.
        body
            JSON for ``/predict``.
        """
        names = b"".join([b"%b: %b\r\n" % (name, request) for name in self._names])
        return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (self._head, names, more, len(body), body)


def _head(prefix: str, host: str, token: str) -> bytes:
    """Give what every request's head begins with."""
    lines = [f"POST {prefix}/predict HTTP/1.1", f"host: {host}", "content-type: application/json"]
    if token:
        lines.append(f"authorization: Bearer {token}")
    if any(not sign.isprintable() for line in lines for sign in line) or " " in prefix + host:
        raise ValueError
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _with_port(host: str, port: int | None) -> str:
    named = f"[{host}]" if ":" in host else host
    return named if port is None else f"{named}:{port}"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
