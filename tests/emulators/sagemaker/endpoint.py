"""One endpoint's life: Creating, InService, Updating, rolling back, Failed, Deleting."""

from __future__ import annotations

import tarfile
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.emulators.sagemaker.alarms import sounding
from tests.emulators.sagemaker.calls import ACCOUNT, invalid
from tests.emulators.sagemaker.fleet import Fleet, Unhealthy
from tests.emulators.sagemaker.instance import Launch, unpack
from tests.emulators.sagemaker.records import Records
from tests.emulators.sagemaker.shelf import Shelf
from tests.emulators.sagemaker.site import Site

Models = Callable[[str], dict[str, Any] | None]


class Endpoint:
    """What describe answers is written to the shelf at every step; the fleets are real.

    Parameters
    ----------
    configuration
        As CreateEndpointConfig got it.
    models
        Finds a Model.
    """

    def __init__(
        self, site: Site, records: Records, shelf: Shelf, region: str, name: str,
        configuration: dict[str, Any], models: Models,
    ) -> None:  # fmt: skip
        self.name, self.region, self.configuration = name, region, configuration
        self.arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint/{name.lower()}"
        self.fleets: dict[str, Fleet] = {}
        self.shadows: dict[str, Fleet] = {}
        self.canary: tuple[float, dict[str, Fleet]] | None = None
        self.weights: dict[str, float] = {}
        self.status, self.reason = "New", ""
        self._created = self._modified = time.time()
        self._deployment: dict[str, Any] | None = None
        self._site, self._records, self._shelf, self._models = site, records, shelf, models
        self._lock = threading.RLock()
        self._work: threading.Thread | None = None

    # What the control plane calls

    def create(self) -> None:
        """Start the first fleet, in the background."""
        self._begin("Creating", self._create)

    def update(self, configuration: dict[str, Any], deployment: dict[str, Any] | None) -> None:
        """Start a new fleet beside the old one and move over to it, in the background."""
        if self.status == "Failed":
            raise invalid(f'Cannot update endpoint "{self.arn}" in status Failed.')
        self._begin("Updating", lambda: self._update(configuration, deployment))

    def reweigh(self, desired: list[dict[str, Any]]) -> None:
        """Other weights and instance counts for variants."""
        for one in desired:
            if one["VariantName"] not in self.fleets:
                raise invalid(f'Could not find variant "{one["VariantName"]}" of endpoint "{self.arn}".')
        self._begin("Updating", lambda: self._reweigh(desired))

    def delete(self, done: Callable[[], None]) -> None:
        """End it, in the background."""

        def work() -> None:
            self._linger("Deleting", time.monotonic())
            self.end()
            self._shelf.drop(self.name)
            done()

        self._begin("Deleting", work)

    def end(self) -> None:
        """Stop every instance."""
        for fleet in (*self.fleets.values(), *self.shadows.values(), *(self.canary or (0, {}))[1].values()):
            fleet.stop()

    def join(self, seconds: float) -> None:
        """Wait until nothing is going on."""
        if self._work is not None:
            self._work.join(seconds)

    # Its states

    def _begin(self, status: str, work: Callable[[], None]) -> None:
        with self._lock:
            if self.status not in ("New", "InService", "Failed"):
                raise invalid(f'Cannot update in-progress endpoint "{self.arn}".')
            self._say(status)
            self._work = threading.Thread(target=work, name=f"{status} {self.name}", daemon=True)
            self._work.start()

    def _create(self) -> None:
        began = time.monotonic()
        try:
            fleets, shadows = self._fleets(self.configuration)
        except Unhealthy as error:
            self._linger("Creating", began)
            self._say("Failed", str(error))
            return
        self._linger("Creating", began)
        self._take(self.configuration, fleets, shadows)

    def _update(self, configuration: dict[str, Any], deployment: dict[str, Any] | None) -> None:
        began = time.monotonic()
        try:
            fleets, shadows = self._fleets(configuration)
        except Unhealthy as error:
            self._linger("Updating", began)
            self._roll_back(str(error))
            return
        old = (*self.fleets.values(), *self.shadows.values())
        alarm = self._move(fleets, deployment or {})
        self._linger("Updating", began)
        if alarm:
            for fleet in (*fleets.values(), *shadows.values()):
                fleet.stop()
            self._roll_back(f"Alarm(s) {alarm} went into ALARM state.")
            return
        self._deployment = deployment
        self._take(configuration, fleets, shadows)
        for fleet in old:
            fleet.stop()

    def _move(self, fleets: dict[str, Fleet], deployment: dict[str, Any]) -> str:
        """Give the new fleet its shares of the traffic; the alarm that stopped it, or nothing."""
        policy = deployment.get("BlueGreenUpdatePolicy", {})
        routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
        alarms = [
            one["AlarmName"] for one in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ())
        ]
        wait = routing.get("WaitIntervalInSeconds", 0)
        shares = _shares(routing)
        try:
            for place, share in enumerate(shares):
                self.canary = (share, fleets)
                last = place == len(shares) - 1
                seconds = policy.get("TerminationWaitInSeconds", 0) if last else wait
                if alarm := self._bake(seconds * self._site.second, alarms):
                    return alarm
            return ""
        finally:
            self.canary = None

    def _bake(self, seconds: float, alarms: list[str]) -> str:
        deadline = time.monotonic() + seconds
        while True:
            if raised := sounding(self._site, self.region, alarms):
                return ", ".join(raised)
            is_over = time.monotonic() >= deadline and "Baking" not in self._site.faults.stuck
            if is_over or self._site.ended.wait(0.25):
                return ""

    def _roll_back(self, reason: str) -> None:
        self._say("RollingBack", reason)
        self._linger("RollingBack", time.monotonic())
        self._say("InService", reason)

    def _reweigh(self, desired: list[dict[str, Any]]) -> None:
        began = time.monotonic()
        try:
            for one in desired:
                if (count := one.get("DesiredInstanceCount")) is not None:
                    self.fleets[one["VariantName"]].scale(count, self._site.startup)
                if (weight := one.get("DesiredWeight")) is not None:
                    self.weights[one["VariantName"]] = float(weight)
        except Unhealthy as error:
            self._roll_back(str(error))
            return
        self._linger("Updating", began)
        self._say("InService")

    def _take(
        self, configuration: dict[str, Any], fleets: dict[str, Fleet], shadows: dict[str, Fleet]
    ) -> None:
        with self._lock:
            self.configuration, self.fleets, self.shadows = configuration, fleets, shadows
            self.weights = {
                one["VariantName"]: float(one.get("InitialVariantWeight", 1.0))
                for one in configuration["ProductionVariants"]
            }
        self._say("InService")

    def _linger(self, state: str, began: float) -> None:
        self._site.ended.wait(max(0.0, began + self._site.life - time.monotonic()))
        self._site.faults.wait_while_stuck(state, self._site.ended)

    # Its fleets

    def _fleets(self, configuration: dict[str, Any]) -> tuple[dict[str, Fleet], dict[str, Fleet]]:
        made: dict[str, Fleet] = {}
        sides: list[dict[str, Fleet]] = []
        for side in ("ProductionVariants", "ShadowProductionVariants"):
            fleets: dict[str, Fleet] = {}
            for variant in configuration.get(side, ()):
                name = variant["VariantName"]
                try:
                    fleets[name] = made[name] = self._fleet(variant)
                except Unhealthy as error:
                    for fleet in made.values():
                        fleet.stop()
                    raise Unhealthy(_reason(name, str(error))) from None
            sides.append(fleets)
        return sides[0], sides[1]

    def _fleet(self, variant: dict[str, Any]) -> Fleet:
        model = self._models(variant["ModelName"])
        if model is None:
            raise Unhealthy(f'Could not find model "{variant["ModelName"]}".')
        container = model.get("PrimaryContainer") or model["Containers"][0]
        folder = self._site.folder / "models" / f"{self.name}-{self._site.number()}"
        source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
        if url := container.get("ModelDataUrl") or source:
            try:
                unpack(self._site.client("s3", self.region), url, folder)
            except (BotoCoreError, ClientError, OSError, tarfile.TarError) as error:
                raise Unhealthy(f"Failed to download model data from {url}: {error}") from None
        else:
            folder.mkdir(parents=True)

        def launch(name: str) -> Launch:
            stream = f"{name}/i-{uuid.uuid4().hex[:17]}"
            return Launch(
                container["Image"] if self._site.docker else None,
                folder,
                {**self._site.platform(self.region), **_without_gpu(container.get("Environment", {}))},
                lambda text: self._records.line(self.region, self.name, stream, text),
                self._site.folder / "docker",
                variant.get("ServerlessConfig", {}).get("MemorySizeInMB"),
            )

        fleet = Fleet(variant, launch, lambda: self._site.faults.log_lines)
        fleet.start(self._site.startup)
        return fleet

    # What is answered of it

    def _say(self, status: str, reason: str = "") -> None:
        self.status, self.reason, self._modified = status, reason, time.time()
        self._records.flush() if status == "Failed" else None
        self._write()

    def _write(self) -> None:
        answer: dict[str, Any] = {
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "EndpointConfigName": self.configuration["EndpointConfigName"],
            "EndpointStatus": self.status,
            "CreationTime": self._created,
            "LastModifiedTime": self._modified,
        }
        if self.reason:
            answer["FailureReason"] = self.reason
        if self._deployment:
            answer["LastDeploymentConfig"] = self._deployment
        if self.fleets and self.status != "Failed":
            answer["ProductionVariants"] = self._summaries("ProductionVariants", self.fleets)
            if self.shadows:
                answer["ShadowProductionVariants"] = self._summaries("ShadowProductionVariants", self.shadows)
            if capture := self.configuration.get("DataCaptureConfig"):
                answer["DataCaptureConfig"] = {
                    "EnableCapture": capture.get("EnableCapture", False),
                    "CaptureStatus": "Started" if capture.get("EnableCapture") else "Stopped",
                    "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                    "DestinationS3Uri": capture["DestinationS3Uri"],
                    "KmsKeyId": capture.get("KmsKeyId", ""),
                }
            if asynchronous := self.configuration.get("AsyncInferenceConfig"):
                answer["AsyncInferenceConfig"] = asynchronous
        self._shelf.put(self.name, answer)

    def _summaries(self, side: str, fleets: dict[str, Fleet]) -> list[dict[str, Any]]:
        return [self._summary(one, fleets[one["VariantName"]]) for one in self.configuration[side]]

    def _summary(self, variant: dict[str, Any], fleet: Fleet) -> dict[str, Any]:
        weight = self.weights.get(fleet.name, float(variant.get("InitialVariantWeight", 1.0)))
        model = self._models(variant["ModelName"]) or {"PrimaryContainer": {}}
        image = model.get("PrimaryContainer", {}).get("Image", "")
        summary: dict[str, Any] = {
            "VariantName": fleet.name,
            "DeployedImages": [
                {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": self._created}
            ],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
        }
        if fleet.serverless:
            return {
                **summary,
                "CurrentServerlessConfig": fleet.serverless,
                "DesiredServerlessConfig": fleet.serverless,
            }
        return {**summary, "CurrentInstanceCount": fleet.count, "DesiredInstanceCount": fleet.count}


def _without_gpu(environment: dict[str, str]) -> dict[str, str]:
    """An emulated instance has no GPU, whatever its type: what would compute on one computes on the CPU."""
    name = "TAXIWAY_SERVING_OPTIONS"
    if name not in environment:
        return environment
    return {**environment, name: environment[name].replace("--device cuda", "--device cpu")}


def _shares(routing: dict[str, Any]) -> list[float]:
    """The new fleet's parts of the traffic, one after another."""
    if routing["Type"] == "CANARY":
        return [_size(routing["CanarySize"]), 1.0]
    if routing["Type"] == "LINEAR":
        step = _size(routing["LinearStepSize"])
        return [min(step * number, 1.0) for number in range(1, round(1 / step) + 1)]
    return [1.0]


def _size(size: dict[str, Any]) -> float:
    return float(size["Value"]) / 100 if size["Type"] == "CAPACITY_PERCENT" else 0.5


def _reason(variant: str, error: str) -> str:
    if error.startswith("taxiway-emulated-"):
        return (
            f"The primary container for production variant {variant} did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        )
    return error
