"""Bringing an endpoint's deployments to their designs in steps; each is found done the next time."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from taxiway.backends import EndpointRef, ModelRef, Routing
from taxiway.errors import ConflictError
from taxiway_backends.bentocloud.account import Account, Native, same
from taxiway_backends.bentocloud.design import (
    APPLY,
    BEFORE,
    LIVE_ROLE,
    REFUSED,
    SHADOW_ROLE,
    SINCE,
    Design,
)
from taxiway_backends.bentocloud.push import push
from taxiway_backends.bentocloud.refusals import MissingError, TakenError

UP = ("running", "scaled-to-zero")
BROKEN = ("failed", "image-build-failed", "unhealthy")
LEAVING = ("terminating", "terminated")
_LOOK_SECONDS = 0.25


class Rollout:
    """Changes the deployments of endpoints.

    Parameters
    ----------
    account
        Whose.
    cluster
        Where; empty for the default.
    leave_seconds
        The longest that the end of a deployment is waited for.
    """

    def __init__(self, account: Account, cluster: str, leave_seconds: float) -> None:
        self._account = account
        self._cluster = cluster
        self._leave_seconds = leave_seconds

    def find(self, ref: EndpointRef, role: str) -> Native | None:
        """Describe a deployment of ours; None where there is none, or it is a stranger's."""
        native = self._account.deployment(ref.name, role, self._cluster)
        return native if native is not None and native.belongs_to(ref, role) else None

    def refuse_stranger(self, ref: EndpointRef) -> tuple[Native | None, Native | None]:
        """Give the live and the shadow deployment, where they are not somebody else's.

        Raises
        ------
        ConflictError
            One of that name is not ours: it is never touched.
        """
        found = []
        for role in (LIVE_ROLE, SHADOW_ROLE):
            native = self._account.deployment(ref.name, role, self._cluster)
            if native is not None and not native.belongs_to(ref, role):
                raise _taken(native.name)
            found.append(native)
        return found[0], found[1]

    def apply(
        self, found: tuple[Native | None, Native | None], wanted: Design, routing: Routing, token: str
    ) -> None:
        """Bring the endpoint to its design, or a step nearer: ``settle`` does what must wait.

        What failed under the same token is left as it is: only somebody who asks again tries again.

        Parameters
        ----------
        found
            What ``refuse_stranger`` gave.

        Raises
        ------
        ConflictError
            A deployment of that name is a stranger's.
        CloudError
            BentoCloud refused a step.
        """
        live, shadow = found
        if routing.shadow is not None:
            shadow = self._bring(shadow, wanted.shadow(routing.shadow.tag), routing.shadow, token)
            wanted = self._mirroring(wanted, live, shadow)
        after = self._bring(live, wanted, routing.live, token)
        if routing.shadow is None and shadow is not None:
            self._remove(wanted.ref, SHADOW_ROLE)
        mirrored = shadow is not None or (live is not None and live.mirrors)
        if routing.shadow is None and mirrored and not after.mirrors:
            self._account.remove_mirror_secret(wanted.endpoint, self._cluster)

    def _mirroring(self, wanted: Design, live: Native | None, shadow: Native) -> Design:
        """Let the live Model mirror to the shadow, if that has its address by now."""
        if not shadow.url:
            before = live.main.design.mirror_to if live and live.main else ""
            return replace(wanted, mirror_to=before)
        if not wanted.mirror_secret:
            self._account.keep_mirror_secret(wanted.endpoint, self._cluster)
        return replace(wanted, mirror_to=shadow.url)

    def _bring(self, native: Native | None, design: Design, model: ModelRef, token: str) -> Native:
        if native is None:
            push(self._account, model)
            try:
                return self._account.create(design, token, self._cluster)
            except TakenError as error:  # by another of ours in this very moment, or in another cluster
                native = self.find(design.ref, design.role)
                if native is None:
                    raise _taken(design.name) from error
        newest = native.next or native.main
        if native.status == "terminating" or newest is None:
            return native  # what is to come after it comes the next time
        if same(newest.design, design) and native.status not in (*BROKEN, "terminated"):
            if not native.refused:
                return native
            # What was sent back is not asked for any more
            labels = {APPLY: token, BEFORE: newest.design.model}
            return self._account.update(native, newest.design, newest.memory, labels)
        if native.was_tried(design, token) and native.status != "terminated":
            return native
        push(self._account, model)
        return self._update(native, design, token)

    def _update(self, native: Native, design: Design, token: str) -> Native:
        labels = {APPLY: token, BEFORE: serving(native) or ""}
        main = native.main
        if not (design.canary and main and native.status in UP and main.design.model != design.model):
            return self._account.update(native, design, {APPLY: token}, labels)
        candidate = design, {APPLY: token, SINCE: datetime.now(UTC).isoformat()}
        # Without a shadow the secret of the mirror goes, and what needs it could not start again
        kept = main.design if design.mirror_to else replace(main.design, mirror_to="")
        return self._account.update(native, kept, main.memory, labels, candidate)

    def settle(self, live: Native, shadow: Native | None) -> bool:
        """Do what had to wait for something to get ready; tell whether there was anything."""
        main, candidate = live.main, live.next
        if main is None:
            return False
        if candidate is not None:
            token = candidate.memory.get(APPLY, "")
            labels = {APPLY: token, BEFORE: main.design.model}
            if live.status in BROKEN:
                # Its own variables stay as they are, so that what answers is not started anew
                labels[REFUSED] = candidate.design.model
                self._account.update(live, main.design, main.memory, labels)
            elif live.status in UP and canary_left(live) <= 0:
                self._account.update(live, candidate.design, {APPLY: token}, labels)
            else:
                return False
            return True
        if shadow is None or live.status not in UP or shadow.status not in UP or not shadow.url:
            return False
        if main.design.mirror_to == shadow.url:
            return False
        labels = {APPLY: live.token, BEFORE: main.design.model, REFUSED: live.refused}
        self._account.update(live, self._mirroring(main.design, live, shadow), main.memory, labels)
        return True

    def destroy(self, ref: EndpointRef) -> bool:
        """Delete all that is ours of an endpoint; tell whether there was anything."""
        found = self._remove(ref, LIVE_ROLE, SHADOW_ROLE)
        with suppress(ConflictError):  # whose deployment it is, his is the secret
            self.refuse_stranger(ref)
            self._account.remove_mirror_secret(ref.name, self._cluster)
        return found

    def _remove(self, ref: EndpointRef, *roles: str) -> bool:
        """Stop and delete deployments, and wait for their end: they ship what they still have."""
        deadline = time.monotonic() + self._leave_seconds
        left = [role for role in roles if self._take_down(ref, role)]
        found = bool(left)
        while left and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            left = [role for role in left if self._take_down(ref, role)]
        return found

    def _take_down(self, ref: EndpointRef, role: str) -> bool:
        """Go the next step to a deployment's end; tell whether it was there."""
        native = self.find(ref, role)
        if native is None:
            return False
        try:
            if native.status == "terminated":
                self._account.delete(native)
            elif native.status != "terminating":
                self._account.terminate(native)
        except MissingError:
            return False
        return True


def serving(native: Native) -> str | None:
    """Give the tag of the Model that answers now; None where that is not known, or none does."""
    if native.main is None or native.status in LEAVING:
        return None
    newest = native.main.design.model
    is_up = native.status in UP or (native.status == "unhealthy" and native.active)
    return newest if is_up or native.next is not None else native.before or None


def canary_left(native: Native) -> float:
    """Give the seconds for which a canary goes on."""
    assert native.next is not None
    try:
        since = datetime.fromisoformat(native.next.memory[SINCE])
    except (KeyError, ValueError):
        return 0.0
    return native.next.design.canary_seconds - (datetime.now(UTC) - since).total_seconds()


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"There is a deployment {name} on BentoCloud that is not this endpoint's.",
        hint="Choose another name, or delete that deployment yourself.",
    )
