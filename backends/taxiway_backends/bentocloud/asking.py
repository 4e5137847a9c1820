"""Asking an endpoint over HTTPS, with the API token that BentoCloud itself asks for."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from taxiway.serving.identifiers import new_request_id
from taxiway_backends.bentocloud.credentials import may_have_token
from taxiway_backends.cloud.words import refusal

Answer = tuple[int, dict[str, str], bytes]
_JSON = "application/json"
_PASSED_ON = ("content-type", "accept", "x-request-id")
#: A request may wait until a replica has started.
_PATIENCE = httpx.Timeout(300.0, connect=20.0)


def client(key: str) -> httpx.Client:
    """Make what asks with a token."""
    return httpx.Client(headers={"authorization": f"Bearer {key}"}, timeout=_PATIENCE)


def ask(asker: httpx.Client, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post a body to ``/predict``; see ``taxiway.backends.Asking``.

    Raises
    ------
    RequestError
        It was refused before it reached the Model.
    """
    if not may_have_token(url):
        raise refusal(
            f"The endpoint at {url} is not https://…, and the API token could be read on the way.",
            "Look at the deployment on BentoCloud.",
        )
    lower = {name.lower(): value for name, value in headers.items()}
    given = {"content-type": _JSON, "x-request-id": new_request_id()}
    given |= {name: lower[name] for name in _PASSED_ON if lower.get(name)}
    try:
        answer = asker.post(f"{url}/predict", content=body, headers=given)
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise refusal(
            f"The endpoint at {url} gave no answer ({type(error).__name__}).",
            "`taxiway endpoints list` shows how it is.",
        ) from error
    if answer.status_code in (401, 403):
        raise refusal(
            "The endpoint does not accept the API token: it is wrong, or has expired.",
            "Make a new one on BentoCloud under API Tokens, and set BENTO_CLOUD_API_KEY.",
            answer.status_code,
        )
    found = {name: value for name, value in answer.headers.items() if name in ("content-type", "retry-after")}
    return answer.status_code, {**found, "x-request-id": given["x-request-id"]}, answer.content
