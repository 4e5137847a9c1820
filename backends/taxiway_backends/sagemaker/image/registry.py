"""Pushing to a registry by its HTTP protocol, with Docker's media types, and looking at what arrived.

The protocol is the OCI distribution specification's, section "Push"; the manifest is Docker's "Image Manifest
V 2, Schema 2", because SageMaker refuses OCI's.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from taxiway.errors import BackendError
from taxiway_backends.sagemaker.image.building import LocalImage
from taxiway_backends.sagemaker.image.context import Progress, silent

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_ATTEMPTS = 3
_PIECE = 2**20
_TIMEOUT = httpx.Timeout(60.0, write=300.0)


@dataclass(frozen=True, slots=True)
class Registry:
    """Where images are pushed to: its address with its scheme, and a user of it."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """The name that images of it begin with."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image in a registry.

    Parameters
    ----------
    uri
        ``host/repository:tag``.
    digest
        Of its manifest, as ``sha256:…``.
    media_type
        Of the manifest, as the registry gives it.
    """

    uri: str
    digest: str
    media_type: str


def push(image: LocalImage, registry: Registry, repository: str, *, progress: Progress = silent) -> Pushed:
    """Push an image under its own tag; what the registry has already is not sent again.

    Raises
    ------
    BackendError
        The registry cannot be reached, refuses the user or the image, or gives back another manifest.
    """
    tag = image.tag.rpartition(":")[2]
    config_digest = f"sha256:{hashlib.sha256(image.config).hexdigest()}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(image.config), "digest": config_digest},
            "layers": [
                {"mediaType": _LAYER, "size": layer.size, "digest": layer.digest} for layer in image.layers
            ],
        },
        separators=(",", ":"),
    ).encode()
    auth = (registry.user, registry.password) if registry.user else None
    with httpx.Client(base_url=registry.url, auth=auth, timeout=_TIMEOUT, follow_redirects=True) as client:
        repo = _Repository(client, registry, repository)
        progress(f"push to {registry.host}/{repository}")
        for left in reversed(range(_ATTEMPTS)):
            try:
                with ThreadPoolExecutor(4) as pool:
                    list(
                        pool.map(lambda layer: repo.blob(layer.digest, layer.size, layer.path), image.layers)
                    )
                repo.blob(config_digest, len(image.config), image.config)
                repo.manifest(tag, manifest)
                media_type = repo.look(tag, manifest)
                break
            except _Interrupted as error:
                if not left:
                    raise error.told from error
                time.sleep(1.0)  # what has arrived is not sent again
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    return Pushed(f"{registry.host}/{repository}:{tag}", digest, media_type)


class _Repository:
    def __init__(self, client: httpx.Client, registry: Registry, name: str) -> None:
        self._client = client
        self._registry = registry
        self._name = name

    def blob(self, digest: str, size: int, content: Path | bytes) -> None:
        """Upload a blob, if it is not there."""
        if self._ask("HEAD", f"blobs/{digest}", allow=(404,)).status_code == 200:
            return
        begun = self._ask("POST", "blobs/uploads/", headers={"Content-Length": "0"})
        place = urljoin(str(begun.request.url), begun.headers["location"])
        length = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        sent = self._ask("PATCH", place, headers=length, content=_pieces(content))
        place = urljoin(str(sent.request.url), sent.headers["location"])
        end = httpx.URL(place).copy_merge_params({"digest": digest})
        self._ask("PUT", str(end), headers={"Content-Length": "0"})

    def manifest(self, tag: str, manifest: bytes) -> None:
        """Give the image its tag."""
        self._ask("PUT", f"manifests/{tag}", headers={"Content-Type": MANIFEST}, content=manifest)

    def look(self, tag: str, manifest: bytes) -> str:
        """See that what the registry gives is what was pushed; give its media type."""
        answer = self._ask("GET", f"manifests/{tag}", headers={"Accept": MANIFEST})
        given = str(answer.headers.get("content-type", "")).partition(";")[0]
        if given != MANIFEST or answer.content != manifest:
            raise BackendError(
                f"{self._registry.host}/{self._name}:{tag} was pushed, and the registry gives another"
                f" manifest back, of type {given or 'none'}: SageMaker would refuse it.",
                hint="Push to a registry that keeps Docker's manifests, such as Amazon ECR.",
            )
        return given

    def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        content: Any = None,
        allow: tuple[int, ...] = (),
    ) -> httpx.Response:
        host = self._registry.host
        url = path if "://" in path else f"/v2/{self._name}/{path}"
        try:
            answer = self._client.request(method, url, headers=headers, content=content)
        except httpx.HTTPError as error:
            told = BackendError(
                f"The registry {host} could not be reached: {str(error) or type(error).__name__}.",
                hint="See that its address is right and can be reached from here.",
            )
            raise _Interrupted(told) from error
        status = answer.status_code
        if answer.is_success or status in allow:
            return answer
        if status in (401, 403):
            raise BackendError(
                f"The registry {host} refuses to let {self._registry.user or 'nobody'} push to {self._name}.",
                hint="See that the credentials have not expired and may push to this repository.",
            )
        told = BackendError(
            f"The registry {host} answered {method} of {self._name} with {status}: {_reason(answer)}.",
            hint="See that the repository exists, or try again.",
        )
        raise _Interrupted(told) if status >= 500 else told


class _Interrupted(Exception):
    """What may go well when it is tried again."""

    def __init__(self, told: BackendError) -> None:
        super().__init__(str(told))
        self.told = told


def _pieces(content: Path | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _reason(answer: httpx.Response) -> str:
    try:
        error = answer.json()["errors"][0]
        return str(error.get("message") or error["code"])
    except (ValueError, LookupError, TypeError):
        return answer.text[:200] or answer.reason_phrase
