"""The runtime: InvokeEndpoint and its asynchronous sister, proxied to the endpoint's instances."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from werkzeug.wrappers import Request, Response

from tests.emulators.sagemaker.calls import ACCOUNT, AwsError, Call
from tests.emulators.sagemaker.endpoint import Endpoint
from tests.emulators.sagemaker.fleet import Fleet, Unhealthy
from tests.emulators.sagemaker.instance import Answer
from tests.emulators.sagemaker.records import LOG_GROUP, Records, captured
from tests.emulators.sagemaker.site import Site

#: SageMaker's own limits, in bytes.
MOST_BYTES = 6 * 1024 * 1024
MOST_SERVERLESS_BYTES = 4 * 1024 * 1024
_PREFIX = "X-Amzn-SageMaker-"
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a container, for tests to look at.

    Parameters
    ----------
    headers
        What the container got.
    """

    endpoint: str
    variant: str
    status: int
    inference_id: str
    headers: dict[str, str]
    body: bytes
    shadow: bool


class Runtime:
    """Answers the runtime's two operations."""

    def __init__(self, site: Site, records: Records, find: Callable[[str, str], Endpoint | None]) -> None:
        self.invocations: list[Invocation] = []
        self._site, self._records, self._find = site, records, find
        self._pool = ThreadPoolExecutor(8)
        self._going: dict[str, int] = {}

    def close(self) -> None:
        """Wait for what was mirrored or put off."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def answer(self, call: Call) -> Response:
        """Carry one out."""
        endpoint = self._find(call.region, call.endpoint)
        if endpoint is None or not endpoint.fleets:
            raise AwsError(
                "ValidationError", f"Endpoint {call.endpoint} of account {ACCOUNT} not found.", Message=""
            )
        asynchronous = "AsyncInferenceConfig" in endpoint.configuration
        if asynchronous != (call.operation == "InvokeEndpointAsync"):
            kind = "asynchronous" if asynchronous else "real-time"
            raise AwsError(
                "ValidationError",
                f"Endpoint {call.endpoint} is {kind}, and does not support {call.operation}.",
            )
        return self._put_off(call, endpoint) if asynchronous else self._now(call, endpoint)

    # Real-time and serverless

    def _now(self, call: Call, endpoint: Endpoint) -> Response:
        request = call.request
        fleet = self._choose(endpoint, request.headers.get(f"{_PREFIX}Target-Variant"))
        most = MOST_SERVERLESS_BYTES if fleet.serverless else MOST_BYTES
        length = request.content_length or 0
        if length > most:
            request.get_data()  # a client that is still sending would take the answer for a broken connection
            raise AwsError("413", f"HTTP content length exceeded {most} bytes.", 413)
        body = request.get_data()
        headers = _passed_on(request)
        inference_id = request.headers.get(f"{_PREFIX}Inference-Id", "")
        going = self._going.get(endpoint.name, 0)
        if fleet.serverless and going >= fleet.serverless["MaxConcurrency"]:
            raise AwsError(
                "ThrottlingException", "Rate exceeded: MaxConcurrency of the variant is in use.", 429
            )
        self._going[endpoint.name] = going + 1
        try:
            time.sleep(self._site.faults.pause)
            answer = self._ask(endpoint, fleet, body, headers, inference_id)
        finally:
            self._going[endpoint.name] -= 1
        self._mirror(endpoint, body, headers, inference_id)
        if answer.status == 0 or answer.status >= 400:
            raise self._model_error(call.region, endpoint, fleet, answer)
        response = Response(answer.body, 200)
        response.headers["Content-Type"] = answer.headers.get("content-type", "application/octet-stream")
        response.headers["x-Amzn-Invoked-Production-Variant"] = fleet.name
        if attributes := answer.headers.get(_ATTRIBUTES.lower()):
            response.headers[_ATTRIBUTES] = attributes
        return response

    def _choose(self, endpoint: Endpoint, target: str | None) -> Fleet:
        fleets = endpoint.fleets
        if (canary := endpoint.canary) and self._site.random.random() < canary[0]:
            fleets = canary[1]
        if target is not None:
            if target not in fleets:
                raise AwsError("ValidationError", f"Variant {target} not found for Request.")
            return fleets[target]
        weights = [endpoint.weights.get(name, 1.0) for name in fleets]
        if not any(weights):
            raise AwsError("ValidationError", f"Every variant of endpoint {endpoint.name} has the weight 0.")
        return self._site.random.choices(list(fleets.values()), weights)[0]

    def _ask(
        self, endpoint: Endpoint, fleet: Fleet, body: bytes, headers: dict[str, str], inference_id: str,
        *, shadow: bool = False,
    ) -> Answer:  # fmt: skip
        try:
            answer = fleet.ask(body, headers)
        except Unhealthy:
            answer = Answer(0, {}, b"the container does not come up", 0.0)
        answer = Answer(
            answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body, answer.seconds
        )
        self.invocations.append(
            Invocation(endpoint.name, fleet.name, answer.status, inference_id, headers, body, shadow)
        )
        status = answer.status or 500
        self._records.metrics(
            endpoint.region,
            endpoint.name,
            fleet.name,
            {
                "Invocations": (1.0, "None"),
                "Invocation4XXErrors": (float(400 <= status < 500), "None"),
                "Invocation5XXErrors": (float(status >= 500), "None"),
                "InvocationModelErrors": (float(status >= 400), "None"),
                "ModelLatency": ((answer.seconds + self._site.faults.pause) * 1e6, "Microseconds"),
                "OverheadLatency": (500.0, "Microseconds"),
            },
        )
        self._capture(endpoint, fleet, body, headers, inference_id, answer)
        return answer

    def _mirror(self, endpoint: Endpoint, body: bytes, headers: dict[str, str], inference_id: str) -> None:
        """A copy to the shadow variant, for the share that its weight is of the production variant's."""
        for variant in endpoint.configuration.get("ShadowProductionVariants", ()):
            live = endpoint.configuration["ProductionVariants"][0].get("InitialVariantWeight", 1.0)
            share = variant.get("InitialVariantWeight", 1.0) / live if live else 0.0
            fleet = endpoint.shadows.get(variant["VariantName"])
            if fleet is not None and self._site.random.random() < share:
                self._pool.submit(self._ask, endpoint, fleet, body, headers, inference_id, shadow=True)

    def _capture(
        self, endpoint: Endpoint, fleet: Fleet, body: bytes, headers: dict[str, str], inference_id: str,
        answer: Answer,
    ) -> None:  # fmt: skip
        settings = endpoint.configuration.get("DataCaptureConfig")
        if not settings or not settings.get("EnableCapture") or answer.status != 200:
            return
        if self._site.random.random() * 100 >= settings["InitialSamplingPercentage"]:
            return
        modes = {one["CaptureMode"] for one in settings["CaptureOptions"]}
        data: dict[str, Any] = {}
        if modes & {"Input", "InputAndOutput"}:
            data["endpointInput"] = captured(body, headers.get("Content-Type", ""), "INPUT")
        if modes & {"Output", "InputAndOutput"}:
            data["endpointOutput"] = captured(answer.body, answer.headers.get("content-type", ""), "OUTPUT")
        meta = {
            "eventId": str(uuid.uuid4()),
            "inferenceTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if inference_id:
            meta["inferenceId"] = inference_id
        if attributes := headers.get(_ATTRIBUTES):
            meta["customAttributes"] = [attributes]  # type: ignore[assignment]
        prefix = f"{settings['DestinationS3Uri'].rstrip('/')}/{endpoint.name}/{fleet.name}"
        self._records.capture(
            endpoint.region, prefix, {"captureData": data, "eventMetadata": meta, "eventVersion": "0"}
        )

    def _model_error(self, region: str, endpoint: Endpoint, fleet: Fleet, answer: Answer) -> AwsError:
        said = answer.body.decode("utf-8", "replace")
        if answer.status == 0:
            said = (
                "Your invocation timed out while waiting for a response from container primary. Review the "
            )
            said += (
                "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
            )
        side = "client" if 400 <= answer.status < 500 else "server"
        group = quote(f"{LOG_GROUP}{endpoint.name}", safe="/")
        message = (
            f'Received {side} error ({answer.status}) from primary with message "{said}". See https://{region}.'
            f"console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} in account "
            f"{ACCOUNT} for more information."
        )
        return AwsError(
            "ModelError",
            message,
            424,
            ErrorCode="CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL",
            OriginalStatusCode=answer.status,
            OriginalMessage=said,
            LogStreamArn=f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{LOG_GROUP}{endpoint.name}",
        )

    # Asynchronous

    def _put_off(self, call: Call, endpoint: Endpoint) -> Response:
        request = call.request
        location = request.headers.get(f"{_PREFIX}InputLocation", "")
        output = endpoint.configuration["AsyncInferenceConfig"]["OutputConfig"]
        inference_id = request.headers.get(f"{_PREFIX}Inference-Id") or str(uuid.uuid4())
        target = f"{output['S3OutputPath'].rstrip('/')}/{uuid.uuid4()}.out"
        failure = output.get("S3FailurePath")
        failed = f"{failure.rstrip('/')}/{uuid.uuid4()}-error.out" if failure else ""
        headers = _passed_on(request)
        headers.pop("Content-Type", None)
        for name in ("Content-Type", "Accept"):
            if value := request.headers.get(_PREFIX + name):
                headers[name] = value
        self._pool.submit(self._later, endpoint, location, headers, inference_id, target, failed)
        response = Response(json.dumps({"InferenceId": inference_id}), 202, content_type="application/json")
        response.headers[f"{_PREFIX}OutputLocation"] = target
        if failed:
            response.headers[f"{_PREFIX}FailureLocation"] = failed
        return response

    def _later(
        self, endpoint: Endpoint, location: str, headers: dict[str, str], inference_id: str,
        target: str, failed: str,
    ) -> None:  # fmt: skip
        s3 = self._site.client("s3", endpoint.region)
        where = urlsplit(location)
        try:
            body = s3.get_object(Bucket=where.netloc, Key=where.path.lstrip("/"))["Body"].read()
        except s3.exceptions.ClientError as error:
            answer = Answer(400, {}, str(error).encode(), 0.0)
        else:
            fleet = self._choose(endpoint, None)
            answer = self._ask(endpoint, fleet, body, headers, inference_id)
        address = target if answer.status == 200 else failed
        if address:
            to = urlsplit(address)
            s3.put_object(Bucket=to.netloc, Key=to.path.lstrip("/"), Body=answer.body)


def _passed_on(request: Request) -> dict[str, str]:
    """The headers that InvokeEndpoint supports; all others stay outside the container."""
    kept = {
        name: value for name, value in request.headers.items() if name.lower().startswith(_PREFIX.lower())
    }
    for name in ("Content-Type", "Accept"):
        if value := request.headers.get(name):
            kept[name] = value
    return {
        _ATTRIBUTES if name.lower() == _ATTRIBUTES.lower() else name: value for name, value in kept.items()
    }
