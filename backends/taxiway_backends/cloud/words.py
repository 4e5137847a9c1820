"""How a cloud's refusals and last words are told."""

from __future__ import annotations

from collections.abc import Iterable

from taxiway.errors import RequestError

_LAST = 5
_LONGEST = 300


def as_sentence(text: str) -> str:
    """End with one full stop, on one line."""
    return " ".join(text.split()).rstrip(".") + "."


def last_of(texts: Iterable[str]) -> str:
    """Give the last lines of a log in one; empty where it has none."""
    brief = [text.strip()[:_LONGEST] for text in texts]
    return " | ".join([text for text in brief if text][-_LAST:])


def refusal(message: str, hint: str, status: int = 0) -> RequestError:
    """Say why an endpoint was not asked, with the HTTP status if there is one."""
    error = RequestError(message, hint=hint)
    error.status = status
    return error
