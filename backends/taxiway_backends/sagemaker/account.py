"""The native resources of one endpoint, told from a stranger's by their tags."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from taxiway.backends import EndpointRef
from taxiway_backends.sagemaker.design import (
    SHADOW_VARIANT,
    VARIANT,
    Design,
    native_name,
    prefix,
)
from taxiway_backends.sagemaker.refusals import is_missing, is_there_already, told
from taxiway_backends.sagemaker.session import Service

ENDPOINT_TAG = "taxiway:endpoint"
OWNER_TAG = "taxiway:owner"
TOKEN_TAG = "taxiway:token"  # noqa: S105 - the name of a tag
LIVE_TAG = "taxiway:live"
SHADOW_TAG = "taxiway:shadow"
CONFIG_TAG = "taxiway:config"
SINCE_TAG = "taxiway:since"
UNDER_WAY = ("Creating", "Updating", "SystemUpdating", "RollingBack")
_MOST_TOKEN = 256


@dataclass(frozen=True, slots=True)
class Native:
    """An endpoint as SageMaker describes it.

    Attributes
    ----------
    config
        The EndpointConfig in service, or that it was created with.
    pending
        The one that an update is on its way to, where SageMaker says so.
    tags
        Of the endpoint.
    """

    name: str
    arn: str
    status: str
    config: str
    created: datetime
    modified: datetime
    pending: str = ""
    reason: str = ""
    instances: int = 0
    tags: dict[str, str] = field(default_factory=dict)

    def is_of(self, ref: EndpointRef) -> bool:
        """Tell whether it bears our tag, and no other ledger's."""
        owner = self.tags.get(OWNER_TAG, "")
        return self.tags.get(ENDPOINT_TAG) == ref.name and (not owner or ref.owner in ("", owner))

    @property
    def wanted(self) -> str:
        """The EndpointConfig that was asked for last."""
        return self.tags.get(CONFIG_TAG, "")

    @property
    def was_sent_back(self) -> bool:
        """Whether an update was asked for, was begun, and did not come to be.

        Which it was is written down before an update, with the time of the change before it: where that is
        still the last change, the update was never begun.
        """
        return (
            self.status == "InService"
            and self.wanted not in ("", self.config)
            and self.tags.get(SINCE_TAG) != self.modified.isoformat()
        )


class Account(Service):
    """The calls that create, describe and delete."""

    service = "sagemaker"

    def endpoint(self, name: str) -> Native | None:
        """Describe the endpoint named as ours is, be it a stranger's; None where there is none."""
        with told(f"describe the endpoint {native_name(name)}"):
            try:
                found = self.client.describe_endpoint(EndpointName=native_name(name))
                tags = self.tags(found["EndpointArn"])
            except Exception as error:
                if is_missing(error):
                    return None
                raise
        variants = found.get("ProductionVariants") or [{}]
        pending = found.get("PendingDeploymentSummary") or {}
        return Native(
            name=found["EndpointName"],
            arn=found["EndpointArn"],
            status=found["EndpointStatus"],
            config=found.get("EndpointConfigName", ""),
            created=found["CreationTime"],
            modified=found.get("LastModifiedTime", found["CreationTime"]),
            pending=pending.get("EndpointConfigName", ""),
            reason=found.get("FailureReason", ""),
            instances=variants[0].get("CurrentInstanceCount") or 0,
            tags=tags,
        )

    def tags(self, arn: str) -> dict[str, str]:
        """Give the tags of a resource."""
        pages = self.client.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def config_tags(self, config: str) -> dict[str, str] | None:
        """Give the tags of an EndpointConfig; None where it is not there."""
        with told(f"describe the endpoint configuration {config}"):
            try:
                found = self.client.describe_endpoint_config(EndpointConfigName=config)
                return self.tags(found["EndpointConfigArn"])
            except Exception as error:
                if is_missing(error):
                    return None
                raise

    def create(self, design: Design, token: str) -> None:
        """Create what a design needs before its endpoint: the Models and the EndpointConfig."""
        for role in ("live", *(["shadow"] if design.fleets == 2 else [])):
            name = _model_name(design, role)
            container = {
                "Image": design.image,
                "Environment": design.variables(role, self.session.region),
                "ModelDataUrl": f"s3://{design.bucket}/{design.archive(role)}",
            }
            with told(f"create the model {name}"):
                _once(
                    self.client.create_model,
                    ModelName=name,
                    PrimaryContainer=container,
                    ExecutionRoleArn=design.role,
                    Tags=_tags(design, token),
                )
        with told(f"create the endpoint configuration {design.name}"):
            _once(self.client.create_endpoint_config, **_config(design), Tags=_tags(design, token))

    def start(self, design: Design, token: str) -> bool:
        """Create the endpoint; tell whether there was none."""
        with told(f"create the endpoint {native_name(design.endpoint)}"):
            return _once(
                self.client.create_endpoint,
                EndpointName=native_name(design.endpoint),
                EndpointConfigName=design.name,
                Tags=[*_tags(design, token), {"Key": CONFIG_TAG, "Value": design.name}],
            )

    def update(self, design: Design, deployment: dict[str, Any] | None) -> None:
        """Move the endpoint to a design's EndpointConfig."""
        more = {"DeploymentConfig": deployment} if deployment else {}
        with told(f"update the endpoint {native_name(design.endpoint)}"):
            self.client.update_endpoint(
                EndpointName=native_name(design.endpoint), EndpointConfigName=design.name, **more
            )

    def delete(self, name: str) -> None:
        """Ask for the deletion of the endpoint.

        Raises
        ------
        AwsError
            It is not there, or just being changed.
        """
        with told(f"delete the endpoint {native_name(name)}"):
            self.client.delete_endpoint(EndpointName=native_name(name))

    def image_of(self, model: str) -> str:
        """Give the image of a Model; empty where it is not there."""
        with told(f"describe the model {model}"):
            try:
                found = self.client.describe_model(ModelName=model)
            except Exception as error:
                if is_missing(error):
                    return ""
                raise
        return str((found.get("PrimaryContainer") or {}).get("Image", ""))

    def mark(self, native: Native, design: Design, token: str) -> None:
        """Write down at the endpoint what is asked for."""
        wanted = {tag["Key"]: tag["Value"] for tag in _tags(design, token)} | {CONFIG_TAG: design.name}
        if native.config != design.name:
            wanted[SINCE_TAG] = native.modified.isoformat()
        changed = [
            {"Key": key, "Value": value} for key, value in wanted.items() if native.tags.get(key) != value
        ]
        if changed:
            with told(f"tag the endpoint {native.name}"):
                self.client.add_tags(ResourceArn=native.arn, Tags=changed)
        if not design.shadow and SHADOW_TAG in native.tags:
            with told(f"tag the endpoint {native.name}"):
                self.client.delete_tags(ResourceArn=native.arn, TagKeys=[SHADOW_TAG])

    def owned(self, name: str) -> list[tuple[str, str]]:
        """List our Models and EndpointConfigs of an endpoint, as kind and name."""
        return [(kind, found) for kind in ("config", "model") for found in self._listed(kind, name)]

    def _listed(self, kind: str, endpoint: str) -> list[str]:
        """List what is named as ours is, and bears our tag."""
        operation, key, word = {
            "model": ("list_models", "Models", "Model"),
            "config": ("list_endpoint_configs", "EndpointConfigs", "EndpointConfig"),
        }[kind]
        mine = re.compile(rf"{re.escape(native_name(endpoint))}-[0-9a-f]{{12}}s?")
        found = []
        with told(f"list what belongs to {native_name(endpoint)}"):
            pages = self.client.get_paginator(operation).paginate(NameContains=f"{native_name(endpoint)}-")
            for entry in (entry for page in pages for entry in page[key]):
                if not mine.fullmatch(entry[f"{word}Name"]):
                    continue
                try:
                    tags = self.tags(entry[f"{word}Arn"])
                except Exception as error:
                    if is_missing(error):
                        continue
                    raise
                if tags.get(ENDPOINT_TAG) == endpoint:
                    found.append(entry[f"{word}Name"])
        return found

    def remove(self, kind: str, name: str) -> None:
        """Delete a Model or an EndpointConfig that is ours; it may be gone already."""
        with told(f"delete the {kind} {name}"):
            try:
                if kind == "model":
                    self.client.delete_model(ModelName=name)
                else:
                    self.client.delete_endpoint_config(EndpointConfigName=name)
            except Exception as error:
                if not is_missing(error):
                    raise

    def images_in_use(self, but: set[str]) -> set[str]:
        """List the images of all Models that are named as ours are, but of some."""
        with told("list models"):
            pages = self.client.get_paginator("list_models").paginate(NameContains=native_name(""))
            names = [entry["ModelName"] for page in pages for entry in page["Models"]]
        return {self.image_of(name) for name in names if name not in but}


def _config(design: Design) -> dict[str, Any]:
    """Describe the EndpointConfig of a design, as ``create_endpoint_config`` takes it."""
    variants = [_variant(design, VARIANT, "live")]
    config: dict[str, Any] = {"EndpointConfigName": design.name, "ProductionVariants": variants}
    if design.fleets == 2:
        config["ShadowProductionVariants"] = [_variant(design, SHADOW_VARIANT, "shadow")]
    if design.mode == "async":
        config["AsyncInferenceConfig"] = {
            "OutputConfig": {
                "S3OutputPath": f"s3://{design.bucket}/{prefix(design.endpoint)}async/out",
                "S3FailurePath": f"s3://{design.bucket}/{prefix(design.endpoint)}async/failed",
            }
        }
    return config


def _variant(design: Design, name: str, role: str) -> dict[str, Any]:
    variant: dict[str, Any] = {
        "VariantName": name,
        "ModelName": _model_name(design, role),
    }
    if design.mode == "serverless":
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": design.memory_mb,
            "MaxConcurrency": design.max_concurrency,
        }
        return variant
    return variant | {
        "InitialVariantWeight": 1.0,
        "InstanceType": design.instance_type,
        "InitialInstanceCount": design.instances,
        "ContainerStartupHealthCheckTimeoutInSeconds": design.startup_seconds,
        "ModelDataDownloadTimeoutInSeconds": max(60, design.startup_seconds),
        **({"InferenceAmiVersion": design.machine} if design.machine else {}),
    }


def _model_name(design: Design, role: str) -> str:
    return design.name if role == "live" else f"{design.name}s"


def _tags(design: Design, token: str) -> list[dict[str, str]]:
    values = {ENDPOINT_TAG: design.endpoint, TOKEN_TAG: token[:_MOST_TOKEN], LIVE_TAG: design.live}
    if design.shadow:
        values[SHADOW_TAG] = design.shadow
    if design.owner:
        values[OWNER_TAG] = design.owner
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _once(create: Any, **given: Any) -> bool:
    """Create what is not there yet; tell whether that was so.

    What is named after its content is the same where it is there.
    """
    try:
        create(**given)
    except Exception as error:
        if not is_there_already(error):
            raise
        return False
    return True
