"""What BentoCloud says of an endpoint's deployments, in our words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from taxiway.backends import Observation, Status
from taxiway_backends.bentocloud import log
from taxiway_backends.bentocloud.account import Account, Native
from taxiway_backends.bentocloud.refusals import CloudError
from taxiway_backends.bentocloud.rollout import UP, canary_left, serving

ASLEEP = "It is scaled to zero: the next request waits until a replica has started."
_STATUS = {
    "running": Status.READY,
    "scaled-to-zero": Status.READY,
    "unhealthy": Status.DEGRADED,
    "failed": Status.FAILED,
    "image-build-failed": Status.FAILED,
    "terminated": Status.FAILED,
    "terminating": Status.STOPPING,
    **dict.fromkeys(("image-building", "image-build-succeeded", "deploying", "non-deployed"), Status.PENDING),
}


class Observer:
    """Looks at deployments.

    Parameters
    ----------
    account
        Whose.
    stuck_seconds
        How long one may be on its way until it is taken for stuck.
    """

    def __init__(self, account: Account, stuck_seconds: float) -> None:
        self._account = account
        self._stuck_seconds = stuck_seconds
        self._words: dict[tuple[str, datetime, str], str] = {}

    def look(self, live: Native, shadow: Native | None, spool: Path) -> Observation:
        """Say how an endpoint of ours is, from its two deployments."""
        status, reason = self._state(live)
        design = live.main.design if live.main else None
        seen = Observation(
            status,
            datetime.now(UTC),
            native=live.status,
            reason=reason,
            url=live.url or None,
            live=serving(live),
            replicas=0 if design is None or live.status not in UP[:1] else max(design.least, 1),
            spool=spool,
            notes=(ASLEEP,) if live.status == "scaled-to-zero" else (),
        )
        return self._with_shadow(seen, shadow, design.mirror_to if design else "")

    def _state(self, native: Native) -> tuple[Status, str]:
        status = _STATUS.get(native.status, Status.UNKNOWN)
        still = serving(native)
        if status is Status.FAILED and still:
            status = Status.DEGRADED
        if native.next is not None and status is Status.READY:
            share = f"{native.next.design.model} gets {native.next.design.canary} % of the requests"
            return Status.PENDING, f"{share} for another {max(canary_left(native), 0):.0f} s."
        if status is Status.READY and native.refused:
            return Status.DEGRADED, f"The canary {native.refused} did not get ready, and was sent back."
        if status is Status.READY:
            return status, ""
        if status is Status.PENDING and self._is_stuck(native):
            minutes = (datetime.now(UTC) - native.revised).total_seconds() / 60
            text = f"{native.name} has been {native.status} for {minutes:.0f} minutes, and may bill meanwhile"
            status = Status.DEGRADED if still else Status.FAILED
            return status, f"{text}; delete it, or deploy again. {self._said(native)}".strip()
        if status is Status.PENDING:
            return status, f"BentoCloud calls {native.name} {native.status}, which takes minutes."
        if native.status == "terminated":
            return status, f"{native.name} was terminated on BentoCloud."
        if status is Status.STOPPING:
            return status, f"{native.name} is being stopped."
        if status is Status.UNKNOWN:
            return status, f"BentoCloud calls {native.name} {native.status}, which Taxiway does not know."
        newest = native.next or native.main
        what = f" of {newest.design.model}" if newest else ""
        if native.status == "image-build-failed":
            return status, f"The build{what} failed. {self._said(native)}".strip()
        return status, f"BentoCloud calls {native.name}{what} {native.status}. {self._said(native)}".strip()

    def _with_shadow(self, seen: Observation, shadow: Native | None, mirror_to: str) -> Observation:
        """Add how the candidate is, which cannot make the live Model worse than DEGRADED."""
        if shadow is None:
            if mirror_to and seen.status is Status.READY:
                reason = "The deployment to which requests are mirrored is not there any more."
                return replace(seen, status=Status.DEGRADED, reason=reason)
            return seen
        status, reason = self._state(shadow)
        if status is Status.READY:
            if shadow.url == mirror_to:
                return replace(seen, shadow=serving(shadow))
            if seen.status is not Status.READY:
                return seen
            return replace(seen, status=Status.PENDING, reason="Requests are not mirrored to the shadow yet.")
        if seen.status is not Status.READY:
            return seen
        worse = Status.PENDING if status in (Status.PENDING, Status.STOPPING) else Status.DEGRADED
        return replace(seen, status=worse, reason=f"The live Model answers; of its shadow: {reason}")

    def _is_stuck(self, native: Native) -> bool:
        return (datetime.now(UTC) - native.revised).total_seconds() > self._stuck_seconds

    def _said(self, native: Native) -> str:
        """Give the last words of a build or of a replica; read once for each state of a revision."""
        key = native.name, native.revised, native.status
        if key not in self._words:
            is_build = native.status.startswith("image-build")
            try:
                said = (log.tail_build if is_build else log.tail)(self._account, native)
            except CloudError:
                return ""
            self._words[key] = f"Its log ends: {said.rstrip('.')}." if said else ""
        return self._words[key]


def absent() -> Observation:
    """Say that there is none."""
    return Observation(Status.ABSENT, datetime.now(UTC))


def strange(native: Native) -> Observation:
    """Say that the deployment of that name is somebody else's."""
    return Observation(
        Status.ABSENT,
        datetime.now(UTC),
        native="not ours",
        reason=f"The deployment {native.name} was not made for this endpoint, and is left alone.",
    )


def leftover(shadow: Native, spool: Path) -> Observation:
    """Say that there is a shadow and nothing live: it is half made, or half deleted."""
    reason = f"There is no live deployment, but {shadow.name} is left, and may bill."
    return Observation(Status.UNKNOWN, datetime.now(UTC), native=shadow.status, reason=reason, spool=spool)


def unknown(error: CloudError) -> Observation:
    """Say that BentoCloud does not tell; no prediction log is fetched while it may be somebody else's."""
    return Observation(
        Status.UNKNOWN, datetime.now(UTC), native=str(error.status or ""), reason=error.message
    )
