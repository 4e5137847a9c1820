"""Docker or podman, where there is one: by its own command, so that its settings and contexts hold."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taxiway.errors import BackendError
from taxiway_backends.sagemaker.image.layers import Layer, pack, read_layer

NAMES = ("docker", "podman")
_SECONDS = 600.0
_REASON = "Error response from daemon: "
_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Engine:
    """What builds and runs images here: ``docker`` or ``podman``."""

    name: str

    def call(self, *words: str, failed: str, seconds: float = _SECONDS) -> str:
        """Run a command; give what it printed.

        Raises
        ------
        BackendError
            ``failed``, with the daemon's reason, or else the last line of what was said.
        """
        # The classic builder is everywhere, writes Docker's media types, and adds no attestations.
        own = {**os.environ, "DOCKER_BUILDKIT": "0", "BUILDKIT_PROGRESS": "plain"}
        try:
            ran = subprocess.run(
                [self.name, *words], env=own, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError(
                f"{failed}: {self.name} {words[0]} did not end within {seconds:g} s.",
                hint=f"See whether {self.name} answers: {self.name} info",
            ) from error
        if ran.returncode:
            lines = (ran.stderr.strip() or ran.stdout.strip() or "nothing was said").splitlines()
            # Docker says the reason first, and last only which container it was
            said = next((line for line in lines if line.startswith(_REASON)), lines[-1])
            said = said.removeprefix(_REASON).rstrip(".")
            raise BackendError(f"{failed}: {said}.", hint=f"Look at: {self.name} info")
        return ran.stdout.strip()

    def identify(self, tag: str) -> str:
        """Give the digest of an image's configuration; empty where there is no such image."""
        with contextlib.suppress(BackendError):
            said = self.call("image", "inspect", "--format", "{{.Id}}", tag, failed=f"{tag} is not there")
            return said if said.startswith("sha256:") else f"sha256:{said}"
        return ""

    def load(self, archive: Path, tag: str) -> None:
        """Take an image over from an archive."""
        self.call("load", "--quiet", "--input", str(archive), failed=f"{tag} could not be loaded")

    def build(self, folder: Path, tag: str) -> None:
        """Build a folder's Dockerfile, for Linux on x86-64."""
        self.call(
            *("build", "--quiet", "--platform", "linux/amd64", "--tag", tag, str(folder)),
            failed=f"{tag} could not be built",
        )

    def save(self, tag: str, cache: Path) -> tuple[bytes, tuple[Layer, ...]]:
        """Give an image's configuration and layers, as files of the cache."""
        with tempfile.TemporaryDirectory(prefix="taxiway-save-") as scratch:
            path = Path(scratch) / "image.tar"
            self.call("save", "--output", str(path), tag, failed=f"{tag} could not be read back")
            with tarfile.open(path) as archive:
                about = json.loads(_read(archive, "manifest.json"))[0]
                config = _read(archive, about["Config"])
                kept = []
                diffs = json.loads(config)["rootfs"]["diff_ids"]
                for name, diff in zip(about["Layers"], diffs, strict=True):
                    target = cache / "layers" / f"saved-{diff.removeprefix('sha256:')[:32]}.tar.gz"
                    if (layer := read_layer(target)) is None:
                        source = archive.extractfile(archive.getmember(name))
                        assert source is not None
                        layer = pack(source, target)
                    kept.append(layer)
                return config, tuple(kept)

    @contextlib.contextmanager
    def run(self, tag: str, model: Path) -> Iterator[RunningImage]:
        """Run an image with ``serve`` and a folder as its Model's, on a free port of loopback."""
        name = f"taxiway-try-{uuid.uuid4().hex[:12]}"
        failed = f"{tag} could not be run"
        try:
            self.call(
                *("create", "--name", name, "--publish", "127.0.0.1::8080", tag, "serve"), failed=failed
            )
            # Copied, not mounted: the engine may be on another machine, or in a virtual one.
            self.call("cp", f"{model}/.", f"{name}:/opt/ml/model/live", failed=failed)
            started = time.monotonic()
            self.call("start", name, failed=failed)
            port = self.call("port", name, "8080/tcp", failed=failed).splitlines()[0].rpartition(":")[2]
            yield RunningImage(self, name, f"http://127.0.0.1:{port}", started)
        finally:
            self.call("rm", "--force", "--volumes", name, failed=f"{name} could not be removed")


@dataclass(frozen=True, slots=True)
class RunningImage:
    """A container of an engine, and when it was started, by ``time.monotonic``."""

    engine: Engine
    name: str
    url: str
    started: float

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        said = self.engine.call(
            "inspect", "--format", "{{.State.Running}}", self.name, failed=f"{self.name} is gone"
        )
        return said == "true"

    def log(self) -> str:
        """Give what it has written."""
        ran = subprocess.run([self.engine.name, "logs", self.name], capture_output=True, text=True)
        return ran.stdout + ran.stderr

    def stop(self) -> int:
        """Send SIGTERM, as SageMaker does; give the exit status."""
        self.engine.call("stop", "--time", "30", self.name, failed=f"{self.name} did not stop")
        said = self.engine.call(
            "inspect", "--format", "{{.State.ExitCode}}", self.name, failed=f"{self.name} is gone"
        )
        return int(said)


def find_engine() -> Engine | None:
    """Give the first of docker and podman that answers here; None where neither does."""
    for name in NAMES:
        if shutil.which(name):
            with contextlib.suppress(BackendError):
                Engine(name).call("info", failed=f"{name} does not answer", seconds=_LOOK_SECONDS)
                return Engine(name)
    return None


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(archive.getmember(name))
    assert file is not None
    return file.read()
