"""Telling a sink: by Apprise, by a signed webhook, or as Prometheus tells Alertmanager."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from taxiway.control import apprising, messages
from taxiway.control.apprising import Mood
from taxiway.control.hosts import insist_open, insist_open_host
from taxiway.control.messages import Notice
from taxiway.control.sinks import SinkSpec, check_address, read_secret
from taxiway.errors import TaxiwayError
from taxiway.monitoring.context import SEVERITIES

REPEAT = timedelta(minutes=1)  # between two tellings to Alertmanager of an alert that fires
#: As Prometheus does: four repetitions may be lost before Alertmanager takes an alert for resolved.
HOLDS = 4 * REPEAT


class UndeliveredError(Exception):
    """A sink did not take a message; ``after`` is when it asked to be tried again, in seconds."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def prepare() -> None:
    """Import what sending takes, which lasts seconds on a busy machine, before there is something to send."""
    import httpx  # noqa: F401


def send(spec: SinkSpec, sink: str, notices: Sequence[Notice], moment: datetime) -> str:
    """Tell a sink, once; give its answer in words.

    Raises
    ------
    UndeliveredError
        It did not take it; the reason shows no secret.
    """
    secrets: list[str] = []
    try:
        url = read_secret(spec.url)
        secrets = _parts_of(url) if url != spec.url else []
        insist_open(check_address(spec.kind, url))
        if spec.kind == "apprise":
            return _by_apprise(spec, url, notices)
        return _by_http(spec, sink, url, notices, moment, secrets)
    except TaxiwayError as error:
        raise UndeliveredError(str(error)) from None
    except UndeliveredError as error:
        raise UndeliveredError(hidden(str(error), secrets), error.after) from None
    except Exception as error:  # noqa: BLE001 - of a sink's own code; its message may quote the address
        raise UndeliveredError(hidden(f"{type(error).__name__}: {error}", secrets)) from None


def hidden(text: str, secrets: Sequence[str]) -> str:
    """Give a text without the secrets in it."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text[:500]


def _parts_of(url: str) -> list[str]:
    """Give every part of an address that could be a secret."""
    parts = urlsplit(url)
    words = [url, parts.netloc, parts.path, parts.query, parts.username or "", parts.password or ""]
    words += [*parts.path.split("/"), *(pair.partition("=")[2] for pair in parts.query.split("&"))]
    words += [parts.hostname or ""] if parts.scheme not in ("http", "https") else []
    words += [unquote(word) for word in words]
    return sorted({word for word in words if len(word) >= 4})


def _by_http(
    spec: SinkSpec, sink: str, url: str, notices: Sequence[Notice], moment: datetime, secrets: list[str]
) -> str:
    import httpx

    if spec.kind == "alertmanager":
        body = json.dumps(
            [
                messages.as_alertmanager(
                    one, ends=one.last_seen if one.transition in ("resolved", "test") else moment + HOLDS
                )
                for one in {notice.fingerprint: notice for notice in notices}.values()
            ]
        ).encode()
        url = url.rstrip("/") + ("" if url.rstrip("/").endswith("/api/v2/alerts") else "/api/v2/alerts")
        headers = {}
    else:
        body = json.dumps(messages.as_json(notices, sink), allow_nan=False).encode()
        headers = {"idempotency-key": messages.message_key(notices)}
        if spec.secret:
            key = read_secret(spec.secret)
            secrets.append(key)
            headers |= signed(key, body, int(moment.timestamp()))
    if spec.token:
        token = read_secret(spec.token)
        secrets.append(token)
        headers["authorization"] = f"Bearer {token}"
    headers |= {"content-type": "application/json", "user-agent": "taxiway"}
    began = time.monotonic()
    try:
        status, after = asyncio.run(_post(url, body, headers, spec.timeout))
    except (TimeoutError, httpx.TimeoutException):
        raise _late(spec) from None
    except httpx.HTTPError as error:
        raise UndeliveredError(f"It cannot be reached: {error}.") from None
    if not 200 <= status < 300:
        why = "; redirects are not followed" if 300 <= status < 400 else ""
        raise UndeliveredError(
            f"It answered {status}{why}.", float(after) if after.isdecimal() and len(after) < 6 else None
        )
    return f"It answered {status} after {time.monotonic() - began:.2f} s."


async def _post(url: str, body: bytes, headers: dict[str, str], seconds: float) -> tuple[int, str]:
    """Post, and give the status and ``Retry-After``; a time-out of httpx is one of each read, not of all."""
    import httpx

    connected = {"trace": _insist_still_open}
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=seconds, follow_redirects=False) as client,
        # only the head of the answer is read: a receiver may send as much as it likes
        client.stream("POST", url, content=body, headers=headers, extensions=connected) as answer,
    ):
        return answer.status_code, answer.headers.get("retry-after", "")


async def _insist_still_open(event: str, info: dict[str, Any]) -> None:
    """Ask, before anything is sent, that the host's name has not led elsewhere since it was looked at."""
    if event != "connection.connect_tcp.complete":
        return
    stream = info["return_value"]
    try:
        insist_open_host(str(stream.get_extra_info("server_addr")[0]))
    except TaxiwayError:
        await stream.aclose()
        raise


def signed(key: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Sign a webhook: HMAC-SHA256 of ``<timestamp>.<body>``, so that an old one cannot be played again."""
    mark = hmac.new(key.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"taxiway-timestamp": str(timestamp), "taxiway-signature": f"v1={mark}"}


def _by_apprise(spec: SinkSpec, url: str, notices: Sequence[Notice]) -> str:
    subject, body = messages.as_text(notices)
    began = time.monotonic()
    try:
        wrong = apprising.tell(
            {
                "url": url,
                "subject": messages.unmentioned(subject),
                "body": messages.unmentioned(body),
                "mood": _mood(notices),
                "timeout": spec.timeout,
            }
        )
    except TimeoutError:
        raise _late(spec) from None
    if wrong:
        raise UndeliveredError(wrong)
    return f"It took the message after {time.monotonic() - began:.2f} s."


def _mood(notices: Sequence[Notice]) -> Mood:
    if notices and all(one.transition == "resolved" for one in notices):
        return "success"
    worst = max((SEVERITIES.index(one.severity) for one in notices), default=0)
    return ("info", "warning", "failure")[worst]


def _late(spec: SinkSpec) -> UndeliveredError:
    return UndeliveredError(f"It did not answer within {spec.timeout:g} s.")
