"""The user's API token: from the environment or the system keyring, and never written anywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from taxiway_backends.bentocloud.refusals import CredentialsError

KEY_VARIABLE = "BENTO_CLOUD_API_KEY"
ENDPOINT_VARIABLE = "BENTO_CLOUD_API_ENDPOINT"
ENDPOINT = "https://cloud.bentoml.com"
KEYRING = "taxiway-bentocloud"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks, and where.

    Parameters
    ----------
    key
        The API token.
    endpoint
        The address of the organization's BentoCloud.
    """

    key: str = field(repr=False)
    endpoint: str = ENDPOINT


def read() -> Credentials:
    """Find the credentials: the variables of BentoML's own command line first, then the keyring.

    Raises
    ------
    CredentialsError
        There is no token, or it would go over the network in the clear.
    """
    key = os.environ.get(KEY_VARIABLE) or _of_keyring("api-key")
    if not key:
        raise CredentialsError(
            "No API token of BentoCloud was found.",
            hint=f"Make one on BentoCloud under API Tokens and set {KEY_VARIABLE}, or keep it with "
            f"`keyring set {KEYRING} api-key`.",
        )
    endpoint = (os.environ.get(ENDPOINT_VARIABLE) or _of_keyring("endpoint") or ENDPOINT).rstrip("/")
    if not may_have_token(endpoint):
        raise CredentialsError(
            f"{endpoint!r} is no address to which an API token may be sent.",
            hint=f"Set {ENDPOINT_VARIABLE} to your organization's, such as https://mine.cloud.bentoml.com.",
        )
    return Credentials(key, endpoint)


def may_have_token(address: str) -> bool:
    """Tell whether nobody on the way to an address could read a token that is sent there."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(parts.hostname)) or (
        parts.scheme == "http" and parts.hostname in _LOOPBACK
    )


def _of_keyring(name: str) -> str:
    """Ask the system's keyring, where the package is installed and a keyring is open."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return keyring.get_password(KEYRING, name) or ""
    except KeyringError:
        return ""
