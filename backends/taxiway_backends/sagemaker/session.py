"""The user's AWS account: who asks, where, and with which role the containers run."""

from __future__ import annotations

import difflib
import json
import os
import threading
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from taxiway.errors import InputError
from taxiway_backends.sagemaker.refusals import AwsError, CredentialsError, is_missing, told

#: Where SageMaker Studio and notebook instances say what they are.
METADATA = Path("/opt/ml/metadata/resource-metadata.json")
SERVICE = "sagemaker.amazonaws.com"
ROLE_VARIABLE = "TAXIWAY_SAGEMAKER_ROLE"
_INVOKE_SECONDS = 70  # SageMaker gives a container 60
_CONNECT_SECONDS = 5


class Session:
    """Clients of one region, made when they are first needed.

    Parameters
    ----------
    region
        Empty for the one that the environment, the profile or Studio says.
    """

    def __init__(self, region: str = "") -> None:
        self._given = region
        self._lock = threading.RLock()
        self._boto: Any = None
        self._clients: dict[str, Any] = {}
        self._account = ""
        self._roles: dict[str, str] = {}

    @property
    def region(self) -> str:
        """The region's name.

        Raises
        ------
        AwsError
            None is set.
        InputError
            There is none of that name.
        """
        with told("find the region"):
            boto = self._session()
            name: str = boto.region_name or ""
            if not name:
                from botocore.exceptions import NoRegionError

                raise NoRegionError
            known = (
                boto.get_available_regions("sagemaker")
                + boto.get_available_regions("sagemaker", "aws-cn")
                + boto.get_available_regions("sagemaker", "aws-us-gov")
            )
        if known and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"Did you mean {near[0]}?" if near else "Name one such as eu-west-1."
            raise InputError(f"SageMaker has no region {name!r}.", hint=meant)
        return name

    @property
    def account(self) -> str:
        """The number of the AWS account; asked for once, and shows that the credentials hold."""
        if not self._account:
            self.identity()
        return self._account

    def identity(self) -> str:
        """Give the ARN of whoever the credentials are of."""
        with told("tell who asks"):
            found = self.client("sts").get_caller_identity()
        self._account = str(found["Account"])
        return str(found["Arn"])

    def client(self, service: str) -> Any:
        """Give boto3's client of a service."""
        with self._lock:
            if service not in self._clients:
                from botocore.config import Config

                patient = service == "sagemaker-runtime"
                config = Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_INVOKE_SECONDS if patient else 20,
                    # An invocation that was carried out is not sent again
                    retries={"mode": "standard", "total_max_attempts": 1 if patient else 5},
                    max_pool_connections=32,
                    user_agent_extra="taxiway",
                )
                region = None if service in ("iam",) else self.region
                with told(f"use {service}"):
                    self._clients[service] = self._session().client(
                        service, region_name=region, config=config
                    )
            return self._clients[service]

    def forget(self) -> None:
        """Read credentials anew from now on: those that were used do not hold any more."""
        with self._lock:
            self._boto, self._account = None, ""
            self._clients.clear()

    def role(self, given: str = "") -> str:
        """Find the role with which containers run.

        Parameters
        ----------
        given
            An ARN or a name; empty for that of the environment, of Studio, or of whoever asks.

        Raises
        ------
        AwsError
            There is none, or SageMaker may not take it on.
        """
        wanted = given or os.environ.get(ROLE_VARIABLE, "")
        if wanted not in self._roles:
            self._roles[wanted] = self._find_role(wanted)
        return self._roles[wanted]

    def _find_role(self, wanted: str) -> str:
        found = wanted or self._studio_role() or self._own_role()
        if not found:
            raise AwsError(
                "No execution role for SageMaker was given, and none can be found from here.",
                hint='Deploy with settings={"role": "arn:aws:iam::…:role/…"}, or set '
                f"{ROLE_VARIABLE}: a role that {SERVICE} may take on, with AmazonSageMakerFullAccess.",
            )
        name = found.rsplit("/", 1)[-1]
        try:
            with told(f"read the role {name}"):
                role = self.client("iam").get_role(RoleName=name)["Role"]
        except CredentialsError:
            raise
        except AwsError as error:
            if is_missing(error.__cause__ or error):
                raise AwsError(
                    f"There is no role {name!r} in this account.",
                    hint="Give the ARN of one that is there; the console lists them under IAM, Roles.",
                ) from error
            if found.startswith("arn:"):  # it may not be looked at; AWS itself will tell
                return found
            raise
        if not trusts(role.get("AssumeRolePolicyDocument")):
            raise AwsError(
                f"The role {name} cannot be used: its trust policy does not name {SERVICE}.",
                hint=f"Add {SERVICE} with sts:AssumeRole to its trust policy, or give another role; "
                "a role of an SSO login usually cannot be changed.",
            )
        return str(role["Arn"])

    def _studio_role(self) -> str:
        """Ask for the role of the Studio space or notebook instance that this is."""
        said = studio()
        if not said:
            return ""
        if said.get("ExecutionRoleArn"):
            return str(said["ExecutionRoleArn"])
        try:
            return self._described_role(said)
        except CredentialsError:
            raise
        except AwsError:  # not every role may look; in Studio, whoever asks is that role
            return ""

    def _described_role(self, said: dict[str, Any]) -> str:
        """Ask as the SageMaker SDK does: the notebook, or else the user's profile, or else its domain."""
        client = self.client("sagemaker")
        with told("read the role of this notebook"):
            if not (domain := said.get("DomainId")):
                found = client.describe_notebook_instance(NotebookInstanceName=said["ResourceName"])
                return str(found["RoleArn"])
            settings: dict[str, Any] = {}
            if said.get("UserProfileName"):
                profile = client.describe_user_profile(
                    DomainId=domain, UserProfileName=said["UserProfileName"]
                )
                settings = profile.get("UserSettings", {})
            if settings.get("ExecutionRole"):
                return str(settings["ExecutionRole"])
            whole = client.describe_domain(DomainId=domain)
        # A space that is shared is nobody's: only there the space's own default counts
        default = "DefaultUserSettings" if said.get("UserProfileName") else "DefaultSpaceSettings"
        return str(whole.get(default, {}).get("ExecutionRole", ""))

    def _own_role(self) -> str:
        """Take the role of whoever asks, where it is one that SageMaker may take on as well."""
        arn = self.identity()
        if ":assumed-role/" not in arn:
            return ""
        name = arn.split("/")[1]
        try:
            with told(f"read the role {name}"):
                role = self.client("iam").get_role(RoleName=name)["Role"]
        except CredentialsError:
            raise
        except AwsError:
            return ""
        return str(role["Arn"]) if trusts(role.get("AssumeRolePolicyDocument")) else ""

    def _session(self) -> Any:
        with self._lock:
            if self._boto is None:
                import boto3

                region = self._given or None
                made = boto3.session.Session(region_name=region)
                if not made.region_name and (found := _studio_region()):
                    made = boto3.session.Session(region_name=found)
                self._boto = made
            return self._boto


class Service:
    """What is asked of one service of AWS.

    Parameters
    ----------
    session
        Whose account.
    """

    service: ClassVar[str]

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def client(self) -> Any:
        """boto3's client of the service."""
        return self.session.client(self.service)


def studio() -> dict[str, Any]:
    """Read what Studio says of the place where this runs; empty elsewhere."""
    try:
        said: dict[str, Any] = json.loads(METADATA.read_bytes())
    except (OSError, ValueError):
        return {}
    return said


def trusts(document: Any) -> bool:
    """Tell whether a trust policy lets SageMaker take the role on."""
    if isinstance(document, str):
        document = json.loads(unquote(document))
    statements = (document or {}).get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else [principal]
        actions = statement.get("Action", [])
        if (
            statement.get("Effect") == "Allow"
            and {SERVICE, "*"}.intersection([services] if isinstance(services, str) else services)
            and {"sts:AssumeRole", "sts:*", "*"}.intersection(
                [actions] if isinstance(actions, str) else actions
            )
        ):
            return True
    return False


def _studio_region() -> str:
    parts = str(studio().get("ResourceArn", "")).split(":")
    return parts[3] if len(parts) > 3 else ""
