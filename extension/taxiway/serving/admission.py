"""Which requests are looked at: those with the token, and not too many at once."""

from __future__ import annotations

import hmac

from taxiway.serving.problems import Problem


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own."""
    return address in ("::1", "::ffff:127.0.0.1") or address.startswith("127.")


class Admission:
    """Lets requests in.

    Parameters
    ----------
    token
        The bearer token that they must carry. Without one, only this machine is let in, wherever the
        server listens.
    concurrency
        The most that may be in progress.
    """

    def __init__(self, token: str | None, concurrency: int) -> None:
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._concurrency = concurrency

    def admit(self, headers: dict[bytes, bytes], in_progress: int, client: str | None = None) -> None:
        """Let a request in.

        Parameters
        ----------
        client
            The address that the request came from; None for a Unix socket.

        Raises
        ------
        Problem
            401 or 429.
        """
        given, wanted = headers.get(b"authorization", b""), self._authorization
        if wanted is not None and not hmac.compare_digest(given, wanted):
            raise Problem(
                401,
                "The token is missing or wrong.",
                hint="Send the header Authorization: Bearer <token>.",
                headers=((b"www-authenticate", b"Bearer"),),
            )
        if wanted is None and client is not None and not is_loopback(client):
            raise Problem(
                401,
                "This endpoint has no token, so it answers to its own machine only.",
                hint="Start it with a token: the environment variable TAXIWAY_TOKEN for a Bento.",
                headers=((b"www-authenticate", b"Bearer"),),
            )
        if in_progress > self._concurrency:
            raise Problem(
                429,
                f"More than {self._concurrency} requests are in progress.",
                hint="Try again in a second, or send more rows in one request.",
                headers=((b"retry-after", b"1"),),
            )
