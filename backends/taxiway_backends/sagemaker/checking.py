"""Whether SageMaker can be used from here: each thing that is missing is a sentence with its remedy."""

from __future__ import annotations

from collections.abc import Callable

from taxiway.backends import Diagnosis
from taxiway.errors import TaxiwayError
from taxiway_backends.sagemaker.choices import CPU_DEFAULT, Choices
from taxiway_backends.sagemaker.images import REPOSITORY
from taxiway_backends.sagemaker.refusals import AwsError, CredentialsError, is_missing, told
from taxiway_backends.sagemaker.session import SERVICE, Session
from taxiway_backends.sagemaker.storage import Storage

_PASS_ROLE = "iam:PassRole"  # noqa: S105 - a permission
_UNSEEN = "not looked at"


def check(session: Session, chosen: Choices) -> Diagnosis:
    """Look at all that a deploy needs, and change nothing.

    Parameters
    ----------
    chosen
        The endpoint's settings: its role, bucket and instance type are looked at.
    """
    facts: dict[str, str] = {}
    problems: list[tuple[str, str]] = []

    def look(name: str, at: Callable[[], str]) -> bool:
        try:
            facts[name] = at()
        except TaxiwayError as error:
            problems.append((error.message, error.hint))
            return False
        return True

    if not look("region", lambda: session.region) or not look("identity", session.identity):
        return Diagnosis(False, tuple(problems), facts)
    facts["account"] = session.account
    if look("role", lambda: session.role(chosen.role)):
        look("pass role", lambda: _may_pass(session, facts["role"]))
    look("bucket", lambda: _bucket(Storage(session, chosen.bucket)))
    if not chosen.image:
        look("repository", lambda: _repository(session))
    if chosen.mode != "serverless":
        look("quota", lambda: _quota(session, chosen.instance_type or CPU_DEFAULT))
    return Diagnosis(not problems, tuple(problems), facts)


def _bucket(storage: Storage) -> str:
    return storage.bucket if storage.is_there() else f"{storage.bucket}, which the first deploy makes"


def _repository(session: Session) -> str:
    with told("look at the images in ECR"):
        try:
            session.client("ecr").describe_repositories(repositoryNames=[REPOSITORY])
        except Exception as error:
            if is_missing(error):
                return f"{REPOSITORY}, which the first deploy makes"
            raise
    return REPOSITORY


def _may_pass(session: Session, role: str) -> str:
    """Ask IAM whether the role may be handed to SageMaker; not every user may ask that."""
    identity = session.identity()
    if ":assumed-role/" in identity:
        account, name = identity.split(":")[4], identity.split("/")[1]
        identity = f"arn:{identity.split(':')[1]}:iam::{account}:role/{name}"
    if identity.endswith(":root"):
        return "the account's root"
    context = [
        {"ContextKeyName": "iam:PassedToService", "ContextKeyValues": [SERVICE], "ContextKeyType": "string"}
    ]
    try:
        with told("ask what you may do"):
            found = session.client("iam").simulate_principal_policy(
                PolicySourceArn=identity,
                ActionNames=[_PASS_ROLE],
                ResourceArns=[role],
                ContextEntries=context,
            )
    except CredentialsError:
        raise
    except AwsError:
        return _UNSEEN
    if all(entry["EvalDecision"] == "allowed" for entry in found["EvaluationResults"]):
        return "allowed"
    raise AwsError(
        f"You may not hand the role {role.rsplit('/', 1)[-1]} to SageMaker.",
        hint=f"Ask for the permission {_PASS_ROLE} on it.",
    )


def _quota(session: Session, instance_type: str) -> str:
    """Look up how many instances of a type the account may have for endpoints."""
    wanted = f"{instance_type} for endpoint usage"
    try:
        with told("read the quotas"):
            pages = (
                session.client("service-quotas")
                .get_paginator("list_service_quotas")
                .paginate(ServiceCode="sagemaker")
            )
            values = [
                quota["Value"] for page in pages for quota in page["Quotas"] if quota["QuotaName"] == wanted
            ]
    except CredentialsError:
        raise
    except AwsError:
        return _UNSEEN
    if not values:
        return _UNSEEN
    if values[0] < 1:
        raise AwsError(
            f"This account may have no {instance_type} for endpoints.",
            hint=f"Ask for {wanted!r} under Service Quotas, SageMaker; or choose another instance_type.",
        )
    return f"{values[0]:.0f} × {instance_type}"
