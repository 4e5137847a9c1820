"""``bentoml containerize`` of a Bento as it is, and what its container does.

It needs a Docker daemon, and says NOT TESTED without one: ``python -m tests.containers python -m pytest …``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from taxiway.packaging import bento
from taxiway.serving.spool import list_segments, read_segment
from tests.containers import docker_answers
from tests.images import slim
from tests.waiting import wait_until

from .conftest import Packaged, Weather

TOKEN = "a-s3cret"


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.timeout(600)
def test_bentoml_containerize_builds_an_image_that_answers_and_ships_its_log_when_it_is_stopped(
    packaged_home: Packaged, weather: Weather, tmp_path: Path
) -> None:
    if not docker_answers():
        pytest.skip(
            "NOT TESTED with containers: no Docker daemon answers (python -m tests.containers starts one)"
        )
    model = packaged_home.model
    image, name = f"taxiway-test-{os.getpid()}:{model.version}", f"taxiway-test-{os.getpid()}"
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o777)  # the container's user is another
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with slim(tmp_path) as reason:
        if reason:
            pytest.skip(f"NOT TESTED with containers: {reason}")
        # Docker without its plug-in buildx has the older builder only; the network is that of this machine.
        command = [sys.executable, "-m", "bentoml", "containerize", model.tag, "-t", image]
        built = subprocess.run(
            [*command, "--opt", "network=host"],
            env={**bento.environment(), "DOCKER_BUILDKIT": "0" if not shutil.which("docker-buildx") else "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    variables = {"TAXIWAY_TOKEN": TOKEN, "TAXIWAY_SHIP_TO": "file:///store", "TAXIWAY_SHIP_SECONDS": "3600"}
    options = [word for pair in variables.items() for word in ("-e", "=".join(pair))]
    try:
        docker(
            "run",
            "-d",
            "--name",
            name,
            "--network",
            "host",
            "-v",
            f"{store}:/store",
            *options,
            image,
            *("serve", "--port", port),
        )
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

            def ready() -> bool:
                assert docker("inspect", "-f", "{{.State.Running}}", name) == "true", docker("logs", name)
                try:
                    return client.get("/readyz").status_code == 200
                except httpx.HTTPError:
                    return False

            wait_until(ready, "an answer")
            rows = weather.inputs.iloc[:1].to_dict("records")
            assert client.post("/predict", json=rows).status_code == 401
            headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "ask"}
            answer = client.post("/predict", json=rows, headers=headers)
        assert answer.json()["model"] == model.tag
        assert list_segments(store) == []
        docker("stop", "-t", "30", name)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", name) != "137", "it left by itself"
        found = [record for path in list_segments(store) for record in read_segment(path)[0]]
        assert [record["request"] for record in found] == ["ask"]
        assert TOKEN not in docker("logs", name)
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
        subprocess.run(["docker", "rmi", "-f", image], capture_output=True, check=False)
