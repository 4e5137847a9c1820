"""Telling a sink: by Apprise, by a signed webhook, or as Prometheus tells Alertmanager."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import unquote, urlsplit

from taxiway.control import messages
from taxiway.control.messages import Notice
from taxiway.control.sinks import SinkSpec, check_address, read_secret
from taxiway.errors import TaxiwayError

REPEAT = timedelta(minutes=1)  # between two tellings to Alertmanager of an alert that fires
#: As Prometheus does: four repetitions may be lost before Alertmanager takes an alert for resolved.
HOLDS = 4 * REPEAT
_apprise_lock = threading.Lock()


class UndeliveredError(Exception):
    """A sink did not take a message; ``after`` is when it asked to be tried again, in seconds."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


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
        check_address(spec.kind, url)
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
        with (
            httpx.Client(timeout=spec.timeout, follow_redirects=False) as client,
            # only the head of the answer is read: a receiver may send as much as it likes
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            status, after = answer.status_code, answer.headers.get("retry-after", "")
    except httpx.TimeoutException:
        raise UndeliveredError(f"It did not answer within {spec.timeout:g} s.") from None
    except httpx.HTTPError as error:
        raise UndeliveredError(f"It cannot be reached: {error}.") from None
    if not 200 <= status < 300:
        why = "; redirects are not followed" if 300 <= status < 400 else ""
        raise UndeliveredError(
            f"It answered {status}{why}.", float(after) if after.isdecimal() and len(after) < 6 else None
        )
    return f"It answered {status} after {time.monotonic() - began:.2f} s."


def signed(key: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Sign a webhook: HMAC-SHA256 of ``<timestamp>.<body>``, so that an old one cannot be played again."""
    mark = hmac.new(key.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"taxiway-timestamp": str(timestamp), "taxiway-signature": f"v1={mark}"}


def _by_apprise(spec: SinkSpec, url: str, notices: Sequence[Notice]) -> str:
    import apprise

    # Nothing of this machine: no plug-ins, templates, keys or files of a configuration, no state on disk.
    asset = apprise.AppriseAsset(
        app_id="Taxiway",
        app_desc="Taxiway",
        plugin_paths=[],
        allow_templates=False,
        service_timeout=spec.timeout,
        async_mode=False,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    with _said() as said:
        sink = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if sink is None:
            raise UndeliveredError(" ".join(said) or "Apprise does not know that address.")
        subject, body = messages.as_text(notices)
        worst = max(notices, key=lambda one: ("info", "warning", "critical").index(one.severity))
        kind = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}.get(
            worst.severity, apprise.NotifyType.INFO
        )
        if all(one.transition == "resolved" for one in notices):
            kind = apprise.NotifyType.SUCCESS
        began = time.monotonic()
        if not sink.notify(body=body, title=subject, notify_type=kind):
            raise UndeliveredError(" ".join(said) or "It did not take the message.")
    return f"It took the message after {time.monotonic() - began:.2f} s."


class _Ear(logging.Handler):
    """Hears what one thread logs."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said, self._thread = said, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._said.append(record.getMessage())


@contextmanager
def _said() -> Iterator[list[str]]:
    """Hear what Apprise says is wrong; none of it goes to a log, where addresses would be read."""
    said: list[str] = []
    logger, ear = logging.getLogger("apprise"), _Ear(said)
    with _apprise_lock:
        logger.propagate = False
        logger.addHandler(ear)
    try:
        yield said
    finally:
        with _apprise_lock:
            logger.removeHandler(ear)
