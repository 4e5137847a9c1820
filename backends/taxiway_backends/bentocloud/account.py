"""The calls to BentoCloud that look and change, through BentoML's own client and in its own types."""

from __future__ import annotations

import base64
import hashlib
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event
from typing import Any

from taxiway.backends import EndpointRef
from taxiway_backends.bentocloud.credentials import Credentials
from taxiway_backends.bentocloud.design import (
    APPLY,
    BEFORE,
    ENDPOINT,
    OWNER,
    REFUSED,
    ROLE,
    SINCE,
    Design,
    mirror_name,
    native_name,
    variables_of,
)
from taxiway_backends.bentocloud.refusals import MissingError, TakenError, told

MAIN, NEXT = "main", "next"
_LABELS = {
    ENDPOINT: "taxiway-endpoint",
    OWNER: "taxiway-owner",
    ROLE: "taxiway-role",
    APPLY: "taxiway-token",
    BEFORE: "taxiway-before",
    REFUSED: "taxiway-refused",
}
_LONGEST_LABEL = 63
_COLON = "."  # a label holds no colon
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Target:
    """One version that a deployment runs: ``main``, or ``next`` while a canary is on."""

    design: Design
    memory: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Native:
    """A deployment as BentoCloud describes it.

    Attributes
    ----------
    revised
        When its latest revision was made.
    active
        Whether that is the one that answers.
    main, next
        What it runs; None where it has no revision, and no canary.
    """

    name: str
    status: str
    cluster: str
    namespace: str
    urls: tuple[str, ...]
    revised: datetime
    active: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    main: Target | None = None
    next: Target | None = None

    @property
    def url(self) -> str:
        """Where it answers; empty where it has no address yet."""
        return self.urls[0].rstrip("/") if self.urls else ""

    def belongs_to(self, ref: EndpointRef, role: str) -> bool:
        """Tell whether it bears our mark, and no other ledger's."""
        if self.main is not None:
            told_ = self.main.memory
        else:
            told_ = {name: self.labels.get(label, "") for name, label in _LABELS.items()}
        owner = told_.get(OWNER, "")
        ours = (told_.get(ENDPOINT), told_.get(ROLE)) == (ref.name, role)
        return ours and (not owner or ref.owner in ("", owner))

    @property
    def before(self) -> str:
        """The tag of the Model that answered before the latest update; empty for none."""
        return _tag(self.labels.get(_LABELS[BEFORE], ""))

    @property
    def refused(self) -> str:
        """The tag of the Model that was sent back; empty for none."""
        return _tag(self.labels.get(_LABELS[REFUSED], ""))

    @property
    def mirrors(self) -> bool:
        """Whether a version of it needs the secret of the mirror."""
        return any(one is not None and one.design.mirror_to for one in (self.main, self.next))

    @property
    def token(self) -> str:
        """Under which it was last changed."""
        return self.labels.get(_LABELS[APPLY], "")

    def was_tried(self, design: Design, token: str) -> bool:
        """Tell whether just this was asked for under this token, whatever became of it."""
        if self.refused == design.model:
            return self.token == token
        newest = self.next or self.main
        return newest is not None and same(newest.design, design) and newest.memory.get(APPLY) == token


@dataclass(frozen=True, slots=True)
class InstanceType:
    """What a replica can run on; ``price`` is US dollars an hour, None where BentoCloud tells none."""

    name: str
    price: float | None
    has_gpu: bool


class Account:
    """One user's BentoCloud.

    Parameters
    ----------
    credentials
        Whose.

    Attributes
    ----------
    cloud
        BentoML's client.
    asker
        What asks deployments; it keeps its connections.
    """

    def __init__(self, credentials: Credentials) -> None:
        import bentoml

        from taxiway_backends.bentocloud import asking

        self.credentials = credentials
        made: Any = bentoml.BentoCloudClient
        self.cloud = made(api_key=credentials.key, endpoint=credentials.endpoint, timeout=_SECONDS)
        self._types: dict[str, list[InstanceType]] = {}
        self.asker = asking.client(credentials.key)
        for session in (self.cloud.client.session, self.asker):
            weakref.finalize(self, session.close)

    @property
    def _calls(self) -> Any:
        return self.cloud.client.v2

    def identity(self) -> tuple[str, str]:
        """Give the names of the user and of the organization."""
        calls = self.cloud.client.v1
        with told("tell who asks"):
            user, organization = calls.get_current_user(), calls.get_current_organization()
            if user is None or organization is None:
                raise ValueError("nobody")
        return str(user.name), str(organization.name)

    def instance_types(self, cluster: str) -> list[InstanceType]:
        """List what replicas can run on."""
        with told("list the instance types"):
            found = self.cloud.deployment.list_instance_types(cluster or None)
        return [InstanceType(one.name, _price(one.price), (one.gpu or "0") not in ("0", "")) for one in found]

    def price(self, instance_type: str, cluster: str) -> float | None:
        """Give the price of one replica as it was when it was first asked for."""
        if cluster not in self._types:
            self._types[cluster] = self.instance_types(cluster)
        return next((one.price for one in self._types[cluster] if one.name == instance_type), None)

    def deployment(self, endpoint: str, role: str, cluster: str) -> Native | None:
        """Describe the deployment named as ours is, be it a stranger's; None where there is none."""
        try:
            with told(f"describe {native_name(endpoint, role)}"):
                return _native(self._calls.get_deployment(native_name(endpoint, role), cluster or None))
        except MissingError:
            return None

    def create(self, design: Design, token: str, cluster: str) -> Native:
        """Create a deployment; TakenError where there is one of that name."""
        from bentoml._internal.cloud.schemas import schemasv2

        body = schemasv2.CreateDeploymentSchema(
            name=design.name, **_config(design, {APPLY: token}), labels=_labels(design, {APPLY: token})
        )
        with told(f"create {design.name}"):
            return _native(self._calls.create_deployment(body, cluster or None))

    def update(
        self,
        native: Native,
        design: Design,
        memory: Mapping[str, str],
        labels: Mapping[str, str],
        canary: tuple[Design, Mapping[str, str]] | None = None,
    ) -> Native:
        """Make a deployment so; with a canary, its share of the requests goes to another version.

        Parameters
        ----------
        memory
            What is to be remembered with the main version, among its variables.
        labels
            What is to be remembered without a change to what runs.
        canary
            The other version, and what is to be remembered with it.
        """
        from bentoml._internal.cloud.schemas import schemasv2

        body = schemasv2.UpdateDeploymentSchema(**_config(design, memory), labels=_labels(design, labels))
        if canary is not None:
            given = _config(*canary)
            version = schemasv2.DeploymentVersionSchema(
                bento=given["bento"],
                weight=canary[0].canary,
                envs=given["envs"],
                secrets=given["secrets"],
                services=given["services"],
            )
            body.canary = schemasv2.DeploymentCanarySchema(route_type="random", versions={NEXT: version})
        with told(f"update {design.name}"):
            return _native(self._calls.update_deployment(native.name, body, native.cluster))

    def terminate(self, native: Native) -> None:
        """Stop all replicas of a deployment; it may be gone already."""
        with told(f"stop {native.name}"):
            self._calls.terminate_deployment(native.name, native.cluster)

    def delete(self, native: Native) -> None:
        """Delete a deployment; it may be gone already."""
        with told(f"delete {native.name}"):
            self._calls.delete_deployment(native.name, native.cluster)

    def pods(self, native: Native) -> list[Any]:
        """List the pods of a deployment's replicas."""
        with told(f"list the replicas of {native.name}"):
            return list(self._calls.list_deployment_pods(native.name, native.cluster))

    def builder(self, native: Native) -> Any:
        """Give the pod that builds a deployment's image; None where there is none (any more)."""
        with told(f"look for the build of {native.name}"):
            return self._calls.get_deployment_image_builder_pod(native.name, native.cluster)

    def tail(self, native: Native, pod: str, container: str, stop: Event) -> Iterator[str]:
        """Give a pod's last 50 lines, and those that come, until its end or ``stop`` is set."""
        with told(f"read the log of {native.name}"):
            for piece in self._calls.tail_logs(
                cluster_name=native.cluster,
                namespace=native.namespace,
                pod_name=pod,
                container_name=container,
                stop_event=stop,
            ):
                yield from base64.b64decode(piece).decode(errors="replace").rstrip("\n").split("\n")

    def keep_mirror_secret(self, endpoint: str, cluster: str) -> None:
        """Make the secret with which the live Model's replicas ask the shadow's, or bring it up to date."""
        name, mark = mirror_name(endpoint), self._mark(endpoint)
        given = {
            "type": "env",
            "key_vals": [("TAXIWAY_MIRROR_TOKEN", self.credentials.key)],
            "description": mark,
            "cluster": cluster or None,
        }
        found = self._mirror_secret(endpoint)
        if found is not None and not found.description.startswith(_about(endpoint)):
            raise TakenError(
                f"There is a secret {name} on BentoCloud that Taxiway did not make.",
                hint="Delete it, or name it in the setting mirror_secret if it holds TAXIWAY_MIRROR_TOKEN.",
            )
        with told(f"keep the secret {name}"):
            if found is None:
                self.cloud.secret.create(name, **given)
            elif found.description != mark:
                self.cloud.secret.update(name, **given)

    def remove_mirror_secret(self, endpoint: str, cluster: str) -> None:
        """Delete that secret, where there is one of ours."""
        found = self._mirror_secret(endpoint)
        if found is not None and found.description.startswith(_about(endpoint)):
            with told(f"delete the secret {found.name}"):
                self.cloud.secret.delete(found.name, cluster or None)

    def _mirror_secret(self, endpoint: str) -> Any:
        name = mirror_name(endpoint)
        with told("list the secrets"):
            return next((one for one in self.cloud.secret.list(search=name) if one.name == name), None)

    def _mark(self, endpoint: str) -> str:
        """Say of which endpoint a secret is, and by a few digits of its digest which token it holds."""
        return f"{_about(endpoint)} token {hashlib.sha256(self.credentials.key.encode()).hexdigest()[:8]}"


def same(one: Design, other: Design) -> bool:
    """Tell whether two deployments differ in nothing; whose they are is no difference."""
    return replace(one, owner="") == replace(other, owner="")


def _about(endpoint: str) -> str:
    return f"Taxiway: the mirror of {endpoint},"


def _config(design: Design, memory: Mapping[str, str]) -> dict[str, Any]:
    """Give a version's configuration, as the client's types take it."""
    from bentoml._internal.cloud.schemas import modelschemas

    policy = (
        modelschemas.HPAPolicy(scale_down_stabilization_window=design.idle_seconds)
        if design.idle_seconds
        else None
    )
    service = modelschemas.DeploymentServiceConfig(
        instance_type=design.instance_type or None,
        scaling=modelschemas.DeploymentTargetHPAConf(design.least, design.most, policy),
        cold_start_timeout=design.start_seconds or None,
    )
    variables = {**design.variables(), **{name: value for name, value in memory.items() if value}}
    return {
        "bento": design.model,
        "access_authorization": True,  # BentoCloud takes what is left out as false
        "envs": [modelschemas.EnvItemSchema(name, value) for name, value in sorted(variables.items())],
        "secrets": design.all_secrets() or None,
        "services": {design.service: service},
    }


def _labels(design: Design, more: Mapping[str, str]) -> list[Any]:
    from bentoml._internal.cloud.schemas.modelschemas import LabelItemSchema

    values = {ENDPOINT: design.endpoint, OWNER: design.owner, ROLE: design.role, **more}
    return [
        LabelItemSchema(_LABELS[name], value.replace(":", _COLON))
        for name, value in values.items()
        if 0 < len(value) <= _LONGEST_LABEL
    ]


def _tag(label: str) -> str:
    """Read a Model's tag from a label; its name may hold a full stop, its version does not."""
    return ":".join(label.rsplit(_COLON, 1))


def _native(found: Any) -> Native:
    revision = found.latest_revision
    targets = {one.name: _target(one) for one in (revision.targets if revision else ()) if one}
    changed = revision.created_at if revision else found.created_at
    return Native(
        name=found.name,
        status=found.status,
        cluster=found.cluster.name,
        namespace=found.kube_namespace,
        urls=tuple(getattr(found, "urls", ())),
        revised=changed if changed.tzinfo else changed.replace(tzinfo=UTC),
        active=revision is None or revision.status != "inactive",
        labels={one.key: one.value for one in found.labels or ()},
        main=targets.get(MAIN),
        next=targets.get(NEXT),
    )


def _target(found: Any) -> Target | None:
    if found.config is None or found.bento is None:
        return None
    model = f"{found.bento.repository.name}:{found.bento.version}"
    told_ = variables_of(found.config)
    kept = (ENDPOINT, OWNER, ROLE, APPLY, SINCE)
    return Target(Design.read(model, found.config), {name: told_[name] for name in kept if name in told_})


def _price(text: Any) -> float | None:
    try:
        return float(str(text).strip().lstrip("$").split("/")[0])
    except ValueError:
        return None
