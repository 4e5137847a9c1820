"""Two services that moto lacks and a preflight asks: Service Quotas, and IAM's policy simulator."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Response

from tests.emulators.sagemaker.calls import AwsError, Call
from tests.emulators.sagemaker.control import QUOTA
from tests.emulators.sagemaker.site import Site

_TYPES = (
    *(
        "ml.t2.medium",
        "ml.t3.medium",
        "ml.m5.large",
        "ml.m5.xlarge",
        "ml.m5.2xlarge",
        "ml.c5.large",
        "ml.c5.xlarge",
    ),
    *("ml.c6i.large", "ml.g4dn.xlarge", "ml.g5.xlarge", "ml.g5.2xlarge", "ml.g6.xlarge", "ml.p3.2xlarge"),
)


def quotas(site: Site, call: Call) -> dict[str, Any] | None:
    """Instances for endpoint usage, as Service Quotas lists them."""
    types = dict.fromkeys((*_TYPES, *site.faults.quotas))
    all_of = [_quota(kind, site.faults.quotas.get(kind, QUOTA)) for kind in types]
    if call.operation == "ListServiceQuotas":
        start, size = int(call.members.get("NextToken", 0)), call.members.get("MaxResults", 10)
        rest = {"NextToken": str(start + size)} if start + size < len(all_of) else {}
        return {"Quotas": all_of[start : start + size], **rest}
    if call.operation == "GetServiceQuota":
        found = [one for one in all_of if one["QuotaCode"] == call.members["QuotaCode"]]
        if not found:
            raise AwsError(
                "NoSuchResourceException", "The request failed because the specified service quota is unknown"
            )
        return {"Quota": found[0]}
    return None


def _quota(kind: str, value: int) -> dict[str, Any]:
    code = hashlib.sha256(kind.encode()).hexdigest()[:8].upper()
    return {
        "ServiceCode": "sagemaker",
        "ServiceName": "Amazon SageMaker",
        "QuotaCode": f"L-{code}",
        "QuotaName": f"{kind} for endpoint usage",
        "Value": float(value),
        "Adjustable": True,
    }


def simulate(site: Site, call: Call) -> Response:
    """Allowed, unless a test denied it."""
    form = dict(parse_qsl(call.request.get_data(cache=True).decode()))
    actions = [value for name, value in sorted(form.items()) if name.startswith("ActionNames.member.")]
    results = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>"
        f"{'implicitDeny' if action in site.faults.denied else 'allowed'}</EvalDecision></member>"
        for action in actions
    )
    text = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><EvaluationResults>{results}</EvaluationResults><IsTruncated>false"
        "</IsTruncated></SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>emulator</RequestId>"
        "</ResponseMetadata></SimulatePrincipalPolicyResponse>"
    )
    return Response(text, content_type="text/xml")
