"""What SageMaker says of an endpoint, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from taxiway.backends import Observation, Status
from taxiway_backends.sagemaker import log
from taxiway_backends.sagemaker.account import LIVE_TAG, OWNER_TAG, SHADOW_TAG, UNDER_WAY, Account, Native
from taxiway_backends.sagemaker.design import native_name
from taxiway_backends.sagemaker.refusals import AwsError

DELETED = "deleted"
_STATUS = {
    "InService": Status.READY,
    "OutOfService": Status.DEGRADED,
    "Creating": Status.PENDING,
    "Updating": Status.PENDING,
    "SystemUpdating": Status.PENDING,
    "RollingBack": Status.PENDING,
    "UpdateRollbackFailed": Status.FAILED,
    "Deleting": Status.STOPPING,
    "Failed": Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Running:
    """The Models of an EndpointConfig, which never change."""

    live: str | None
    shadow: str | None


class Observer:
    """Looks at endpoints.

    Parameters
    ----------
    account
        Whose.
    stuck_seconds
        How long an endpoint may be on its way until it is taken for stuck.
    """

    def __init__(self, account: Account, stuck_seconds: float) -> None:
        self._account = account
        self._stuck_seconds = stuck_seconds
        self._running: dict[str, Running] = {}

    def look(self, native: Native, endpoint: str, spool: Path) -> Observation:
        """Say how an endpoint of ours is."""
        status = _STATUS.get(native.status, Status.UNKNOWN)
        running = self.running(native.config)
        is_first = native.status in ("Creating", "Failed")
        reason = self._reason(native, endpoint, status)
        if native.status in UNDER_WAY and self._is_stuck(native):
            status = Status.FAILED if is_first else Status.DEGRADED
        if native.was_sent_back:
            status = Status.DEGRADED  # so that it is known: InService alone would hide that it was sent back
        runtime = self._account.session.client("sagemaker-runtime").meta.endpoint_url
        return Observation(
            status,
            datetime.now(UTC),
            native=native.status,
            reason=reason,
            url=f"{runtime}/endpoints/{native_name(endpoint)}/invocations",
            live=None if is_first else running.live,
            shadow=None if is_first else running.shadow,
            replicas=native.instances,
            spool=spool,
        )

    def running(self, config: str) -> Running:
        """Give the Models of an EndpointConfig, from its tags."""
        if config not in self._running:
            tags = self._account.config_tags(config)
            if tags is None:  # on its way out, or not to be seen yet
                return Running(None, None)
            self._running[config] = Running(tags.get(LIVE_TAG), tags.get(SHADOW_TAG))
        return self._running[config]

    def _reason(self, native: Native, endpoint: str, status: Status) -> str:
        """Say why it is not ready: SageMaker's reason, and the container's own last words."""
        if native.status in ("Failed", "UpdateRollbackFailed"):
            return _with_words(f"SageMaker says: {native.reason or native.status}", self._words(endpoint))
        if native.was_sent_back:
            wanted = self.running(native.wanted).live or native.wanted
            text = f"The update to {wanted} failed and was sent back"
            text += f": {native.reason}" if native.reason else ""
            return _with_words(text, self._words(endpoint))
        if native.status in UNDER_WAY and self._is_stuck(native):
            minutes = (datetime.now(UTC) - native.modified).total_seconds() / 60
            text = f"It has been {native.status} for {minutes:.0f} minutes, and bills meanwhile; delete it"
            return _with_words(text, self._words(endpoint))
        if status is Status.PENDING:
            return f"SageMaker is {native.status} it, which takes minutes."
        if status is Status.READY:
            return ""
        if status is Status.UNKNOWN:
            return f"SageMaker calls it {native.status}, which Taxiway does not know."
        return f"SageMaker calls it {native.status}."

    def _is_stuck(self, native: Native) -> bool:
        return (datetime.now(UTC) - native.modified).total_seconds() > self._stuck_seconds

    def _words(self, endpoint: str) -> str:
        try:
            return log.tail(self._account.session, endpoint)
        except AwsError:
            return ""


def absent() -> Observation:
    """Say that there is none."""
    return Observation(Status.ABSENT, datetime.now(UTC))


def strange(native: Native) -> Observation:
    """Say that the endpoint of that name is somebody else's."""
    whose = "of another Taxiway" if OWNER_TAG in native.tags else "not made by Taxiway"
    return Observation(
        Status.ABSENT,
        datetime.now(UTC),
        native="not ours",
        reason=f"The endpoint {native.name} is {whose}, and is left alone.",
    )


def leftover(spool: Path) -> Observation:
    """Say that there is no endpoint, and yet something in S3: it is half made, or half deleted."""
    return Observation(
        Status.UNKNOWN,
        datetime.now(UTC),
        native=DELETED,
        reason="There is no endpoint, but something of it is left in S3.",
        spool=spool,
    )


def unknown(error: AwsError) -> Observation:
    """Say that AWS does not tell; nor whose the prediction log is: it stays where it is."""
    return Observation(Status.UNKNOWN, datetime.now(UTC), native=error.code, reason=error.message)


def _with_words(text: str, words: str) -> str:
    sentence = text.rstrip(".") + "."
    return f"{sentence} The container said: {words.rstrip('.')}." if words else sentence
