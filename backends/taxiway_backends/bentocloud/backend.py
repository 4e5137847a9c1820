"""The BentoCloud back end: what is asked of it, in the order in which BentoCloud is asked."""

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
from taxiway_backends.bentocloud import checking, choices, credentials, design, log, observation
from taxiway_backends.bentocloud.account import Account, Native
from taxiway_backends.bentocloud.choices import PLACE, Choices
from taxiway_backends.bentocloud.design import LIVE_ROLE, SHADOW_ROLE, Design
from taxiway_backends.bentocloud.observation import Observer
from taxiway_backends.bentocloud.refusals import CloudError
from taxiway_backends.bentocloud.rollout import LEAVING, Rollout
from taxiway_backends.bentocloud.store import Store
from taxiway_backends.cloud import wishes
from taxiway_backends.cloud.backend import CloudBackend
from taxiway_backends.cloud.collecting import collect

HOURS_A_MONTH = 730
UNSHIPPED = "Its predictions are not monitored: set ship_to (or TAXIWAY_STORE_URL) to a store such as s3://bucket/prefix."


class BentoCloudBackend(CloudBackend):
    """Endpoints on BentoCloud, in the organization of the API token that is found; see ``CloudBackend``."""

    name = "bentocloud"
    capabilities = frozenset(Capability) - {Capability.GPU}
    stuck_seconds = 1800.0
    leave_seconds = 120.0

    def __init__(self, home: Path | None = None, **patience: float) -> None:
        super().__init__(home, **patience)
        self._mine: Account | None = None
        self._observer: Observer | None = None
        self._urls: dict[str, str] = {}

    def check_for(self, settings: Mapping[str, Any]) -> Diagnosis:
        """Look at the token, the organization and its instance types; nothing is created.

        Raises
        ------
        InputError
            A setting is not known.
        """
        return checking.check(self._account, choices.read(settings))

    def plan(self, spec: EndpointSpec) -> Plan:
        """Say what ``apply`` would change and what it will cost."""
        chosen = choices.read(spec.settings)
        design.check_name(spec.name)
        wishes.check_routing(spec.routing)
        if lacks := design.find_lacks(spec):
            return Plan((), lacks)
        self._refuse_move(spec.ref, chosen.cluster)
        live, shadow = self._rollout(chosen.cluster).refuse_stranger(spec.ref)
        after, price = self._design(spec, chosen, live)
        before = _newest(live)
        was = _newest(shadow)
        wanted = spec.routing.shadow.tag if spec.routing.shadow else None
        changes = design.differences(before, after, (was.model if was else None, wanted))
        fleets = 2 if wanted else 1
        cost = None if price is None else price * max(after.least, 1) * fleets
        return Plan(changes, (), cost, _cost_notes(after, price, fleets))

    def apply(self, spec: EndpointSpec, *, token: str) -> Observation:
        """Bring the endpoint there, or a step nearer; usually PENDING for minutes."""
        chosen = choices.read(spec.settings)
        design.check_name(spec.name)
        self._refuse_move(spec.ref, chosen.cluster)
        rollout = self._rollout(chosen.cluster)
        found = rollout.refuse_stranger(spec.ref)
        wanted, _ = self._design(spec, chosen, found[0])
        self._folder(spec.name).remember({"cluster": chosen.cluster, "ship_to": wanted.ship_to})
        rollout.apply(found, wanted, spec.routing, token)
        return self._seen_after(spec.ref)

    def route(self, ref: EndpointRef, routing: Routing, *, token: str) -> Observation:
        """Change the live and the shadow Model, everything else being as it is.

        Raises
        ------
        NotFoundError
            There is no such endpoint of ours.
        """
        rollout = self._rollout_of(ref.name)
        found = rollout.refuse_stranger(ref)
        before = _newest(found[0])
        if before is None:
            raise NotFoundError(f"There is no endpoint {ref.name!r} on {PLACE}.", hint="Deploy it first.")
        wishes.check_routing(routing)
        rollout.apply(found, replace(before, model=routing.live.tag, mirror_to=""), routing, token)
        return self._seen_after(ref)

    def observe(self, ref: EndpointRef) -> Observation:
        """Look at the endpoint; what BentoCloud does not tell is UNKNOWN."""
        design.check_name(ref.name)
        try:
            return self._look(ref, self._folder(ref.name).spool)
        except CloudError as error:
            return observation.unknown(error)

    def logs(
        self, ref: EndpointRef, *, since: datetime | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Give the log lines of builds and replicas, oldest first."""
        rollout, account = self._rollout_of(ref.name), self._account()
        if follow:
            return log.follow(account, lambda: rollout.find(ref, LIVE_ROLE), since)
        found = [rollout.find(ref, role) for role in (LIVE_ROLE, SHADOW_ROLE)]
        return iter([line for native in found if native for line in log.read(account, native, since)])

    def destroy(self, ref: EndpointRef, *, token: str) -> Observation:  # noqa: ARG002 - what is gone bears no token
        """Delete all that is ours of the endpoint; its prediction log is brought here first.

        The Bento stays in BentoCloud's repository: no call of its client deletes one.
        """
        folder = self._folder(ref.name)
        if self._rollout_of(ref.name).destroy(ref):
            self.collect(ref, folder.spool)
        self._urls.pop(ref.name, None)
        return self.observe(ref)

    def collect(self, ref: EndpointRef, folder: Path) -> int:
        """Bring what the replicas shipped into ``folder``; give the number of segments."""
        said = self._folder(ref.name).recall()
        ship_to = said.get("ship_to")
        if ship_to is None:
            native = self._rollout_of(ref.name).find(ref, LIVE_ROLE)
            ship_to = native.main.design.ship_to if native and native.main else ""
        return collect(Store(ship_to), folder) if ship_to else 0

    def ask(
        self, ref: EndpointRef, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask the endpoint with the user's API token."""
        from taxiway_backends.bentocloud import asking

        account = self._account()
        if ref.name not in self._urls:
            native = self._rollout_of(ref.name).find(ref, LIVE_ROLE)
            if native is None or not native.url:
                raise RequestError(f"There is no endpoint {ref.name!r} on {PLACE}.", hint="Deploy it first.")
            self._urls[ref.name] = native.url
        return asking.ask(account.asker, self._urls[ref.name], body, headers)

    def _look(self, ref: EndpointRef, spool: Path) -> Observation:
        account, rollout = self._account(), self._rollout_of(ref.name)
        live, shadow = self._natives(account, ref)
        if live is not None and not live.belongs_to(ref, LIVE_ROLE):
            return observation.strange(live)
        if shadow is not None and not shadow.belongs_to(ref, SHADOW_ROLE):
            shadow = None
        if live is None:
            return observation.absent() if shadow is None else observation.leftover(shadow, spool)
        if live.url:  # so that it can be asked while BentoCloud itself cannot
            self._urls[ref.name] = live.url
        if rollout.settle(live, shadow):
            live, shadow = self._natives(account, ref)
            if live is None:
                return observation.absent()
        assert self._observer is not None
        seen = self._observer.look(live, shadow, spool)
        if seen.status is not Status.READY or live.main is None:
            return seen
        found = live.main.design
        notes = _cost_notes(found, account.price(found.instance_type, live.cluster), 2 if seen.shadow else 1)
        return replace(seen, notes=(*notes, *seen.notes))

    def _natives(self, account: Account, ref: EndpointRef) -> tuple[Native | None, Native | None]:
        cluster = self._folder(ref.name).recall().get("cluster", "")
        live = account.deployment(ref.name, LIVE_ROLE, cluster)
        return live, account.deployment(ref.name, SHADOW_ROLE, cluster)

    def _seen_after(self, ref: EndpointRef) -> Observation:
        """Look after a change: a deployment that BentoCloud does not show yet is on its way."""
        self._urls.pop(ref.name, None)
        seen = self.observe(ref)
        if seen.status is Status.ABSENT:
            now = datetime.now(UTC)
            return Observation(Status.PENDING, now, reason="BentoCloud was asked to create it.")
        return seen

    def _refuse_move(self, ref: EndpointRef, cluster: str) -> None:
        """Refuse to begin in another cluster, where what runs would be left behind, and bill."""
        before = self._folder(ref.name).recall().get("cluster", cluster)
        if before == cluster or self._rollout(cluster).find(ref, LIVE_ROLE) is not None:
            return
        try:
            left = self._rollout(before).find(ref, LIVE_ROLE)
        except CloudError as error:
            if error.status != 400:  # else the organization has no such cluster (any more)
                raise
            return
        if left is not None:
            raise ConflictError(
                f"The endpoint {ref.name!r} is in the cluster {left.cluster}, and cannot move to another.",
                hint="Delete it first, or leave the setting cluster as it was.",
            )

    def _design(
        self, spec: EndpointSpec, chosen: Choices, live: Native | None
    ) -> tuple[Design, float | None]:
        """Say what the live deployment is to be, and what one replica costs an hour.

        Without an instance type it keeps the one that it has.
        """
        before = _newest(live)
        wanted = chosen.instance_type or (before.instance_type if before else "")
        first = design.design(spec, chosen, wanted)
        kind = checking.pick_type(self._account().instance_types(chosen.cluster), wanted)
        return replace(first, instance_type=kind.name), kind.price

    def _account(self) -> Account:
        """Give the client for the credentials that there are now: they may have been renewed."""
        found = credentials.read()
        with self._lock:
            if self._mine is None or self._mine.credentials != found:
                self._mine = Account(found)
                self._observer = Observer(self._mine, self.stuck_seconds)
            return self._mine

    def _rollout(self, cluster: str) -> Rollout:
        return Rollout(self._account(), cluster, self.leave_seconds)

    def _rollout_of(self, name: str) -> Rollout:
        design.check_name(name)
        return self._rollout(self._folder(name).recall().get("cluster", ""))


def _newest(native: Native | None) -> Design | None:
    """Give what was asked for last of a deployment that is not on its way out."""
    if native is None or native.status in LEAVING:
        return None
    target = native.next or native.main
    return target.design if target else None


def _cost_notes(after: Design, price: float | None, fleets: int) -> tuple[str, ...]:
    """Say what it costs, as BentoCloud's own list has it."""
    count = max(after.least, 1) * fleets
    many = f"{count} × {after.instance_type}" + (", live and shadow together" if fleets > 1 else "")
    if price is None:
        notes = [f"{many}: BentoCloud tells no price; it bills until it is deleted."]
    else:
        cost = price * count
        notes = [
            f"{many}: about ${cost:.2f} an hour, ${cost * HOURS_A_MONTH:,.0f} a month, by BentoCloud's list; "
            + ("nothing while nobody asks." if after.least == 0 else "it bills until it is deleted.")
        ]
    if after.most > max(after.least, 1):
        notes.append(f"It scales up to {after.most} replicas, and the cost with it.")
    if not after.ship_to:
        notes.append(UNSHIPPED)
    return tuple(notes)
