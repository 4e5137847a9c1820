"""A request that is answered with an error, and why."""

from __future__ import annotations


class Problem(Exception):
    """A request cannot be answered; it becomes the JSON body ``{"error", "hint"}``.

    Parameters
    ----------
    status
        The HTTP status.
    error
        One sentence: what is wrong.
    hint
        One sentence: what to do next.
    headers
        Response headers beside the usual ones, such as ``Retry-After``.
    """

    def __init__(
        self, status: int, error: str, *, hint: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
        self.headers = headers
