"""Docker for tests: a daemon and a base image, where this machine can have them."""

from __future__ import annotations

import subprocess


def docker_answers() -> bool:
    """Whether a Docker daemon answers."""
    try:
        return (
            subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
