"""The main job, once, on real data: ``taxiway demo``."""

from __future__ import annotations


def run(*, keep: bool = True, days: int = 366) -> None:
    """Run the demo; see ``taxiway.demo.job``."""
    from taxiway.demo.job import run as run_job

    run_job(keep=keep, days=days)
