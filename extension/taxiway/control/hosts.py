"""Hosts that nothing should be sent to: those where clouds give their credentials to whoever asks."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from urllib.parse import SplitResult

from taxiway.errors import InputError

#: Beside every link-local address, which AWS, Azure, Google and others use: AWS over IPv6, Alibaba, Azure's
#: WireServer, Oracle.
_OF_CLOUDS = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"})
#: Schemes whose host is one; of Apprise's others it may be a token, which no name server should be told.
_WITH_HOST = frozenset(
    {"http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"}
)


def insist_open_host(host: str) -> None:
    """Ask that a host, if it is an address however written, be none where clouds keep credentials.

    Raises
    ------
    InputError
        It is one.
    """
    found = _address(host.rstrip(".").partition("%")[0])
    if found is not None and (found.is_link_local or str(found) in _OF_CLOUDS):
        raise InputError(
            f"{host[:100]} is a link-local address or a like one, where clouds keep credentials.",
            hint="Name another host.",
        )


def insist_open(parts: SplitResult) -> None:
    """Ask the same of every address that an address's host has now.

    Raises
    ------
    InputError
        It has one.
    """
    if parts.scheme.lower() not in _WITH_HOST or not parts.hostname:
        return
    with suppress(OSError, UnicodeError):  # whoever connects says that the name is not known
        for *_, address in socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM):
            insist_open_host(str(address[0]))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))  # 2852039166, 0xa9fea9fe, 169.254.43518
        except (OSError, UnicodeError):
            return None
    return getattr(found, "ipv4_mapped", None) or found
