"""One call to AWS as it comes over HTTP: who signed it, which operation it is, and how its errors look."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

ACCOUNT = "123456789012"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
_SIGNED = re.compile(r"SignedHeaders=([^,]+), *Signature=([0-9a-f]+)")
_RUNTIME = re.compile(r"^/endpoints/([^/]+)/(invocations|async-invocations)$")
_OBJECT = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
_BUCKET = {"GET": "ListObjectsV2", "PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}


class AwsError(Exception):
    """An answer other than success.

    Parameters
    ----------
    code
        As the client shows it in brackets.
    status
        Of HTTP.
    extra
        Other members of a JSON answer.
    """

    def __init__(self, code: str, message: str, status: int = 400, **extra: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.extra = extra


def invalid(message: str) -> AwsError:
    """What SageMaker says of nearly everything that is wrong."""
    return AwsError("ValidationException", message)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, taken apart.

    Parameters
    ----------
    service
        The name that signatures carry: ``sagemaker``, ``s3``, ``iam``.
    operation
        ``CreateEndpoint``; for S3 the nearest of its operations.
    key
        Of the one who signed; empty for none.
    endpoint
        Of InvokeEndpoint and InvokeEndpointAsync.
    """

    request: Request
    service: str
    operation: str
    region: str
    key: str
    endpoint: str = ""

    @classmethod
    def of(cls, request: Request) -> Call:
        """Take it apart; a body is read only where the operation stands in it."""
        match = _CREDENTIAL.search(request.headers.get("Authorization", ""))
        key, _day, region, service = match.groups() if match else ("", "", "us-east-1", "")
        if not match and (query := request.args.get("X-Amz-Credential")):
            key, _day, region, service = query.split("/")[:4]
        endpoint = ""
        if target := request.headers.get("X-Amz-Target"):
            operation = target.rsplit(".", 1)[-1]
        elif service == "sagemaker" and (found := _RUNTIME.match(request.path)):
            endpoint = unquote(found[1])
            operation = "InvokeEndpoint" if found[2] == "invocations" else "InvokeEndpointAsync"
        elif service == "s3":
            is_object = request.path.strip("/").count("/") > 0
            operation = (_OBJECT if is_object else _BUCKET).get(request.method, "PostObject")
        else:
            form = dict(parse_qsl(request.get_data(cache=True).decode("utf-8", "replace")))
            operation = form.get("Action", f"{request.method} {request.path}")
        return cls(request, service, operation, region, key, endpoint)

    @property
    def members(self) -> dict[str, Any]:
        """The body of a JSON call."""
        body = json.loads(self.request.get_data(cache=True) or b"{}")
        assert isinstance(body, dict)
        return body

    def failure(self, error: AwsError) -> Response:
        """An error in the form that this service's client reads."""
        if self.service == "s3":
            text = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
            return Response(text, error.status, content_type="application/xml")
        if self.service in ("iam", "sts"):
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code>"
                f"<Message>{escape(error.message)}</Message></Error><RequestId>emulator</RequestId></ErrorResponse>"
            )
            return Response(text, error.status, content_type="text/xml")
        members = {"message": error.message, "Message": error.message, **error.extra}
        response = Response(json.dumps(members), error.status, content_type="application/x-amz-json-1.1")
        if not error.code.isdigit():
            response.data = json.dumps({"__type": error.code, **members})
            response.headers["x-amzn-ErrorType"] = error.code
        return response

    def signed_with(self, secret: str) -> bool:
        """Whether the signature follows from the secret (Signature Version 4, the AWS General Reference)."""
        header = self.request.headers.get("Authorization", "")
        credential, signed = _CREDENTIAL.search(header), _SIGNED.search(header)
        if credential is None or signed is None:
            return False
        headers = self.request.headers
        digest = headers.get("X-Amz-Content-SHA256")
        if digest is None:
            digest = hashlib.sha256(self.request.get_data(cache=True)).hexdigest()
        raw = self.request.environ.get("RAW_URI") or self.request.environ.get("REQUEST_URI", "/")
        path, _, query = raw.partition("?")
        if self.service != "s3":
            path = quote(path, safe="/-_.~")
        pairs = sorted(part if "=" in part else part + "=" for part in query.split("&") if part)
        names = signed[1].split(";")
        lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in names]
        canonical = "\n".join(
            [self.request.method, path or "/", "&".join(pairs), *lines, "", signed[1], digest]
        )
        day, region, service = credential[2], credential[3], credential[4]
        scope = f"{day}/{region}/{service}/aws4_request"
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                headers.get("X-Amz-Date", ""),
                scope,
                hashlib.sha256(canonical.encode()).hexdigest(),
            ]
        )
        key = f"AWS4{secret}".encode()
        for part in (day, region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signed[2])
