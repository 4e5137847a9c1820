"""One instance: a real container, or the same entry point as a process, with a model's files beside it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

#: SageMaker's own: a container has this long between SIGTERM and SIGKILL.
TERM_SECONDS = 30.0
ENTRY = (sys.executable, "-m", "taxiway.serving.container", "serve")
#: Of this process's environment; DOCKER_HOST says where the daemon of the tests is.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "DOCKER_HOST")


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start.

    Parameters
    ----------
    image
        Of a container; None for a process.
    model
        The unpacked ModelDataUrl.
    environment
        Of the Model and of the platform.
    log
        Takes each line that it prints.
    docker_config
        The folder with the registry's password.
    memory_mb
        The most that a container may have; None for no bound.
    """

    image: str | None
    model: Path
    environment: Mapping[str, str]
    log: Callable[[str], None]
    docker_config: Path
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container answered; status 0 where it did not in time."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


@dataclass
class Instance:
    """A started one, with its port on loopback."""

    launch: Launch
    port: int = 0
    name: str = field(default_factory=lambda: f"taxiway-emulated-{uuid.uuid4().hex[:12]}")
    started: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    def start(self, says: tuple[str, ...] | None = None) -> None:
        """Start it; ``says`` is printed instead of serving, before it dies."""
        self.port = _free_port()
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            self._command(says),
            env=self._environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._pump, args=(self._process,), daemon=True).start()

    def _command(self, says: tuple[str, ...] | None) -> list[str]:
        if says is not None:
            return [sys.executable, "-c", "import sys; print(*sys.argv[1:], sep='\\n'); sys.exit(1)", *says]
        if self.launch.image is None:
            return list(ENTRY)
        memory = ["--memory", f"{self.launch.memory_mb}m"] if self.launch.memory_mb else []
        settings = [part for name in self._inside() for part in ("--env", name)]
        model = f"{self.launch.model}:/opt/ml/model:ro"
        word = self.launch.environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        return [
            *("docker", "run", "--rm", "--network", "host", "--name", self.name),
            *("--volume", model, "--volume", f"{word}:{word}:ro"),
            *memory,
            *settings,
            self.launch.image,
            "serve",
        ]

    def _inside(self) -> dict[str, str]:
        inside = {**self.launch.environment, "TAXIWAY_CONTAINER_PORT": str(self.port)}
        if self.launch.image is None:
            inside["TAXIWAY_CONTAINER_MODEL"] = str(self.launch.model)
            inside["TAXIWAY_SPOOL"] = str(self.launch.model.with_name(f"{self.name}-spool"))
        return inside

    def _environment(self) -> dict[str, str]:
        own = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {**own, "DOCKER_CONFIG": str(self.launch.docker_config), **self._inside()}

    def _pump(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.launch.log(line.decode("utf-8", "replace").rstrip("\n"))

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def healthy(self) -> bool:
        """Whether /ping says 200 within two seconds."""
        return self.alive() and self.ask("GET", "/ping", b"", {}, 2.0).status == 200

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Ask the container."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, {}, str(error).encode(), time.monotonic() - began)
        finally:
            connection.close()
        return Answer(response.status, dict(response.getheaders()), content, time.monotonic() - began)

    def tell_to_leave(self) -> None:
        """SIGTERM."""
        if self.alive() and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = TERM_SECONDS) -> None:
        """SIGTERM, and SIGKILL to what is still there."""
        if self._process is None:
            return
        self.tell_to_leave()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, as when an instance is lost."""
        if self._process is None:
            return
        if self.launch.image is not None and self.alive():
            subprocess.run(["docker", "kill", self.name], capture_output=True, check=False)
        # As a container's end is the end of all that ran in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def unpack(s3: object, url: str, folder: Path) -> None:
    """Bring a ModelDataUrl (a tar.gz, or a prefix that ends in a slash) into a folder, as SageMaker does."""
    parts = urlsplit(url)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if key.endswith("/"):
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ()):  # type: ignore[attr-defined]
            target = folder / item["Key"][len(key) :]
            target.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(target))  # type: ignore[attr-defined]
        return
    archive = folder.with_suffix(".tar.gz")
    s3.download_file(bucket, key, str(archive))  # type: ignore[attr-defined]
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()


def docker_login(folder: Path, registry: str, user: str, password: str) -> None:
    """Write what ``docker pull`` needs of a registry with a password."""
    import base64

    folder.mkdir(parents=True, exist_ok=True)
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry: {"auth": word}}}))


def remove_images(registry: str) -> None:
    """Remove what was pulled from a registry that is no more."""
    listed = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter"]
    asked = subprocess.run([*listed, f"reference={registry}/*"], capture_output=True, text=True, check=False)
    if found := asked.stdout.split():
        subprocess.run(["docker", "rmi", *found], capture_output=True, check=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
