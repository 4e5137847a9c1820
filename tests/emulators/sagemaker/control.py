"""SageMaker's control plane in one region: models, endpoint configurations, endpoints and their tags."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.emulators.sagemaker import shapes
from tests.emulators.sagemaker.calls import ACCOUNT, AwsError, Call, invalid
from tests.emulators.sagemaker.endpoint import Endpoint
from tests.emulators.sagemaker.images import check_image
from tests.emulators.sagemaker.records import Records
from tests.emulators.sagemaker.shelf import Shelf
from tests.emulators.sagemaker.site import Site

#: Instances of one type that an account may have, unless a test says otherwise.
QUOTA = 20
_BUSY = ("Creating", "Updating", "RollingBack", "Deleting", "SystemUpdating")


class Control:
    """Every operation is a method; its answer is the JSON that AWS sends."""

    def __init__(self, site: Site, records: Records, region: str) -> None:
        self.region = region
        self.endpoints: dict[str, Endpoint] = {}
        self.models, self.configurations, self.shelf = Shelf(), Shelf(), Shelf()
        self.tags: dict[str, dict[str, str]] = {}
        self._site, self._records = site, records
        self._lock = threading.RLock()
        self._operations = {
            "CreateModel": self.create_model,
            "DescribeModel": lambda said: self._describe(self.models, "model", said["ModelName"]),
            "ListModels": lambda said: self._list(self.models, "Models", "Model", said),
            "DeleteModel": lambda said: self._drop(self.models, "model", said["ModelName"]),
            "CreateEndpointConfig": self.create_configuration,
            "DescribeEndpointConfig": lambda said: self._describe(
                self.configurations, "endpoint configuration", said["EndpointConfigName"]
            ),
            "ListEndpointConfigs": lambda said: self._list(
                self.configurations, "EndpointConfigs", "EndpointConfig", said
            ),
            "DeleteEndpointConfig": lambda said: self._drop(
                self.configurations, "endpoint configuration", said["EndpointConfigName"]
            ),
            "CreateEndpoint": self.create_endpoint,
            "DescribeEndpoint": lambda said: self._describe(self.shelf, "endpoint", said["EndpointName"]),
            "ListEndpoints": lambda said: self._list(self.shelf, "Endpoints", "Endpoint", said),
            "UpdateEndpoint": self.update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self.reweigh,
            "DeleteEndpoint": self.delete_endpoint,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
            "DescribeUserProfile": self.describe_profile,
        }

    def knows(self, operation: str) -> bool:
        """Whether it is done here; moto has the others."""
        return operation in self._operations

    def answer(self, call: Call) -> dict[str, Any]:
        """Carry one out."""
        said = call.members
        shapes.check(call.operation, said)
        return self._operations[call.operation](said)

    # Models

    def create_model(self, said: dict[str, Any]) -> dict[str, Any]:
        """Check the role, the image and the model's data as AWS does, and keep it."""
        role = said.get("ExecutionRoleArn", "")
        self._site.faults.allow("iam:PassRole", role)
        self._check_role(role)
        for container in [said.get("PrimaryContainer"), *said.get("Containers", ())]:
            if container is not None:
                check_image(self._site, self.region, container.get("Image", ""))
                source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
                if url := container.get("ModelDataUrl") or source:
                    self._check_data(url, role)
        arn = self._arn("model", said["ModelName"])
        self._put(self.models, "model", said["ModelName"], {**_untagged(said), "ModelArn": arn}, said)
        return {"ModelArn": arn}

    def _check_role(self, role: str) -> None:
        iam = self._site.client("iam", "us-east-1")
        try:
            policy = iam.get_role(RoleName=role.rsplit("/", 1)[-1])["Role"]["AssumeRolePolicyDocument"]
        except iam.exceptions.NoSuchEntityException:
            policy = {}
        policy = json.loads(unquote(policy)) if isinstance(policy, str) else policy
        for statement in policy.get("Statement", ()):
            principal = statement.get("Principal", {})
            services = principal.get("Service", []) if isinstance(principal, dict) else []
            if statement.get("Effect") == "Allow" and "sagemaker.amazonaws.com" in services:
                return
        raise invalid(
            f"Could not assume role {role}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        )

    def _check_data(self, url: str, role: str) -> None:
        parts = urlsplit(url)
        s3 = self._site.client("s3", self.region)
        key = parts.path.lstrip("/")
        try:
            where = s3.get_bucket_location(Bucket=parts.netloc)["LocationConstraint"] or "us-east-1"
            found = s3.list_objects_v2(Bucket=parts.netloc, Prefix=key, MaxKeys=1)["KeyCount"]
        except s3.exceptions.ClientError:
            where, found = "", 0
        if not found or where != self.region:
            raise invalid(
                f'Could not access model data at {url}. Please ensure that the role "{role}" exists and that '
                'its trust relationship policy allows the action "sts:AssumeRole" for the service principal '
                '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and '
                f"that the object is located in {self.region}."
            )

    # Studio

    def describe_profile(self, said: dict[str, Any]) -> dict[str, Any]:
        """One user of Studio."""
        domain, name = said["DomainId"], said["UserProfileName"]
        if (found := self._site.profiles.get((domain, name))) is None:
            raise AwsError("ResourceNotFound", f"UserProfile [{name}] does not exist in domain [{domain}].")
        return {"DomainId": domain, "UserProfileName": name, "UserSettings": found}

    # Endpoint configurations

    def create_configuration(self, said: dict[str, Any]) -> dict[str, Any]:
        """Check what each kind of endpoint allows, and keep it."""
        variants = [*said["ProductionVariants"], *said.get("ShadowProductionVariants", ())]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) < len(names):
            raise invalid("Two variants have one name.")
        for variant in variants:
            if self.models.get(variant.get("ModelName", "")) is None:
                raise invalid(f'Could not find model "{self._arn("model", variant.get("ModelName", ""))}".')
            self._check_variant(variant)
        plain = not said.get("AsyncInferenceConfig") and not any(
            "ServerlessConfig" in one for one in variants
        )
        if shadows := said.get("ShadowProductionVariants"):
            if len(shadows) > 1 or len(said["ProductionVariants"]) > 1:
                raise invalid("Only one production and one shadow variant can be specified together.")
            if not plain:
                raise invalid("Shadow variants are supported for real-time instances only.")
        name = said["EndpointConfigName"]
        arn = self._arn("endpoint-config", name)
        kept = {**_untagged(said), "EndpointConfigArn": arn}
        self._put(self.configurations, "endpoint configuration", name, kept, said)
        return {"EndpointConfigArn": arn}

    @staticmethod
    def _check_variant(variant: dict[str, Any]) -> None:
        if serverless := variant.get("ServerlessConfig"):
            if serverless["MemorySizeInMB"] % 1024:
                raise invalid("MemorySizeInMB must be one of 1024, 2048, 3072, 4096, 5120 and 6144.")
            if "InstanceType" in variant or "InitialInstanceCount" in variant:
                raise invalid(
                    "InstanceType and InitialInstanceCount are not allowed beside ServerlessConfig."
                )
        elif "InstanceType" not in variant or "InitialInstanceCount" not in variant:
            raise invalid("InstanceType and InitialInstanceCount are required without ServerlessConfig.")

    # Endpoints

    def create_endpoint(self, said: dict[str, Any]) -> dict[str, Any]:
        """Start one."""
        name = said["EndpointName"]
        with self._lock:
            configuration = self._configuration(said["EndpointConfigName"])
            if name in self.endpoints:
                raise invalid(f'Cannot create already existing endpoint "{self._arn("endpoint", name)}".')
            self._check_quota(configuration, None)
            endpoint = Endpoint(
                self._site, self._records, self.shelf, self.region, name, configuration, self.models.get
            )
            self.endpoints[name] = endpoint
            self._tag(endpoint.arn, said.get("Tags", ()))
        endpoint.create()
        return {"EndpointArn": endpoint.arn}

    def update_endpoint(self, said: dict[str, Any]) -> dict[str, Any]:
        """Move it to another configuration."""
        with self._lock:
            endpoint = self._endpoint(said["EndpointName"])
            configuration = self._configuration(said["EndpointConfigName"])
            if endpoint.status in _BUSY:
                raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
            self._check_quota(configuration, endpoint)
            self._check_alarms(said.get("DeploymentConfig", {}))
            endpoint.update(configuration, said.get("DeploymentConfig"))
        return {"EndpointArn": endpoint.arn}

    def reweigh(self, said: dict[str, Any]) -> dict[str, Any]:
        """Other weights and counts."""
        endpoint = self._endpoint(said["EndpointName"])
        endpoint.reweigh(said["DesiredWeightsAndCapacities"])
        return {"EndpointArn": endpoint.arn}

    def delete_endpoint(self, said: dict[str, Any]) -> dict[str, Any]:
        """End it."""
        endpoint = self._endpoint(said["EndpointName"])

        def gone() -> None:
            self.endpoints.pop(endpoint.name, None)
            self.tags.pop(endpoint.arn, None)

        endpoint.delete(gone)
        return {}

    def _endpoint(self, name: str) -> Endpoint:
        if (endpoint := self.endpoints.get(name)) is None:
            raise invalid(f'Could not find endpoint "{self._arn("endpoint", name)}".')
        return endpoint

    def _configuration(self, name: str) -> dict[str, Any]:
        if (found := self.configurations.get(name)) is None:
            raise invalid(f'Could not find endpoint configuration "{self._arn("endpoint-config", name)}".')
        return found

    def _check_quota(self, configuration: dict[str, Any], beside: Endpoint | None) -> None:
        """An update holds both fleets for a while, so that both count."""
        wanted = _instances(configuration)
        used: dict[str, int] = {}
        for endpoint in self.endpoints.values():
            for kind, count in _instances(endpoint.configuration).items():
                used[kind] = used.get(kind, 0) + count
        for kind, count in wanted.items():
            limit = self._site.faults.quotas.get(kind, QUOTA)
            if used.get(kind, 0) + count > limit:
                raise AwsError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{kind} for endpoint usage' is {limit} Instances, with "
                    f"current utilization of {used.get(kind, 0)} Instances and a request delta of {count} "
                    "Instances. Please use AWS Service Quotas to request an increase for this quota. If AWS "
                    "Service Quotas is not available, contact AWS support to request an increase for this "
                    "quota.",
                )

    def _check_alarms(self, deployment: dict[str, Any]) -> None:
        names = [
            one["AlarmName"] for one in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ())
        ]
        cloudwatch = self._site.client("cloudwatch", self.region)
        found = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] if names else []
        if missing := sorted(set(names) - {one["AlarmName"] for one in found}):
            raise invalid(f"Could not find CloudWatch alarm(s) {', '.join(missing)}.")

    # Tags

    def add_tags(self, said: dict[str, Any]) -> dict[str, Any]:
        """Set some."""
        self._tag(said["ResourceArn"], said["Tags"])
        return self.list_tags(said)

    def list_tags(self, said: dict[str, Any]) -> dict[str, Any]:
        """Tell all."""
        tags = self.tags.get(said["ResourceArn"], {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def delete_tags(self, said: dict[str, Any]) -> dict[str, Any]:
        """Remove some."""
        for key in said["TagKeys"]:
            self.tags.get(said["ResourceArn"], {}).pop(key, None)
        return {}

    def _tag(self, arn: str, tags: Any) -> None:
        self.tags.setdefault(arn, {}).update({one["Key"]: one["Value"] for one in tags})

    # What all kinds share

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{kind}/{name.lower()}"

    def _put(self, shelf: Shelf, noun: str, name: str, kept: dict[str, Any], said: dict[str, Any]) -> None:
        arn = next(value for key, value in kept.items() if key.endswith("Arn") and key != "ExecutionRoleArn")
        with self._lock:
            if shelf.get(name) is not None:
                raise invalid(f'Cannot create already existing {noun} "{arn}".')
            shelf.put(name, {**kept, "CreationTime": time.time()})
            self._tag(arn, said.get("Tags", ()))

    def _describe(self, shelf: Shelf, noun: str, name: str) -> dict[str, Any]:
        if (found := shelf.get(name, self._site.faults.stale)) is None:
            raise invalid(
                f'Could not find {noun} "{self._arn(noun.replace(" configuration", "-config"), name)}".'
            )
        return found

    def _drop(self, shelf: Shelf, noun: str, name: str) -> dict[str, Any]:
        if shelf.get(name) is None:
            raise invalid(
                f'Could not find {noun} "{self._arn(noun.replace(" configuration", "-config"), name)}".'
            )
        shelf.drop(name)
        self.tags.pop(self._arn(noun.replace(" configuration", "-config"), name), None)
        return {}

    def _list(self, shelf: Shelf, plural: str, noun: str, said: dict[str, Any]) -> dict[str, Any]:
        """Ten at a time, newest first, unless asked otherwise."""
        found = [
            value
            for name, value in shelf.all(self._site.faults.stale).items()
            if said.get("NameContains", "") in name
            and said.get("StatusEquals") in (None, value.get("EndpointStatus"))
        ]
        found.sort(
            key=lambda value: value["CreationTime"],
            reverse=said.get("SortOrder", "Descending") == "Descending",
        )
        members = (f"{noun}Name", f"{noun}Arn", f"{noun}Status", "CreationTime", "LastModifiedTime")
        shown = [{name: value[name] for name in members if name in value} for value in found]
        start = int(said.get("NextToken", 0))
        size = said.get("MaxResults", 10)
        answer: dict[str, Any] = {plural: shown[start : start + size]}
        if start + size < len(shown):
            answer["NextToken"] = str(start + size)
        return answer


def _untagged(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "Tags"}


def _instances(configuration: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for side in ("ProductionVariants", "ShadowProductionVariants"):
        for variant in configuration.get(side, ()):
            if kind := variant.get("InstanceType"):
                counts[kind] = counts.get(kind, 0) + int(variant["InitialInstanceCount"])
    return counts
