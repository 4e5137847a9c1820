"""What the back end of every cloud begins with: its folder on this machine, and its patience."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taxiway.backends import Diagnosis
from taxiway_backends.cloud.folder import EndpointFolder


class CloudBackend(ABC):
    """Endpoints in a cloud, in the account of the credentials that are found.

    Parameters
    ----------
    home
        The folder under which collected prediction logs lie; by default that of the settings.
    stuck_seconds
        How long an endpoint may be on its way until it is told to be stuck; by default the cloud's own.
    leave_seconds
        The longest that a deletion is waited for, by default the cloud's own; the next look goes on with it.
    """

    name: str
    look_seconds = 5.0
    patience_seconds = 1800.0
    stuck_seconds: float
    leave_seconds: float

    def __init__(
        self,
        home: Path | None = None,
        *,
        stuck_seconds: float | None = None,
        leave_seconds: float | None = None,
    ) -> None:
        self._home = home
        if stuck_seconds is not None:
            self.stuck_seconds = stuck_seconds
        if leave_seconds is not None:
            self.leave_seconds = leave_seconds
        self._lock = threading.Lock()

    @property
    def home(self) -> Path:
        """The folder under which collected prediction logs lie."""
        if self._home is None:
            from taxiway.settings import settings

            self._home = settings().home
        return self._home

    def check(self) -> Diagnosis:
        """Look at all that a deploy with no settings needs; nothing is created."""
        return self.check_for({})

    @abstractmethod
    def check_for(self, settings: Mapping[str, Any]) -> Diagnosis:
        """Look at all that an endpoint with these settings needs."""

    def _folder(self, name: str) -> EndpointFolder:
        return EndpointFolder(self.home, self.name, name)
