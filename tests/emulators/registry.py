"""ECR's registry: Debian's ``docker-registry`` on loopback, with a password."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

_ACCEPTED = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "docker.distribution.manifest.v2+json",
        "docker.distribution.manifest.list.v2+json",
        "oci.image.manifest.v1+json",
        "oci.image.index.v1+json",
    )
)
_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Image:
    """One manifest of a repository; sizes in bytes."""

    digest: str
    tags: list[str]
    media_type: str
    text: str
    size: int


def installed() -> bool:
    """Whether this machine has the programs."""
    return all(shutil.which(program) for program in ("docker-registry", "htpasswd"))


@dataclass
class Registry:
    """Runs between :meth:`start` and :meth:`stop`."""

    folder: Path
    user: str = "AWS"
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    host: str = ""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on a free port of loopback."""
        self.folder.mkdir(parents=True, exist_ok=True)
        passwords = self.folder / "htpasswd"
        hashed = subprocess.run(
            ["htpasswd", "-Bbn", "-C", "4", self.user, self.password],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        passwords.write_text(hashed)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        settings = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, "secret": "emulator"},
            "auth": {"htpasswd": {"realm": "emulator", "path": str(passwords)}},
        }
        written = self.folder / "config.yml"
        written.write_text(json.dumps(settings))  # JSON is YAML
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(written)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._ask("GET", "/v2/")[0] != 200:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def manifest(self, repository: str, reference: str) -> Image | None:
        """By tag or digest; None where there is none."""
        status, headers, body = self._ask("GET", f"/v2/{repository}/manifests/{reference}")
        if status != 200:
            return None
        said = json.loads(body)
        size = sum(part["size"] for part in [said.get("config", {"size": 0}), *said.get("layers", ())])
        tags = [reference] if ":" not in reference else []
        return Image(headers["docker-content-digest"], tags, headers["content-type"], body.decode(), size)

    def images(self, repository: str) -> list[Image]:
        """Every tagged manifest, its tags together."""
        status, _headers, body = self._ask("GET", f"/v2/{repository}/tags/list")
        found: dict[str, Image] = {}
        for tag in (json.loads(body).get("tags") or ()) if status == 200 else ():
            if (image := self.manifest(repository, tag)) is not None:
                known = found.setdefault(image.digest, image)
                if tag not in known.tags:
                    known.tags.append(tag)
        return list(found.values())

    def put(self, repository: str, reference: str, text: str, media_type: str) -> None:
        """Write a manifest as it is."""
        path = f"/v2/{repository}/manifests/{reference}"
        status, _headers, body = self._ask("PUT", path, text.encode(), {"Content-Type": media_type})
        assert status == 201, body

    def delete(self, repository: str, digest: str) -> None:
        """Remove a manifest and its tags."""
        self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, more: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        word = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            headers = {"Authorization": f"Basic {word}", "Accept": _ACCEPTED, **(more or {})}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        except OSError:
            return 0, {}, b""
        finally:
            connection.close()
