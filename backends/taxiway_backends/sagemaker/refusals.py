"""What AWS refuses, each as one sentence with its remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taxiway.errors import BackendError
from taxiway_backends.cloud.words import as_sentence

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_UNKNOWN_KEY = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure")
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_THROTTLED = (
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
)
_QUOTA = ("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException")
_ACTION = re.compile(r"\b([a-z0-9-]+:[A-Z][A-Za-z]+)\b")


class AwsError(BackendError):
    """AWS refused, or could not be reached.

    Attributes
    ----------
    code
        AWS' own word, such as ``ResourceLimitExceeded``; empty where it was not reached.
    """

    code: str = ""


class CredentialsError(AwsError):
    """There are no credentials, or they do not hold (any more)."""


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn every error of botocore into one sentence and a remedy.

    Parameters
    ----------
    doing
        What is tried, as it follows "AWS refused to".

    Raises
    ------
    AwsError
        Whatever botocore raised; or it is not installed.
    """
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise AwsError(
            "boto3 is not installed.", hint="Install it: pip install 'taxiway[sagemaker]'."
        ) from error

    try:
        yield
    except ClientError as error:
        raise _refused(error, doing) from error
    except BotoCoreError as error:
        raise _failed(error, doing) from error


def code_of(error: BaseException) -> str:
    """Give AWS' own word for an error; empty for others."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def text_of(error: BaseException) -> str:
    """Give AWS' own sentence."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Message", "") or error).strip()


def is_missing(error: BaseException) -> bool:
    """Tell whether AWS says that something is not there."""
    code, text = code_of(error), text_of(error).lower()
    if code in (
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ObjectNotFoundException",
        "NoSuchKey",
        "404",
    ):
        return True
    if code in ("NoSuchBucket", "RepositoryNotFoundException", "ImageNotFoundException", "NoSuchEntity"):
        return True
    return code == "ValidationException" and ("could not find" in text or "does not exist" in text)


def is_there_already(error: BaseException) -> bool:
    """Tell whether AWS says that something of that name exists."""
    code, text = code_of(error), text_of(error).lower()
    if code in ("RepositoryAlreadyExistsException", "BucketAlreadyOwnedByYou", "ResourceInUse"):
        return True
    return code == "ValidationException" and "already exist" in text


def is_denied(error: BaseException) -> bool:
    """Tell whether AWS says that these credentials may not do that."""
    return code_of(error) in _DENIED


def is_busy(error: BaseException) -> bool:
    """Tell whether AWS says that the endpoint is just being changed."""
    return (
        code_of(error) in ("ValidationException", "ResourceInUse") and "in-progress" in text_of(error).lower()
    )


def profile() -> str:
    """Give the name of the profile whose credentials are used."""
    return os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"


def _failed(error: Exception, doing: str) -> AwsError:
    """Say why nothing was asked of AWS, or nothing was heard."""
    from botocore import exceptions

    login = f"aws sso login --profile {profile()}"
    kinds: list[tuple[tuple[str, ...], type[AwsError], str, str]] = [
        (
            ("NoCredentialsError", "PartialCredentialsError"),
            CredentialsError,
            "No AWS credentials were found."
            if isinstance(error, exceptions.NoCredentialsError)
            else f"The AWS credentials are incomplete: {error}.",
            "Run `aws configure`, or `aws sso login` and set AWS_PROFILE; on AWS, give the machine a role.",
        ),
        (
            ("NoRegionError",),
            AwsError,
            "No AWS region is set.",
            'Set AWS_DEFAULT_REGION, such as eu-west-1, or deploy with settings={"region": "eu-west-1"}.',
        ),
        (
            ("ProfileNotFound",),
            CredentialsError,
            f"There is no AWS profile {profile()!r}.",
            "`aws configure list-profiles` lists them; set AWS_PROFILE to one of these.",
        ),
        (
            ("SSOTokenLoadError", "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOError"),
            CredentialsError,
            f"The AWS login of the profile {profile()!r} has expired or was never made.",
            f"Run `{login}`.",
        ),
        (
            ("CredentialRetrievalError", "MetadataRetrievalError", "RefreshWithMFAUnsupportedError"),
            CredentialsError,
            f"The AWS credentials of the profile {profile()!r} could not be fetched: {error}.",
            f"Run `{login}`, or mend the profile's credential_process.",
        ),
        (
            ("ConnectionError", "HTTPClientError"),
            AwsError,
            f"AWS could not be reached to {doing}: {type(error).__name__}.",
            "Look at the network, the proxy, and whether the region's name is right.",
        ),
    ]
    names = {kind.__name__ for kind in type(error).__mro__}
    for classes, made, sentence, hint in kinds:
        if names.intersection(classes):
            return made(as_sentence(sentence), hint=hint)
    return AwsError(
        as_sentence(f"Could not {doing}: {error}"), hint="Look at the credentials and the settings."
    )


def _refused(error: Exception, doing: str) -> AwsError:
    """Say what AWS answered."""
    code, text = code_of(error), text_of(error)
    made: type[AwsError] = AwsError
    if code in _EXPIRED:
        made, sentence = CredentialsError, "The AWS credentials have expired."
        hint = f"Run `aws sso login --profile {profile()}`, or set new ones."
    elif code in _UNKNOWN_KEY:
        made, sentence = CredentialsError, "AWS does not know these credentials."
        hint = "Look at AWS_ACCESS_KEY_ID and AWS_PROFILE; a key that was deleted must be made anew."
    elif code == "SignatureDoesNotMatch":
        made, sentence = (
            CredentialsError,
            "The AWS secret key does not belong to its access key, or the clock is wrong.",
        )
        hint = "Run `aws configure` again, and look at this machine's clock."
    elif "PassRole" in text:
        sentence = "You may not hand the execution role to SageMaker."
        hint = "Ask for the permission iam:PassRole on that role."
    elif code in _DENIED:
        action = next(iter(_ACTION.findall(text)), "")
        sentence = f"AWS does not allow these credentials to {doing}" + (f" ({action})" if action else "")
        hint = f"Ask for the permission {action}." if action else "Ask for that permission."
    elif code in _QUOTA:
        sentence = f"A quota of the AWS account does not allow to {doing}: {text}"
        hint = "Ask for more in the console under Service Quotas, SageMaker; or take another instance type."
    elif code in _THROTTLED:
        sentence, hint = (
            f"AWS asks for patience: too many requests to {doing}.",
            "It is tried again by itself.",
        )
    elif "assume" in text.lower() and "role" in text.lower():
        sentence = "SageMaker cannot take on the execution role."
        hint = "Let its trust policy name sagemaker.amazonaws.com, with the action sts:AssumeRole."
    else:
        sentence = f"AWS refused to {doing}: {text or code}"
        hint = "What it says is AWS' own; `taxiway endpoints show` tells how the endpoint is."
    refusal = made(as_sentence(sentence), hint=hint)
    refusal.code = code
    return refusal
