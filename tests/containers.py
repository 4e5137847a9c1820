"""``python -m tests.containers COMMAND …``: a command with a Docker daemon, where this machine can have one.

A daemon that answers is used as it is. Where none does, Debian's ``dockerd`` is started for the command and
ended after it; that takes root. Without one, the tests of containers say ``NOT TESTED`` and why.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_START_SECONDS = 60.0
_END_SECONDS = 30.0
#: podman lowers its own to this before it starts a container.
_MOST_PROCESSES = 32768


def docker_answers() -> bool:
    """Whether a Docker daemon answers."""
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def why_not() -> str:
    """Why no daemon can be started here; empty where one can."""
    if not shutil.which("docker") or not shutil.which("dockerd"):
        return "docker and dockerd are not installed (Debian: apt-get install docker.io)"
    if os.geteuid() != 0:
        return "no Docker daemon answers, and only root may start one"
    return ""


def why_no_podman() -> str:
    """Why podman, which has no daemon, cannot be used here; empty where it can."""
    if not shutil.which("podman"):
        return "podman is not installed (Debian: apt-get install podman)"
    asked = subprocess.run(["podman", "info"], capture_output=True, text=True, timeout=60, check=False)
    return f"podman does not answer: {asked.stderr.strip()[-300:]}" if asked.returncode else ""


def podman_settings(folder: Path) -> Path:
    """Write the file that ``CONTAINERS_CONF`` names: containers have no more than this process may give.

    By itself podman gives a million open files, which the root of a sandbox may not.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = min(resource.getrlimit(resource.RLIMIT_NPROC)[1], _MOST_PROCESSES)
    settings = folder / "containers.conf"
    limits = f'["nofile={files}:{files}", "nproc={processes}:{processes}"]'
    settings.write_text(f"[containers]\ndefault_ulimits = {limits}\n")
    return settings


@contextlib.contextmanager
def daemon() -> Iterator[str]:
    """Have a daemon for a while; what it yields is why there is none, or empty.

    Its socket is its own, named by ``DOCKER_HOST``; images are kept where Docker keeps them.
    """
    if docker_answers():
        yield ""
        return
    if reason := why_not():
        yield reason
        return
    folder = Path(tempfile.mkdtemp(prefix="taxiway-docker-"))
    address = f"unix://{folder / 'socket'}"
    command = ["dockerd", "--host", address, "--pidfile", str(folder / "pid")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = address
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not (up := docker_answers()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.3)
        last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
        yield "" if up else f"dockerd does not start: {' '.join(last)}"
    finally:
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run the command; its exit status."""
    with daemon() as reason:
        if reason:
            print(f"NOT TESTED with containers: {reason}", file=sys.stderr)
        return subprocess.run(sys.argv[1:], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
