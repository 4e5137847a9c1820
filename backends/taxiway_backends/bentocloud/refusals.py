"""What BentoCloud refuses, each as one sentence with its remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from taxiway.errors import BackendError
from taxiway_backends.cloud.words import as_sentence

_TRACE = re.compile(r"trace ID <[^>]*>")
#: What the client puts before BentoCloud's own answer.
_CLIENTS_WORDS = re.compile(r"request failed with status code \d+: |Deployment .{0,80}not found: ")
_LONGEST_REASON = 500
_TOKENS = "Make a new one on BentoCloud under API Tokens, and set BENTO_CLOUD_API_KEY."


class CloudError(BackendError):
    """BentoCloud refused, or could not be reached.

    Attributes
    ----------
    status
        The HTTP status; 0 where nothing was answered.
    """

    status: int = 0


class CredentialsError(CloudError):
    """There is no API token, or it does not hold (any more)."""


class MissingError(CloudError):
    """What was asked for is not there."""


class TakenError(CloudError):
    """Something of that name is there already, or is just being changed."""


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn every error of the client, and of what it sends with, into one sentence and a remedy.

    Parameters
    ----------
    doing
        What is tried, as it follows "BentoCloud refused to".

    Raises
    ------
    CloudError
        Whatever was raised.
    """
    import httpx
    from bentoml.exceptions import BentoMLException
    from cattrs import BaseValidationError
    from httpx_ws import HTTPXWSException, WebSocketUpgradeError

    try:
        yield
    except BentoMLException as error:
        raise _refused(int(error.error_code), error.message, doing) from error
    except WebSocketUpgradeError as error:
        raise _refused(error.response.status_code, "", doing) from error
    except (httpx.TransportError, HTTPXWSException) as error:
        what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "was not reached"
        raise CloudError(
            as_sentence(f"BentoCloud {what} to {doing} ({type(error).__name__})"),
            hint="Look at the network and at BENTO_CLOUD_API_ENDPOINT; it is tried again by itself.",
        ) from error
    except (BaseValidationError, ValueError, httpx.RequestError) as error:  # the client cannot read it
        raise CloudError(
            as_sentence(
                f"BentoCloud's answer, when asked to {doing}, could not be read ({type(error).__name__})"
            ),
            hint="Look whether BENTO_CLOUD_API_ENDPOINT is a BentoCloud, and for a newer bentoml.",
        ) from error


def _refused(status: int, text: str, doing: str) -> CloudError:
    """Say what BentoCloud answered."""
    reason = _reason(text)
    if status == 401:
        words = "BentoCloud does not accept the API token: it is wrong or has expired."
        return _made(CredentialsError, status, words, _TOKENS)
    if "quota" in reason.lower() or status == 402:
        words = f"A quota of the BentoCloud organization does not allow to {doing}: {reason}"
        hint = "Delete what is not needed, take another instance_type or fewer replicas, or ask for more."
        return _made(CloudError, status, words, hint)
    if status == 403:
        words = f"BentoCloud does not allow this API token to {doing}."
        return _made(CredentialsError, status, words, "Use a token with the scopes api and write_cluster.")
    if status == 404:
        words = f"BentoCloud could not {doing}: {reason or 'it is not there'}"
        return _made(MissingError, status, words, "Deploy it first.")
    if status == 409:
        words = f"BentoCloud could not {doing}, because of what is there: {reason}"
        return _made(TakenError, status, words, "Choose another name, or wait for the change under way.")
    if status == 429:
        words = f"BentoCloud asks for patience: too many requests to {doing}."
        return _made(CloudError, status, words, "It is tried again by itself.")
    if status >= 500:
        words = f"BentoCloud failed to {doing}: {reason or status}"
        return _made(CloudError, status, words, "It is tried again by itself; status.bentoml.com tells more.")
    words = f"BentoCloud refused to {doing}: {reason or status}"
    return _made(CloudError, status, words, "What it says is BentoCloud's own; look at the settings.")


def _reason(text: str) -> str:
    """Give what BentoCloud itself said, out of what its client says; it may be a gateway's whole page."""
    if trace := _TRACE.search(text):
        return trace.group()
    reason = _CLIENTS_WORDS.sub("", text, count=1)
    with suppress(ValueError, KeyError, TypeError):
        reason = str(json.loads(reason)["error"])
    return reason[:_LONGEST_REASON]


def _made(kind: type[CloudError], status: int, message: str, hint: str) -> CloudError:
    error = kind(as_sentence(message), hint=hint)
    error.status = status
    return error
