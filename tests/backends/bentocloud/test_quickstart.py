"""The main job on BentoCloud, from deploy to rollback, and nothing left that bills afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulators.bentocloud import BentoCloudEmulator


@pytest.mark.timeout(600)
def test_the_demo_does_on_bentocloud_what_it_does_here(
    cloud: BentoCloudEmulator, taxiway_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXIWAY_STORE_URL", f"file://{tmp_path / 'store'}")

    def taxiway(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taxiway", *words]
        return subprocess.run(
            command, capture_output=True, text=True, env=dict(os.environ), timeout=540, check=False
        )

    try:
        done = taxiway("demo", "--to", "bentocloud", "--days", "150")
        assert done.returncode == 0, done.stdout + done.stderr
        last = done.stdout[done.stdout.index("\nIn ") :]
        assert re.search(r"shadow verdict (promote|keep watching|reject)", last)
        assert len(re.findall(r"(promote|rollback) +\d+ requests meanwhile, 0 failed", last)) == 2
        assert "bills until it is deleted" in last
        assert "is ready as live" in taxiway("endpoints", "logs", "rain").stdout
        again = taxiway("deploy", "rain", "--to", "bentocloud", "--plan").stdout
        assert "replace the live" in again or "Nothing would change" in again
        assert taxiway("endpoints", "delete", "rain", "--yes").returncode == 0
        left = cloud.account()
        assert [name for kind in ("deployments", "secrets") for name in left[kind] if "rain" in name] == []
        token = cloud.environment["BENTO_CLOUD_API_KEY"].encode()
        assert [
            path for path in taxiway_home.rglob("*") if path.is_file() and token in path.read_bytes()
        ] == []
    finally:
        taxiway("agent", "stop")
