"""The main job, once, on real data: ``taxiway demo``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def run(
    *, keep: bool = True, days: int = 366, to: str = "local", settings: Mapping[str, Any] | None = None
) -> None:
    """Run the demo; see ``taxiway.demo.job``."""
    from taxiway.demo.job import run as run_job

    run_job(keep=keep, days=days, to=to, settings=settings)
