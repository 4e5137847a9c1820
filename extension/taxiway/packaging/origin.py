"""Where an imported Model came from: kept outside its folder, since a Model never changes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from taxiway.settings import settings


@dataclass(frozen=True, slots=True)
class Origin:
    """An import: nothing that the Model says of itself was seen to happen in this place.

    Parameters
    ----------
    source
        The URL it was read from, without credentials.
    time
        When, in UTC, as ISO 8601.
    by
        Who imported it.
    """

    source: str
    time: str
    by: str

    @classmethod
    def of(cls, name: str, version: str) -> Origin | None:
        """Give the origin of a Model, or None if it was packaged in this store.

        A record that cannot be read still says that there was an import.
        """
        path = path_of(name, version)
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            return cls("an unknown place", "", "unknown")

    def write(self, name: str, version: str) -> None:
        """Record it, in one step."""
        path = path_of(name, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        with part.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def path_of(name: str, version: str) -> Path:
    """Give where the record of a Model's import lies, or would lie."""
    return settings().store / "imports" / name / f"{version}.json"
