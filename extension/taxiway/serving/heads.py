"""Heads that are known: clients send the same one again and again, but for the length of its body."""

from __future__ import annotations

from collections.abc import Sequence

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_MOST_DIGITS = 7
#: Each open connection may keep a head, so a large one is not kept.
_MOST_BYTES = 4096


class KnownHead:
    """A request's head that was parsed before.

    Parameters
    ----------
    before, after
        Its bytes on both sides of its length's digits.
    """

    __slots__ = ("_after", "_before")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after

    @classmethod
    def of(cls, data: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> KnownHead | None:
        """Find the head in what was received, if that is one head and its body, and the head names no id.

        Parameters
        ----------
        data
            What was received, from a request's first byte on.
        headers
            What the last request's head was parsed into, names in lower case.
        body
            The last request's body.
        """
        names = [name for name, _ in headers]
        if names.count(b"content-length") != 1 or b"transfer-encoding" in names or not body:
            return None
        if b"x-request-id" in names:
            return None
        head = data[: -len(body)]
        if len(head) > _MOST_BYTES:
            return None
        lower = head.lower()
        if head.find(_END) != len(head) - len(_END) or lower.count(_LENGTH) != 1:
            return None
        start = lower.index(_LENGTH) + len(_LENGTH)
        stop = head.index(b"\r\n", start)
        digits = head[start:stop].strip(b" \t")
        if digits != b"%d" % len(body):
            return None
        start = head.index(digits, start)
        return cls(head[:start], head[start + len(digits) :])

    def body(self, data: bytes) -> bytes | None:
        """Give the body of a request that has this head, if its last byte is the last one received."""
        if not data.startswith(self._before):
            return None
        start = len(self._before)
        stop = data.find(self._after, start, start + _MOST_DIGITS + len(self._after))
        digits = data[start:stop]
        begin = stop + len(self._after)
        if stop < 0 or not digits.isdigit() or int(digits) != len(data) - begin:
            return None
        return data[begin:]
