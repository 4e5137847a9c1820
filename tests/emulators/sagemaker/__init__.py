"""Amazon SageMaker as it can be had without an account: driven by boto3 and the real SDK only.

moto's server stands for S3, IAM, STS, ECR, CloudWatch and the rest; SageMaker's control plane and runtime are
emulated, and what an endpoint runs is real: a container, or the container's entry point as a process.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from tests.emulators.registry import Registry
from tests.emulators.sagemaker.alarms import count_percentiles
from tests.emulators.sagemaker.calls import ACCOUNT
from tests.emulators.sagemaker.instance import docker_login, remove_images
from tests.emulators.sagemaker.invoke import Invocation
from tests.emulators.sagemaker.server import Server
from tests.emulators.sagemaker.site import Site

REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/TaxiwayExecution"


class SageMakerEmulator:
    """Start it by entering it; one at a time in a process, because moto's state is one.

    Parameters
    ----------
    folder
        For models' files and the registry's.
    runner
        ``docker``, ``process``, or ``auto`` for Docker where a daemon answers.
    registry
        Whether ECR is a real registry; by default where there are containers.
    life
        Seconds that an endpoint is at least Creating, Updating, rolling back or Deleting.
    second
        How long one second of AWS's waits takes here.
    startup
        Seconds for a container's first ping.
    """

    def __init__(
        self, folder: Path, *, runner: Literal["auto", "docker", "process"] = "auto",
        registry: bool | None = None,
        life: float = 0.3, second: float = 0.01, startup: float = 60.0, region: str = REGION,
    ) -> None:  # fmt: skip
        self.folder, self.region = folder, region
        docker = runner == "docker" or (runner == "auto" and _docker_answers())
        self.registry = Registry(folder / "registry") if (docker if registry is None else registry) else None
        self.site = Site(folder, docker, self.registry, life, second, startup)
        self._server: Server | None = None

    def __enter__(self) -> SageMakerEmulator:
        from moto.core.base_backend import BackendDict
        from moto.core.model_instances import reset_model_data

        self.folder.mkdir(parents=True, exist_ok=True)
        self.site.pass_word.write_text(self.site.keys.pass_word)
        if self.registry is not None:
            self.registry.start()
            docker_login(
                self.folder / "docker", self.registry.host, self.registry.user, self.registry.password
            )
        reset_model_data()
        BackendDict.reset()
        count_percentiles()
        self._server = Server(self.site)
        self._server.start()
        self.add_role("TaxiwayExecution")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()
        if self.registry is not None:
            self.registry.stop()
            if self.site.docker:
                remove_images(self.registry.host)
        shutil.rmtree(self.folder / "models", ignore_errors=True)

    # What tests read

    @property
    def server(self) -> Server:
        """The running server."""
        assert self._server is not None, "enter the emulator first"
        return self._server

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 reaches this and nothing else, with the user's keys."""
        user = self.site.keys.user
        return {
            "AWS_ACCESS_KEY_ID": user.id,
            "AWS_SECRET_ACCESS_KEY": user.secret,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.site.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_MAX_ATTEMPTS": "3",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    @property
    def role(self) -> str:
        """The ARN of a role that SageMaker may assume."""
        return ROLE

    def client(self, service: str, region: str | None = None) -> Any:
        """boto3 with the user's keys."""
        return self.site.client(service, region or self.region, inside=False)

    def invocations(self) -> list[Invocation]:
        """Every call that reached a container, in order."""
        return list(self.server.runtime.invocations)

    def account(self) -> dict[str, list[str]]:
        """The names of all there is in every region: for the test that nothing was left behind."""
        found: dict[str, list[str]] = {
            "models": [],
            "configs": [],
            "endpoints": [],
            "images": [],
            "objects": [],
        }
        for control in self.server.controls():
            found["models"] += control.models.all()
            found["configs"] += control.configurations.all()
            found["endpoints"] += control.endpoints
        inside = self.site.client
        for repository in inside("ecr", self.region).describe_repositories()["repositories"]:
            name = repository["repositoryName"]
            for image in self.registry.images(name) if self.registry else []:
                found["images"] += [f"{name}:{tag}" for tag in image.tags]
        s3 = inside("s3", self.region)
        for bucket in s3.list_buckets()["Buckets"]:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
            found["objects"] += [
                f"{bucket['Name']}/{item['Key']}" for page in pages for item in page.get("Contents", ())
            ]
        scaling = inside("application-autoscaling", self.region)
        targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        found["scaling"] = [target["ResourceId"] for target in targets]
        found["alarms"] = [
            alarm["AlarmName"]
            for alarm in inside("cloudwatch", self.region).describe_alarms()["MetricAlarms"]
        ]
        return {kind: sorted(names) for kind, names in found.items()}

    def flush(self) -> None:
        """Write logs, metrics and captured data at once."""
        self.server.records.flush()

    # What tests plant

    def add_role(self, name: str, principal: str = "sagemaker.amazonaws.com") -> str:
        """A role that this principal may assume; its ARN."""
        statement = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
        made = self.site.client("iam", "us-east-1").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        return str(made["Role"]["Arn"])

    def add_profile(self, domain: str, name: str, role: str = "") -> None:
        """A user of Studio, in every region, with a role of its own or that of the domain."""
        self.site.profiles[domain, name] = {"ExecutionRole": role} if role else {}

    def fail_next(
        self,
        operation: str,
        code: str,
        times: int = 1,
        *,
        message: str | None = None,
        status: int | None = None,
    ) -> None:
        """Let the next calls of an operation (``CreateModel``, ``s3:PutObject``, ``*``) fail with a code."""
        self.site.faults.plant(operation, code, times, message, status)

    def throttle(self, operation: str = "*", times: int = 3) -> None:
        """Answer ThrottlingException so many times."""
        self.fail_next(operation, "ThrottlingException", times)

    def deny(self, action: str) -> None:
        """Take a permission from the user (``iam:PassRole``, ``ecr:CreateRepository``)."""
        self.site.faults.denied.add(action)

    def stuck(self, state: str) -> None:
        """Keep endpoints in a state until :meth:`release`; ``Baking``: an update between its moves."""
        self.site.faults.stuck.add(state)

    def release(self) -> None:
        """Let every planted fault end, but expired credentials."""
        self.site.faults.end()

    def container_fails(self, log_lines: tuple[str, ...] | list[str]) -> None:
        """Containers that start from now on print this and die."""
        self.site.faults.log_lines = tuple(log_lines)

    def stale_reads(self, seconds: float) -> None:
        """Describe and list answer what was so many seconds ago."""
        self.site.faults.stale = seconds

    def quota(self, instance_type: str, instances: int) -> None:
        """The most instances of a type."""
        self.site.faults.quotas[instance_type] = instances

    def slow(self, seconds: float) -> None:
        """Every InvokeEndpoint takes so much longer."""
        self.site.faults.pause = seconds

    def expire_credentials(self) -> None:
        """The user's keys have expired."""
        self.site.keys.user.ends = 0.0

    def renew_credentials(self) -> None:
        """The user's keys are good again."""
        self.site.keys.user.ends = float("inf")

    def sleep(self, endpoint: str) -> None:
        """What serverless does when nobody asks for a while: no instance is left."""
        for fleet in self.server.control(self.region).endpoints[endpoint].fleets.values():
            fleet.sleep()

    def lose_instance(self, endpoint: str) -> None:
        """Kill one instance of each variant, as when its machine dies."""
        for fleet in self.server.control(self.region).endpoints[endpoint].fleets.values():
            fleet.instances[0].kill()


def _docker_answers() -> bool:
    from tests.containers import docker_answers

    return docker_answers()


__all__ = ["REGION", "ROLE", "Invocation", "SageMakerEmulator"]
