"""What a user may ask of an endpoint beyond its Model: where it listens, what it may use, how it is watched.

The ledger holds them as JSON, and only what was given; what was not has its default.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from taxiway.backends import Bake, Resources, Tls
from taxiway.errors import InputError

Device = Literal["auto", "cpu", "gpu"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "gpu")
Detector = Literal["adwin", "page_hinkley"]
DETECTORS: tuple[Detector, ...] = ("adwin", "page_hinkley")
LOOPBACK = "127.0.0.1"
LONGEST_SOCKET = 100  # bytes of a Unix socket's path: 107 on Linux, 103 on macOS
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

Options = dict[str, Any]


def merge(
    before: Mapping[str, Any],
    *,
    host: str | None = None,
    uds: str | Path | None = None,
    cpus: float | None = None,
    memory: str | int | None = None,
    device: str | None = None,
    bake: Bake | float | None = None,
    tls_certificate: str | Path | None = None,
    tls_key: str | Path | None = None,
    group: str | None = None,
    detector: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Options:
    """Change an endpoint's options by what was given; None keeps what it has.

    Parameters
    ----------
    before
        The options it has.
    cpus, memory, bake
        0 takes the limit, or the bake, away.
    uds
        An empty path lets it listen on host and port again.
    tls_certificate, tls_key
        Two empty paths let it serve HTTP again.
    group
        An empty one stops judging Models as rankings.
    detector
        One of ``DETECTORS``.
    settings
        What only the back end knows; None as a value takes a key away.

    Raises
    ------
    InputError
        One of them cannot be.
    """
    after = dict(before)
    given: Options = {}
    if host is not None:
        given["host"] = host if host != LOOPBACK else None
    if uds is not None:
        given["uds"] = _socket(str(uds))
    if cpus is not None:
        given["cpus"] = _positive(cpus, "cpus")
    if memory is not None:
        given["memory_bytes"] = _bytes(memory)
    if device is not None:
        if device not in DEVICES:
            raise InputError(f"{device!r} is not a device.", hint=f"Use one of {', '.join(DEVICES)}.")
        given["device"] = device if device != DEVICES[0] else None
    if bake is not None:
        given["bake"] = _bake(bake)
    if tls_certificate is not None or tls_key is not None:
        given["tls"] = _tls(str(tls_certificate or ""), str(tls_key or ""))
    if group is not None:
        given["group"] = group or None
    if detector is not None:
        if detector not in DETECTORS:
            raise InputError(
                f"{detector!r} is not a change detector.", hint=f"Use one of {', '.join(DETECTORS)}."
            )
        given["detector"] = detector if detector != DETECTORS[0] else None
    if settings is not None:
        merged = {**before.get("settings", {}), **settings}
        given["settings"] = {key: value for key, value in merged.items() if value is not None} or None
    after.update(given)
    return {name: value for name, value in after.items() if value is not None}


def fields(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give an endpoint's options as the keyword arguments of ``EndpointSpec`` that they stand for."""
    given = options or {}
    tls, bake, uds = given.get("tls"), given.get("bake"), given.get("uds")
    return {
        "host": given.get("host", LOOPBACK),
        "limits": Resources(given.get("cpus"), given.get("memory_bytes")),
        "device": given.get("device", DEVICES[0]),
        "bake": Bake(**bake) if bake else None,
        "token_hash": given.get("token_hash", ""),
        "tls": Tls(Path(tls["certificate"]), Path(tls["key"])) if tls else None,
        "uds": Path(uds) if uds else None,
        "settings": given.get("settings", {}),
    }


def needs_token(options: Mapping[str, Any]) -> bool:
    """Tell whether others than this machine's users can reach the endpoint."""
    host = options.get("host", LOOPBACK)
    if options.get("uds") or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def with_token(options: Options) -> tuple[Options, str]:
    """Make a token: the options with its SHA-256, and the token itself, which is kept nowhere."""
    token = secrets.token_urlsafe(32)
    return {**options, "token_hash": hashlib.sha256(token.encode()).hexdigest()}, token


def _positive(value: float, name: str) -> float | None:
    if not 0 <= value < float("inf"):
        raise InputError(f"{name} cannot be {value}.", hint="Give a number above 0, or 0 for no limit.")
    return value or None


def _bytes(size: str | int) -> int | None:
    match = _SIZE.fullmatch(str(size).strip())
    if match is None:
        raise InputError(f"{size!r} is not an amount of memory.", hint="Give one such as 512MB, 2GiB or 0.")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit.lower()]) or None


def _bake(bake: Bake | float) -> Options | None:
    found = bake if isinstance(bake, Bake) else Bake(seconds=float(bake))
    if not (0 <= found.seconds < float("inf") and 0 <= found.error_rate <= 1 and found.latency_factor > 1):
        raise InputError(
            f"{found} cannot be.",
            hint="Give seconds of 0 or more, an error rate from 0 to 1 and a latency factor above 1.",
        )
    return asdict(found) if found.seconds else None


def _tls(certificate: str, key: str) -> Options | None:
    if not certificate and not key:
        return None
    if not (certificate and key):
        raise InputError("TLS needs a certificate and its key.", hint="Give both files.")
    paths = [Path(name).expanduser().absolute() for name in (certificate, key)]
    for path in paths:
        if not path.is_file():
            raise InputError(f"There is no file at {path}.", hint="Give a PEM file.")
    return {"certificate": str(paths[0]), "key": str(paths[1])}


def _socket(path: str) -> str | None:
    if not path:
        return None
    found = Path(path).expanduser().absolute()
    if len(str(found).encode()) > LONGEST_SOCKET:
        raise InputError(f"{found} is too long for a Unix socket.", hint="Use a path of up to 100 bytes.")
    if not found.parent.is_dir():
        raise InputError(f"There is no folder {found.parent}.", hint="Make it, for its owner only.")
    return str(found)
