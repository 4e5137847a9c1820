"""Asking an endpoint: signed with the user's credentials, and answered as our own serving process answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from taxiway.serving.identifiers import new_request_id
from taxiway_backends.cloud.words import refusal
from taxiway_backends.sagemaker.design import Design, native_name, prefix
from taxiway_backends.sagemaker.refusals import AwsError, code_of, is_missing, told
from taxiway_backends.sagemaker.storage import Storage

MOST_BYTES = 6 * 2**20
MOST_SERVERLESS_BYTES = 4 * 2**20
MOST_ASYNC_BYTES = 10**9
ASYNC_SECONDS = 900.0
_JSON = "application/json"
_LONGEST_ID = 64
Answer = tuple[int, dict[str, str], bytes]


def ask(storage: Storage, design: Design, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Invoke the endpoint; see ``taxiway.backends.Asking``.

    Parameters
    ----------
    design
        Of the endpoint: how large a body may be, and whether it is answered at once.

    Raises
    ------
    RequestError
        It was refused before it reached the Model.
    """
    most = {"serverless": MOST_SERVERLESS_BYTES, "async": MOST_ASYNC_BYTES}.get(design.mode, MOST_BYTES)
    if len(body) > most:
        raise refusal(
            f"The request has {len(body):,} bytes; a {design.mode} endpoint of SageMaker takes {most:,}.",
            hint="Send fewer rows at a time"
            + ("." if design.mode == "async" else ', or use the mode "async".'),
            status=413,
        )
    lower = {name.lower(): value for name, value in headers.items()}
    given: dict[str, Any] = {
        "EndpointName": native_name(design.endpoint),
        "ContentType": lower.get("content-type", _JSON),
        "Accept": lower.get("accept", _JSON).replace("*/*", _JSON),
        "InferenceId": (lower.get("x-request-id") or new_request_id())[:_LONGEST_ID],
    }
    try:
        if design.mode == "async":
            return _ask_later(storage, design, body, given)
        return _ask_now(storage, body, given)
    except AwsError as error:
        if error.code in ("ValidationException", "ValidationError") or is_missing(error.__cause__ or error):
            hint = "`taxiway endpoints list` shows how it is."
            raise refusal(
                f"The endpoint {design.endpoint!r} cannot be asked: {error.message}", hint
            ) from error
        raise refusal(error.message, error.hint) from error


def _ask_now(storage: Storage, body: bytes, given: dict[str, Any]) -> Answer:
    with told("ask the endpoint"):
        try:
            answer = storage.session.client("sagemaker-runtime").invoke_endpoint(Body=body, **given)
        except Exception as error:
            if code_of(error) == "ModelError":
                return _of_model(error)
            raise
        content = answer["Body"].read()
    headers = {"content-type": answer.get("ContentType", _JSON), "x-request-id": given["InferenceId"]}
    return 200, headers, content


def _of_model(error: Exception) -> Answer:
    """Give what the container answered with an error, as it answered."""
    response: dict[str, Any] = getattr(error, "response", {})
    status = int(response.get("OriginalStatusCode") or 500)
    text = str(response.get("OriginalMessage") or response.get("Error", {}).get("Message", ""))
    return status, {"content-type": _JSON}, text.encode()


def _ask_later(storage: Storage, design: Design, body: bytes, given: dict[str, Any]) -> Answer:
    """Put the body into S3, and wait for the answer there."""
    key = f"{prefix(design.endpoint)}async/in/{given['InferenceId']}"
    with told("put the request into S3"):
        storage.client.put_object(Bucket=storage.bucket, Key=key, Body=body)
    with told("ask the endpoint"):
        accepted = storage.session.client("sagemaker-runtime").invoke_endpoint_async(
            InputLocation=f"s3://{storage.bucket}/{key}", **given
        )
    deadline = time.monotonic() + ASYNC_SECONDS
    pause = 0.1
    while time.monotonic() < deadline:
        for name, status in (("OutputLocation", 200), ("FailureLocation", 500)):
            content = _read(storage, accepted.get(name, ""))
            if content is not None:
                storage.delete([key, _key(storage, accepted[name])])
                return status, {"content-type": _JSON}, content
        time.sleep(pause)
        pause = min(2 * pause, 5.0)
    raise refusal(
        f"The endpoint has not answered within {ASYNC_SECONDS:.0f} s.",
        hint=f"Its answer will be at {accepted.get('OutputLocation', 'its output path')}.",
    )


def _read(storage: Storage, location: str) -> bytes | None:
    if not location:
        return None
    with told("look for the answer in S3"):
        try:
            content: bytes = storage.client.get_object(Bucket=storage.bucket, Key=_key(storage, location))[
                "Body"
            ].read()
        except Exception as error:
            if is_missing(error):
                return None
            raise
    return content


def _key(storage: Storage, location: str) -> str:
    return location.removeprefix(f"s3://{storage.bucket}/")
