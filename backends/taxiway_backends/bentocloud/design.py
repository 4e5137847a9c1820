"""What a deployment of ours is on BentoCloud, as one value that can be compared and sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from taxiway.backends import EndpointRef, EndpointSpec
from taxiway.errors import InputError
from taxiway_backends.bentocloud.choices import PLACE, Choices
from taxiway_backends.cloud import wishes

PREFIX = "taxiway"
SHADOW = "-shadow"
LIVE_ROLE, SHADOW_ROLE = "live", "shadow"
#: Variables of what is served.
ENDPOINT, ROLE, SHIP_TO = "TAXIWAY_ENDPOINT", "TAXIWAY_ROLE", "TAXIWAY_SHIP_TO"
OPTIONS, MIRROR_TO = "TAXIWAY_SERVING_OPTIONS", "TAXIWAY_MIRROR_TO"
#: BentoCloud itself asks for a token, and lets nobody else in.
OPEN = "TAXIWAY_CONTAINER_OPEN"
#: Variables that nothing in it reads: what we must know of it.
OWNER, CANARY, MIRROR_SECRET = (f"TAXIWAY_{word}" for word in ("OWNER", "CANARY", "MIRROR_SECRET"))
#: And those that say how it came to be so; two that differ in nothing else are the same.
APPLY, SINCE = "TAXIWAY_APPLY", "TAXIWAY_SINCE"
#: What only labels say of a deployment, since a change of a variable starts its replicas anew.
BEFORE, REFUSED = "before", "refused"
CANARY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Design:
    """All that decides what is deployed.

    Parameters
    ----------
    endpoint
        Our name of it.
    model
        The tag of the Model, and of its Bento.
    role
        ``live`` or ``shadow``; each is a deployment.
    least, most
        Replicas.
    idle_seconds
        After which the last replica stops, where ``least`` is 0; 0 is BentoCloud's own.
    start_seconds
        How long a request waits for the first replica; 0 is BentoCloud's own.
    ship_to
        Where the prediction log goes; empty for nowhere.
    options
        Of the serving runtime.
    secrets
        Names of BentoCloud secrets.
    mirror_to
        The address of the shadow; empty for none.
    mirror_secret
        The BentoCloud secret with the token for it; empty for one that we make.
    canary, canary_seconds
        The share of the requests that the next Model gets first, in per cent, and for how long.
    owner
        The ledger that asks for it.
    """

    endpoint: str
    model: str
    instance_type: str
    role: str = LIVE_ROLE
    least: int = 1
    most: int = 1
    idle_seconds: int = 0
    start_seconds: int = 0
    ship_to: str = ""
    options: str = ""
    secrets: tuple[str, ...] = ()
    mirror_to: str = ""
    mirror_secret: str = ""
    canary: int = 0
    canary_seconds: float = 0.0
    owner: str = ""

    @property
    def ref(self) -> EndpointRef:
        """Which endpoint it is of."""
        return EndpointRef(self.endpoint, self.owner)

    @property
    def name(self) -> str:
        """Of its deployment."""
        return native_name(self.endpoint, self.role)

    @property
    def service(self) -> str:
        """The name of the Bento's service, which is the Model's."""
        return self.model.partition(":")[0]

    def variables(self) -> dict[str, str]:
        """Give the environment of its replicas, all of it text."""
        given = {
            ENDPOINT: self.endpoint,
            OWNER: self.owner,
            ROLE: self.role,
            OPEN: "1",
            SHIP_TO: self.ship_to,
            OPTIONS: self.options,
            MIRROR_TO: self.mirror_to,
            MIRROR_SECRET: self.mirror_secret,
            CANARY: f"{self.canary} {self.canary_seconds:g}" if self.canary else "",
        }
        return {name: value for name, value in given.items() if value}

    def all_secrets(self) -> list[str]:
        """Name the BentoCloud secrets that its replicas get."""
        if not self.mirror_to:
            return list(self.secrets)
        return [*self.secrets, self.mirror_secret or mirror_name(self.endpoint)]

    def shadow(self, model: str) -> Design:
        """Give the deployment of a candidate beside this one, under the same conditions."""
        return replace(
            self, model=model, role=SHADOW_ROLE, mirror_to="", mirror_secret="", canary=0, canary_seconds=0.0
        )

    @classmethod
    def read(cls, model: str, config: Any) -> Design:
        """Read the configuration of a deployment's target, as BentoCloud gives it."""
        told = variables_of(config)
        service = next(iter(config.services.values()), None)
        scaling = service.scaling if service else None
        policy = scaling.policy if scaling else None
        share, _, seconds = told.get(CANARY, "0 0").partition(" ")
        endpoint, custom = told.get(ENDPOINT, ""), told.get(MIRROR_SECRET, "")
        of_mirror = (custom or mirror_name(endpoint)) if told.get(MIRROR_TO) else ""
        return cls(
            endpoint=endpoint,
            model=model,
            instance_type=(service.instance_type if service else "") or "",
            role=told.get(ROLE, LIVE_ROLE),
            least=_or(scaling.min_replicas if scaling else None, 1),
            most=_or(scaling.max_replicas if scaling else None, 1),
            idle_seconds=_or(policy.scale_down_stabilization_window if policy else None, 0),
            start_seconds=_or(service.cold_start_timeout if service else None, 0),
            ship_to=told.get(SHIP_TO, ""),
            options=told.get(OPTIONS, ""),
            secrets=tuple(name for name in config.secrets or () if name != of_mirror),
            mirror_to=told.get(MIRROR_TO, ""),
            mirror_secret=custom,
            canary=int(share),
            canary_seconds=float(seconds or 0),
            owner=told.get(OWNER, ""),
        )


def native_name(endpoint: str, role: str = LIVE_ROLE) -> str:
    """Name a deployment on BentoCloud."""
    return f"{PREFIX}-{endpoint}" + (SHADOW if role == SHADOW_ROLE else "")


def mirror_name(endpoint: str) -> str:
    """Name the BentoCloud secret with the token of the mirror."""
    return f"{PREFIX}-{endpoint}-mirror"


def check_name(name: str) -> None:
    """Refuse what cannot be an endpoint's name here."""
    wishes.check_name(name, PLACE)
    if name.endswith(SHADOW):
        raise InputError(
            f"{name!r} cannot be an endpoint's name on {PLACE}.",
            hint=f"Names that end with {SHADOW} are those of shadows.",
        )


def design(spec: EndpointSpec, chosen: Choices, instance_type: str) -> Design:
    """Say what the live deployment is to be, but for its mirror.

    Raises
    ------
    InputError
        Something in it cannot be.
    UnsupportedError
        BentoCloud cannot do something of it.
    """
    check_name(spec.name)
    wishes.check_workers(spec)
    wishes.check_routing(spec.routing)
    wishes.refuse_lacks(find_lacks(spec), PLACE)
    least, most = chosen.scale(spec.workers)
    seconds = (spec.bake.seconds if spec.bake else CANARY_SECONDS) if chosen.canary else 0.0
    return Design(
        endpoint=spec.name,
        model=spec.routing.live.tag,
        instance_type=instance_type,
        least=least,
        most=most,
        idle_seconds=chosen.scale_to_zero_after,
        start_seconds=chosen.cold_start_seconds,
        ship_to=ship_to(chosen.ship_to, spec.name),
        options=wishes.serving_options(spec.policies),
        secrets=chosen.secrets,
        mirror_secret=chosen.mirror_secret,
        canary=chosen.canary,
        canary_seconds=seconds,
        owner=spec.owner,
    )


def ship_to(store: str, endpoint: str) -> str:
    """Give the address of an endpoint's prediction log in a store; empty without one."""
    return f"{store.rstrip('/')}/{PREFIX}/{endpoint}/spool" if store else ""


def find_lacks(spec: EndpointSpec) -> tuple[str, ...]:
    """Say what of a spec BentoCloud cannot give."""
    lacks = wishes.lacks_of_clouds(spec, PLACE, "clients send an API token of BentoCloud")
    if spec.device == "gpu":
        lacks.append("device gpu: a Bento pins the runtime for CPUs")
    return tuple(lacks)


def differences(
    before: Design | None, after: Design, shadows: tuple[str | None, str | None]
) -> tuple[str, ...]:
    """Say what would change, one sentence a change.

    Parameters
    ----------
    shadows
        The tags of the shadow before and after.
    """
    old_shadow, new_shadow = shadows
    if before is None:
        first = f"push {after.model} and create the deployment {after.name} on {after.instance_type}"
        second = (
            (f"push {new_shadow} and create the deployment {native_name(after.endpoint, SHADOW_ROLE)}",)
            if new_shadow
            else ()
        )
        return first, *second
    changes = []
    if before.model != after.model:
        changes.append(f"push {after.model} and replace the live {before.model} by it")
    if old_shadow != new_shadow:
        changes.append(f"shadow: {old_shadow or 'none'} → {new_shadow or 'none'}")
    return *changes, *wishes.differences(before, after, ("endpoint", "model", "mirror_to", "owner"))


def variables_of(config: Any) -> Mapping[str, str]:
    """Give the environment variables of a target's configuration."""
    return {entry.name: entry.value for entry in (config.envs or ()) if entry}


def _or(value: Any, default: int) -> int:
    return default if value is None else int(value)
