"""The folder on this machine of an endpoint that runs elsewhere."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path


class EndpointFolder:
    """What is known here of one endpoint: where it is, and what was collected of its prediction log.

    Parameters
    ----------
    home
        Taxiway's.
    backend, name
        Whose endpoint it is, and which.
    """

    def __init__(self, home: Path, backend: str, name: str) -> None:
        self._path = home / "run" / backend / name

    @property
    def spool(self) -> Path:
        """Where the monitor reads the collected prediction log."""
        return self._path / "spool"

    def recall(self) -> dict[str, str]:
        """Give what was written down of its place; empty where it was not applied from here."""
        try:
            said = json.loads((self._path / "place.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def remember(self, place: Mapping[str, str]) -> None:
        """Write down where it is, for those who only know its name."""
        path = self._path / "place.json"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        staged = path.with_name(f".place.{os.getpid()}.{threading.get_ident()}")
        staged.write_text(json.dumps(dict(place)))
        staged.replace(path)
