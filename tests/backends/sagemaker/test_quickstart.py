"""The main job on SageMaker, from deploy to rollback, and nothing left in the account afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulators.sagemaker import SageMakerEmulator


@pytest.mark.timeout(600)
def test_the_demo_does_on_sagemaker_what_it_does_here(
    account: SageMakerEmulator, image: str, taxiway_home: Path
) -> None:
    def taxiway(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taxiway", *words]
        return subprocess.run(
            command, capture_output=True, text=True, env=dict(os.environ), timeout=540, check=False
        )

    try:
        done = taxiway("demo", "--to", "sagemaker", "--set", f"image={image}", "--days", "150")
        assert done.returncode == 0, done.stdout + done.stderr
        last = done.stdout[done.stdout.index("\nIn ") :]
        assert re.search(r"shadow verdict (promote|keep watching|reject)", last)
        assert len(re.findall(r"(promote|rollback) +\d+ requests meanwhile, 0 failed", last)) == 2
        assert "bills until it is deleted" in last
        assert "taxiway-rain" in taxiway("endpoints", "list").stdout
        assert "is ready as live" in taxiway("endpoints", "logs", "rain").stdout
        figures = json.loads(taxiway("endpoints", "metrics", "rain", "--json").stdout)
        assert figures["invocations"] > 100
        assert figures["errors_5xx"] == 0
        assert 0 < figures["latency_ms"] < 1000
        again = taxiway("deploy", "rain", "--to", "sagemaker", "--plan", "--set", f"image={image}").stdout
        assert "old and the new fleet are billed side by side" in again or "Nothing would change" in again
        assert taxiway("endpoints", "delete", "rain", "--yes").returncode == 0
        left = account.account()
        assert {kind: [name for name in names if "rain" in name] for kind, names in left.items()} == {
            kind: [] for kind in left
        }
    finally:
        taxiway("agent", "stop")
