"""Which requests are looked at: those with the token, and not too many at once."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from taxiway.serving.problems import Problem

_SCHEME = b"Bearer "


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own."""
    return address in ("::1", "::ffff:127.0.0.1") or address.startswith("127.")


def hash_token(token: str) -> str:
    """Give the hex SHA-256 of a token: long and random, it is not guessed from its hash."""
    return hashlib.sha256(token.encode()).hexdigest()


class Admission:
    """Lets requests in.

    Parameters
    ----------
    token_hash
        What ``hash_token`` gives for the bearer token that they must carry. Without one, only this machine
        is let in, wherever the server listens.
    concurrency
        The most that may be in progress.
    anyone
        Without a token, let everyone in: who may ask was decided before a request comes here.
    """

    def __init__(self, token_hash: str | None, concurrency: int, *, anyone: bool = False) -> None:
        self._anyone = anyone
        self._token = None if token_hash is None else bytes.fromhex(token_hash)
        #: The header that was right before: comparing it costs a tenth of hashing it.
        self._known = b""
        self._concurrency = concurrency

    def admit(self, headers: dict[bytes, bytes], in_progress: int, client: str | None = None) -> None:
        """Let a request in.

        Parameters
        ----------
        headers, client
            As of ``identify``.
        in_progress
            How many there are, with this one.

        Raises
        ------
        Problem
            401 or 429.
        """
        self.identify(headers, client)
        if not self.has_room(in_progress):
            raise Problem(
                429,
                f"More than {self._concurrency} requests are in progress.",
                hint="Try again in a second, or send more rows in one request.",
                headers=((b"retry-after", b"1"),),
            )

    def has_room(self, in_progress: int) -> bool:
        """Whether so many requests may be in progress."""
        return in_progress <= self._concurrency

    def identify(self, headers: Mapping[bytes, bytes], client: str | None = None) -> None:
        """Let in who may ask; it is always the same for the same headers and client.

        Parameters
        ----------
        headers
            The request's.
        client
            The address that the request came from; None for a Unix socket.

        Raises
        ------
        Problem
            401.
        """
        wanted = self._token
        if wanted is not None and not self._carries(headers.get(b"authorization", b""), wanted):
            raise Problem(
                401,
                "The token is missing or wrong.",
                hint="Send the header Authorization: Bearer <token>.",
                headers=((b"www-authenticate", b"Bearer"),),
            )
        if wanted is None and not self._anyone and client is not None and not is_loopback(client):
            raise Problem(
                401,
                "This endpoint has no token, so it answers to its own machine only.",
                hint="Start it with a token: the environment variable TAXIWAY_TOKEN for a Bento.",
                headers=((b"www-authenticate", b"Bearer"),),
            )

    def _carries(self, authorization: bytes, wanted: bytes) -> bool:
        if self._known and hmac.compare_digest(authorization, self._known):
            return True
        given = hashlib.sha256(authorization.removeprefix(_SCHEME)).digest()
        if authorization.startswith(_SCHEME) and hmac.compare_digest(given, wanted):
            self._known = authorization
            return True
        return False
