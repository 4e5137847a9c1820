"""Who may call: the user's keys, the execution role's in a container, and the emulator's own."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Response

from tests.emulators.sagemaker.calls import ACCOUNT, AwsError, Call

#: Where a container finds its role's credentials, as on a real instance.
PATH = "/emulator/credentials"
_HOUR = 3600.0


@dataclass
class Key:
    """One pair, with its session token and its end in seconds since 1970."""

    id: str
    secret: str
    token: str = ""
    ends: float = float("inf")


@dataclass
class Keys:
    """Every pair that is good, made anew for each emulator."""

    user: Key = field(
        default_factory=lambda: Key("AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20))
    )
    #: With which the emulator does what AWS does inside.
    inside: Key = field(
        default_factory=lambda: Key("AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20))
    )
    role: Key = field(
        default_factory=lambda: Key(
            "ASIA" + secrets.token_hex(8).upper(),
            secrets.token_hex(20),
            secrets.token_hex(40),
            time.time() + _HOUR,
        )
    )
    #: What a container shows to be given the role's.
    pass_word: str = field(default_factory=lambda: secrets.token_hex(16))

    def check(self, call: Call) -> None:
        """Refuse whoever is unknown, too late, or signed wrongly.

        Raises
        ------
        AwsError
            In the words of the service that was called.
        """
        if not call.key:
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        key = {key.id: key for key in (self.user, self.inside, self.role)}.get(call.key) or _assumed(call.key)
        if key is None:
            raise _unknown(call.service)
        if key.ends < time.time():
            raise _expired(call.service)
        if key.token and call.request.headers.get("X-Amz-Security-Token", "") != key.token:
            raise _unknown(call.service)
        if call.request.headers.get("Authorization") and not call.signed_with(key.secret):
            raise _wrongly_signed(call.service)

    def hand_out(self, shown: str) -> Response:
        """Give a container its role's credentials (Amazon ECS, container credentials)."""
        if shown != self.pass_word:
            return Response('{"message": "no"}', 403)
        said: dict[str, Any] = {
            "AccessKeyId": self.role.id,
            "SecretAccessKey": self.role.secret,
            "Token": self.role.token,
            "Expiration": datetime.fromtimestamp(self.role.ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/emulated",
        }
        return Response(json.dumps(said), content_type="application/json")


def _assumed(key_id: str) -> Key | None:
    from moto.sts.models import sts_backends

    for backend in sts_backends[ACCOUNT].values():
        for role in backend.assumed_roles:
            if role.access_key_id == key_id:
                return Key(key_id, role.secret_access_key, role.session_token)
    return None


def _unknown(service: str) -> AwsError:
    if service == "s3":
        return AwsError(
            "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403
        )
    if service in ("sts", "iam"):
        return AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    return AwsError("UnrecognizedClientException", "The security token included in the request is invalid.")


def _wrongly_signed(service: str) -> AwsError:
    return AwsError(
        "SignatureDoesNotMatch" if service in ("s3", "sts", "iam") else "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS "
        "Secret Access Key and signing method. Consult the service documentation for details.",
        403,
    )


def _expired(service: str) -> AwsError:
    if service == "s3":
        return AwsError("ExpiredToken", "The provided token has expired.")
    if service in ("sts", "iam"):
        return AwsError("ExpiredToken", "The security token included in the request is expired", 403)
    return AwsError("ExpiredTokenException", "The security token included in the request is expired")
