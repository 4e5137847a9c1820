"""What an endpoint of ours is on SageMaker: all native resources follow from it, named by its digest."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import asdict, dataclass, field, fields, replace

from taxiway.backends import Bake, EndpointRef, EndpointSpec, Routing
from taxiway_backends.cloud import wishes
from taxiway_backends.sagemaker import choices as choosing
from taxiway_backends.sagemaker import prices
from taxiway_backends.sagemaker.choices import Choices

PREFIX = "taxiway"
VARIANT = "AllTraffic"
SHADOW_VARIANT = "Shadow"
_STILL = (
    "Between requests a serverless container stands still, and so does the shipping of its prediction log."
)


@dataclass(frozen=True, slots=True)
class Design:
    """All that decides what is created.

    Parameters
    ----------
    endpoint
        Our name of it.
    live, shadow
        Tags of Models.
    instances
        Of the live fleet; 1 for serverless.
    image, role, bucket
        As SageMaker is given them.
    environment
        Of the containers, beyond what every one gets.
    gpu
        Whether the image has what a GPU needs.
    machine
        What its instances run; empty for SageMaker's own choice.
    owner
        The ledger that asks for it.
    """

    endpoint: str
    live: str
    shadow: str | None
    image: str
    role: str
    bucket: str
    mode: str = "realtime"
    instance_type: str = ""
    instances: int = 1
    memory_mb: int = 0
    max_concurrency: int = 0
    autoscale: tuple[int, int] | None = None
    invocations_per_instance: int = 0
    native: bool = False
    canary: int = 0
    bake: Bake | None = None
    startup_seconds: int = 600
    environment: dict[str, str] = field(default_factory=dict)
    gpu: bool = False
    machine: str = ""
    owner: str = ""

    @property
    def ref(self) -> EndpointRef:
        """Which endpoint it is of."""
        return EndpointRef(self.endpoint, self.owner)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of its content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """Of its Model and its EndpointConfig."""
        return f"{native_name(self.endpoint)}-{self.digest}"

    @property
    def fleets(self) -> int:
        """How many fleets are billed."""
        return 2 if self.native and self.shadow else 1

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Design:
        """Read what ``to_json`` gave; what a later Taxiway added is left out."""
        data = json.loads(text)
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        scale, bake = values.get("autoscale"), values.get("bake")
        return cls(
            **{**values, "autoscale": tuple(scale) if scale else None, "bake": Bake(**bake) if bake else None}
        )

    def archive(self, role: str = "live") -> str:
        """Name the S3 object with the Models of one container."""
        tags = [self.live, self.shadow] if role == "live" and not self.native else [getattr(self, role)]
        return (
            f"{models_prefix(self.endpoint)}{'+'.join(tag.replace(':', '-') for tag in tags if tag)}.tar.gz"
        )

    def routed(self, routing: Routing) -> Design:
        """Give the same with other Models."""
        return replace(self, live=routing.live.tag, shadow=routing.shadow.tag if routing.shadow else None)

    def variables(self, role: str, region: str) -> dict[str, str]:
        """Give the environment of a container."""
        options = shlex.split(self.environment.get("TAXIWAY_SERVING_OPTIONS", ""))
        if role == "shadow":
            options += ["--role", "shadow"]
        ship = f"s3://{self.bucket}/{spool_prefix(self.endpoint).rstrip('/')}"
        given = {
            **self.environment,
            "AWS_REGION": region,
            "TAXIWAY_ENDPOINT": self.endpoint,
            "TAXIWAY_SHIP_TO": ship,
        }
        return given | ({"TAXIWAY_SERVING_OPTIONS": shlex.join(options)} if options else {})

    def cost(self) -> float | None:
        """Estimate US dollars an hour; 0 for serverless, None where no price is known."""
        if self.mode == "serverless":
            return 0.0
        each = prices.hourly(self.instance_type)
        return None if each is None else each * self.instances * self.fleets


def native_name(endpoint: str) -> str:
    """Name the SageMaker endpoint."""
    return f"{PREFIX}-{endpoint}"


def prefix(endpoint: str) -> str:
    """Give the beginning of all S3 objects of an endpoint."""
    return f"{PREFIX}/{endpoint}/"


def models_prefix(endpoint: str) -> str:
    """Give the beginning of the S3 objects that hold Models."""
    return f"{prefix(endpoint)}models/"


def spool_prefix(endpoint: str) -> str:
    """Give the beginning of the S3 objects that hold the prediction log."""
    return f"{prefix(endpoint)}spool/"


def designs_prefix(endpoint: str) -> str:
    """Give the beginning of the S3 objects in which designs are written down."""
    return f"{prefix(endpoint)}designs/"


def design_key(endpoint: str, digest: str) -> str:
    """Name the S3 object in which a design is written down."""
    return f"{designs_prefix(endpoint)}{digest}.json"


def instance_type(spec: EndpointSpec, chosen: Choices) -> str:
    """Name the type of the instances; empty for a serverless endpoint."""
    if chosen.mode == "serverless":
        return ""
    return chosen.instance_type or (choosing.GPU_DEFAULT if spec.device == "gpu" else choosing.CPU_DEFAULT)


def needs_gpu(spec: EndpointSpec, chosen: Choices) -> bool:
    """Tell whether the image is to have what a GPU needs."""
    return spec.device != "cpu" and choosing.is_gpu(instance_type(spec, chosen))


def design(
    spec: EndpointSpec, chosen: Choices, *, image: str, machine: str, role: str, bucket: str
) -> Design:
    """Say what an endpoint is to be.

    Raises
    ------
    InputError
        Something in it cannot be.
    UnsupportedError
        SageMaker cannot do something of it.
    """
    wishes.check_name(spec.name, choosing.PLACE)
    wishes.check_workers(spec)
    wishes.check_routing(spec.routing)
    wishes.refuse_lacks(find_lacks(spec, chosen), choosing.PLACE)
    serverless = chosen.mode == "serverless"
    options = shlex.split(wishes.serving_options(spec.policies))
    if spec.device != "auto":  # a GPU that is demanded is paid for: a CPU does not stand in for it
        options += ["--device", "cuda" if spec.device == "gpu" else "cpu"]
    instances = 1 if serverless else spec.workers
    if chosen.autoscale:
        instances = min(max(instances, chosen.autoscale[0], 1), chosen.autoscale[1])
    realtime = chosen.mode == "realtime"
    return Design(
        endpoint=spec.name,
        live=spec.routing.live.tag,
        shadow=spec.routing.shadow.tag if spec.routing.shadow else None,
        image=image,
        role=role,
        bucket=bucket,
        mode=chosen.mode,
        instance_type=instance_type(spec, chosen),
        instances=instances,
        memory_mb=chosen.memory_mb if serverless else 0,
        max_concurrency=min(chosen.max_concurrency, 200) if serverless else 0,
        autoscale=chosen.autoscale,
        invocations_per_instance=chosen.invocations_per_instance if chosen.autoscale else 0,
        native=chosen.shadow == "native",
        canary=chosen.canary if realtime else 0,
        bake=spec.bake if realtime else None,
        startup_seconds=0 if serverless else chosen.startup_seconds,
        environment={"TAXIWAY_SERVING_OPTIONS": shlex.join(options)} if options else {},
        gpu=needs_gpu(spec, chosen),
        machine=machine,
        owner=spec.owner,
    )


def find_lacks(spec: EndpointSpec, chosen: Choices) -> tuple[str, ...]:
    """Say what of a spec SageMaker cannot give."""
    lacks = wishes.lacks_of_clouds(spec, choosing.PLACE, "clients sign with AWS credentials")
    if spec.device == "gpu" and chosen.mode == "serverless":
        lacks.append("device gpu: a serverless endpoint has none")
    elif spec.device == "gpu" and chosen.instance_type and not choosing.is_gpu(chosen.instance_type):
        lacks.append(f"device gpu: {chosen.instance_type} has none")
    if chosen.shadow == "native" and chosen.mode != "realtime":
        lacks.append(f"shadow native: a {chosen.mode} endpoint has no shadow variant")
    if spec.bake and chosen.mode != "realtime":
        lacks.append(f"bake: a {chosen.mode} endpoint is not updated behind alarms")
    return tuple(lacks)


def differences(before: Design | None, after: Design) -> tuple[str, ...]:
    """Say what would change, one sentence a change."""
    where = after.instance_type or f"serverless with {after.memory_mb} MB"
    if before is None:
        return (
            f"create the {after.mode} endpoint {native_name(after.endpoint)} on {where} with {after.live}",
        )
    changes = []
    if before.live != after.live:
        changes.append(f"replace the live {before.live} by {after.live}")
    if before.shadow != after.shadow:
        changes.append(f"shadow: {before.shadow or 'none'} → {after.shadow or 'none'}")
    return *changes, *wishes.differences(before, after, ("endpoint", "live", "shadow", "owner"))


def cost_notes(before: Design | None, after: Design) -> tuple[str, ...]:
    """Say what it costs, and what an update costs beside."""
    if after.mode == "serverless":
        notes = [prices.say_serverless(after.memory_mb), _STILL]
    else:
        notes = [prices.say(after.instance_type, after.instances, after.fleets)]
    if after.autoscale:
        least, most = after.autoscale
        notes.append(f"Autoscaling goes from {least} to {most} instances, and the cost with it.")
    if before is not None and before != after and after.mode != "serverless":
        notes.append("While it is updated, the old and the new fleet are billed side by side, for minutes.")
    return tuple(notes)
