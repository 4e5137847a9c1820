"""W3C trace context (https://www.w3.org/TR/trace-context-2/): read, continued and passed on.

A trace is continued where a caller began one; none is begun here. Without the header ``traceparent``
nothing of this is done.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"

_PARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_MEMBER = re.compile(
    rb"([a-z0-9][a-z0-9_\-*/@]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS = 32
_STATE_BYTES = 512
# The flags that level 2 names: sampled, and that the trace id is random.
_FLAGS = 0b11


@dataclass(frozen=True, slots=True)
class Trace:
    """One request's place in its caller's trace.

    Parameters
    ----------
    trace
        The trace's id: 32 hexadecimal digits.
    parent
        The caller's span: 16 hexadecimal digits.
    span
        This request's own span, the same.
    flags
        The caller's: bit 0 says that the trace is sampled.
    state
        The caller's ``tracestate``, empty where there is none that can be used.
    """

    trace: str
    parent: str
    span: str
    flags: int = 0
    state: bytes = b""

    def lines(self) -> bytes:
        """Give the header lines for what is asked on this request's behalf."""
        lines = f"traceparent: 00-{self.trace}-{self.span}-{self.flags:02x}\r\n".encode("ascii")
        return lines + b"tracestate: %b\r\n" % self.state if self.state else lines


#: The id and the trace of the request that this task answers; the id is empty where there is no request.
CURRENT: ContextVar[tuple[str, Trace | None]] = ContextVar("request", default=("", None))


def read_trace(headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
    """Take the trace up that a request belongs to, with a span of its own.

    Parameters
    ----------
    headers
        The request's, names in lower case.

    Returns
    -------
    Trace or None
        None where there is no ``traceparent``, more than one, or none that is valid.
    """
    parents: list[bytes] = []
    states: list[bytes] = []
    for name, value in headers:
        if name == TRACEPARENT:
            parents.append(value.strip(b" \t"))
        elif name == TRACESTATE:
            states.append(value)
    found = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if found is None:
        return None
    version, trace, parent, flags, rest = found.groups()
    if version == b"00" and rest is not None:
        return None
    return Trace(trace.decode(), parent.decode(), new_span(), int(flags, 16) & _FLAGS, _state(states))


def new_span() -> str:
    """Give a span's id: 16 hexadecimal digits, not all of them 0."""
    return f"{int.from_bytes(os.urandom(8)) or 1:016x}"


def _state(values: list[bytes]) -> bytes:
    """Join the list's members; nothing if one is not valid, and no more than has to be passed on."""
    members = [one for value in values for part in value.split(b",") if (one := part.strip(b" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {one[1] for one in found if one is not None}
    if len(members) > _MOST_MEMBERS or len(keys) != len(members):
        return b""
    kept: list[bytes] = []
    room = _STATE_BYTES
    for member in members:
        if len(member) <= room:
            kept.append(member)
            room -= len(member) + 1
    return b",".join(kept)
