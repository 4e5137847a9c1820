"""The SageMaker back end: what is asked of it, in the order in which AWS is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taxiway.backends import (
    Capability,
    Diagnosis,
    EndpointRef,
    EndpointSpec,
    LogLine,
    Observation,
    Plan,
    Routing,
    Status,
)
from taxiway.errors import ConflictError, NotFoundError, RequestError
from taxiway_backends.cloud import wishes
from taxiway_backends.cloud.backend import CloudBackend
from taxiway_backends.cloud.collecting import collect
from taxiway_backends.sagemaker import (
    asking,
    checking,
    choices,
    design,
    log,
    observation,
    scaling,
)
from taxiway_backends.sagemaker.account import Native
from taxiway_backends.sagemaker.choices import PLACE, Choices
from taxiway_backends.sagemaker.collecting import PredictionLog
from taxiway_backends.sagemaker.design import Design
from taxiway_backends.sagemaker.place import Place
from taxiway_backends.sagemaker.refusals import AwsError
from taxiway_backends.sagemaker.rollout import Rollout
from taxiway_backends.sagemaker.session import Session


class SageMakerBackend(CloudBackend):
    """Endpoints on Amazon SageMaker, in the account whose credentials boto3 finds; see ``CloudBackend``."""

    name = "sagemaker"
    capabilities = frozenset(Capability)
    stuck_seconds = 4500.0  # an hour is the longest that SageMaker waits for a container
    leave_seconds = 180.0

    def __init__(self, home: Path | None = None, **patience: float) -> None:
        super().__init__(home, **patience)
        self._places: dict[tuple[str, str], Place] = {}
        self._settled: dict[str, str] = {}
        self._designs: dict[str, Design] = {}
        self._asked: dict[str, Design] = {}

    def check_for(self, settings: Mapping[str, Any]) -> Diagnosis:
        """Look at credentials, region, role, quota, S3 and ECR; nothing is created.

        Raises
        ------
        InputError
            A setting is not known.
        """
        chosen = choices.read(settings)
        return checking.check(Session(chosen.region), chosen)

    def plan(self, spec: EndpointSpec) -> Plan:
        """Say what ``apply`` would change and what it will cost."""
        chosen = choices.read(spec.settings)
        wishes.check_name(spec.name, PLACE)
        wishes.check_routing(spec.routing)
        lacks = design.find_lacks(spec, chosen)
        if lacks:
            return Plan((), lacks)
        place = self._place(chosen.region, chosen.bucket)
        self._refuse_move(spec.ref, place)
        after = self._design(place, spec, chosen)
        native = place.account.endpoint(spec.name)
        self._rollout(place).refuse_stranger(native, spec.ref)
        before = None
        if native is not None and native.status != "Deleting":
            before = place.storage.design(spec.name, native.wanted or native.config)
        changes = design.differences(before, after)
        return Plan(changes, (), after.cost(), design.cost_notes(before, after))

    def apply(self, spec: EndpointSpec, *, token: str) -> Observation:
        """Bring the endpoint there, or a step nearer; usually PENDING for minutes.

        The first deploy of an environment builds and pushes its image, which takes a minute or more.
        """
        chosen = choices.read(spec.settings)
        wishes.check_name(spec.name, PLACE)
        wishes.check_routing(spec.routing)
        place = self._place(chosen.region, chosen.bucket)
        with place.kept_fresh():
            self._refuse_move(spec.ref, place)
            wanted = self._design(place, spec, chosen)
            self._folder(spec.name).remember({"region": chosen.region, "bucket": chosen.bucket})
            self._rollout(place).apply(wanted, spec.routing, token)
        return self._seen_after(spec.ref)

    def route(self, ref: EndpointRef, routing: Routing, *, token: str) -> Observation:
        """Change the live and the shadow Model, everything else being as it is.

        Raises
        ------
        NotFoundError
            There is no such endpoint of ours.
        """
        place = self._find(ref.name)
        with place.kept_fresh():
            native = place.account.endpoint(ref.name)
            self._rollout(place).refuse_stranger(native, ref)
            before = None
            if native is not None and native.status != "Deleting":
                before = place.storage.design(ref.name, native.wanted or native.config)
            if before is None:
                raise NotFoundError(
                    f"There is no endpoint {ref.name!r} on SageMaker.", hint="Deploy it first."
                )
            wishes.check_routing(routing)
            wanted = place.images.refit(before.routed(routing), routing.live.path)
            self._rollout(place).apply(wanted, routing, token)
        return self._seen_after(ref)

    def observe(self, ref: EndpointRef) -> Observation:
        """Look at the endpoint; what AWS does not tell is UNKNOWN."""
        try:
            place = self._find(ref.name)
            with place.kept_fresh():
                return self._look(place, ref)
        except AwsError as error:
            return observation.unknown(error)

    def logs(
        self, ref: EndpointRef, *, since: datetime | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Give the containers' log lines from CloudWatch, oldest first.

        Raises
        ------
        ConflictError
            The endpoint of that name is a stranger's.
        """
        place = self._find_ours(ref)
        if not follow:
            return log.read(place.session, ref.name, since)

        def is_there() -> bool:
            native = place.account.endpoint(ref.name)
            return native is not None and native.is_of(ref)

        return log.follow(place.session, ref.name, is_there, since)

    def destroy(self, ref: EndpointRef, *, token: str) -> Observation:  # noqa: ARG002 - what is gone bears no token
        """Delete all that is ours of the endpoint; its prediction log is brought here first."""
        place = self._find(ref.name)
        with place.kept_fresh():
            ours = self._rollout(place).destroy(ref)
            self._settled.pop(ref.name, None)
            if ours and not place.storage.is_empty(ref.name):
                self.collect(ref, self._spool(ref.name))
        return self.observe(ref)

    def collect(self, ref: EndpointRef, folder: Path) -> int:
        """Bring what the containers shipped to S3 into ``folder``; give the number of segments."""
        place = self._find(ref.name)
        with place.kept_fresh():
            return collect(PredictionLog(place.storage, ref.name), folder)

    def ask(
        self, ref: EndpointRef, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Invoke the endpoint with the user's credentials."""
        place = self._find(ref.name)
        with place.kept_fresh():
            return asking.ask(place.storage, self._in_service(place, ref), body, headers)

    def metrics(self, ref: EndpointRef, *, minutes: int = 60) -> dict[str, float]:
        """Give SageMaker's own figures; see ``scaling.measure``.

        Raises
        ------
        ConflictError
            The endpoint of that name is a stranger's.
        """
        return scaling.measure(self._find_ours(ref).session, ref.name, minutes=minutes)

    def _look(self, place: Place, ref: EndpointRef) -> Observation:
        name = ref.name
        native = place.account.endpoint(name)
        if native is None:
            self._settled.pop(name, None)
            if place.storage.is_empty(name) or self._rollout(place).is_strangers(None, ref):
                return observation.absent()
            return observation.leftover(self._spool(name))
        if not native.is_of(ref):
            return observation.strange(native)
        seen = place.observer.look(native, name, self._spool(name))
        if seen.status is Status.READY:
            return replace(seen, notes=self._settle(place, name, native))
        return seen

    def _settle(self, place: Place, name: str, native: Native) -> tuple[str, ...]:
        """Finish a change that has just come into service; say what it costs."""
        found = self._designs.get(native.config) or place.storage.design(name, native.config)
        if found is None:
            return ()
        self._designs[native.config] = found
        if self._settled.get(name) != native.config:
            self._rollout(place).settle(found)
            self._settled[name] = native.config
        return design.cost_notes(None, found)

    def _in_service(self, place: Place, ref: EndpointRef) -> Design:
        """Give the design of the endpoint that is asked; looked up once for each."""
        name = ref.name
        if name not in self._asked:
            native = place.account.endpoint(name)
            found = native and native.is_of(ref) and place.storage.design(name, native.config)
            if not found:
                raise RequestError(f"There is no endpoint {name!r} on SageMaker.", hint="Deploy it first.")
            self._asked[name] = found
        return self._asked[name]

    def _seen_after(self, ref: EndpointRef) -> Observation:
        """Look after a change: an endpoint that AWS does not show yet is on its way."""
        self._asked.pop(ref.name, None)
        seen = self.observe(ref)
        if seen.status is Status.ABSENT or seen.native == observation.DELETED:
            now = datetime.now(UTC)
            return Observation(
                Status.PENDING, now, reason="SageMaker was asked to create it.", spool=seen.spool
            )
        return seen

    def _design(self, place: Place, spec: EndpointSpec, chosen: Choices) -> Design:
        model, gpu = spec.routing.live.path, design.needs_gpu(spec, chosen)
        image, machine = chosen.image, chosen.machine
        if not image:
            image = place.images.uri(model, gpu=gpu)
            machine = machine or (place.images.machine(model) if gpu else "")
        role = place.session.role(chosen.role)
        return design.design(
            spec, chosen, image=image, machine=machine, role=role, bucket=place.storage.bucket
        )

    def _refuse_move(self, ref: EndpointRef, place: Place) -> None:
        """Refuse to begin in another region or bucket, where what runs would be left behind, and bill."""
        if not self._folder(ref.name).recall():
            return
        before = self._find(ref.name)
        if before is place or before.is_same(place):
            return
        native = before.account.endpoint(ref.name)
        if native is not None and native.is_of(ref):
            raise ConflictError(
                f"The endpoint {ref.name!r} is in {before.session.region}, with the bucket "
                f"{before.storage.bucket}, and cannot move to another.",
                hint="Delete it first, or leave the settings region and bucket as they were.",
            )

    def _rollout(self, place: Place) -> Rollout:
        return Rollout(place.account, place.storage, place.images, self.leave_seconds)

    def _place(self, region: str, bucket: str) -> Place:
        with self._lock:
            key = region, bucket
            if key not in self._places:
                self._places[key] = Place(region, bucket, self.stuck_seconds)
            return self._places[key]

    def _find(self, name: str) -> Place:
        """Give the place of an endpoint that was applied from here, or else that of the environment."""
        wishes.check_name(name, PLACE)
        said = self._folder(name).recall()
        return self._place(said.get("region", ""), said.get("bucket", ""))

    def _find_ours(self, ref: EndpointRef) -> Place:
        """Give the place of an endpoint that is not a stranger's there."""
        place = self._find(ref.name)
        with place.kept_fresh():
            self._rollout(place).refuse_stranger(place.account.endpoint(ref.name), ref)
        return place

    def _spool(self, name: str) -> Path:
        return self._folder(name).spool
