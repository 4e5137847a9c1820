"""Images: put together from their layers here, or built by Docker or podman where they stand on another base.

Put together, an image needs no daemon and no root, and its digest follows from its lock alone: Docker's own
build of the same Dockerfile has the same files, and another digest each time, because it writes down when it
was made. So Docker and podman, where there are, run what was put together; and the digest of what they ran is
the digest of what is pushed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from taxiway.errors import BackendError
from taxiway_backends.sagemaker.image.context import (
    BASE_VARIABLE,
    PACKAGES,
    SOURCE,
    Progress,
    Recipe,
    context,
    default_cache,
    layers,
    silent,
)
from taxiway_backends.sagemaker.image.engine import Engine, find_engine
from taxiway_backends.sagemaker.image.layers import EPOCH, Layer

REPOSITORY = "taxiway"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREATED = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))
_FROM = "FROM scratch\nADD base.tar.gz /\n"

How = Literal["layers", "docker", "podman"]


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image on this machine.

    Parameters
    ----------
    tag
        ``taxiway:`` and the first digits of the lock's digest.
    digest
        Of its configuration, as ``sha256:…``: what Docker calls the image's id.
    size_bytes
        Of its files, uncompressed: what Docker shows, and what SageMaker has to unpack.
    how
        ``layers`` where it was put together here; else who built it.
    config, layers
        What it is made of.
    """

    tag: str
    digest: str
    size_bytes: int
    how: How
    config: bytes
    layers: tuple[Layer, ...]


def build(
    model_path: Path,
    *,
    gpu: bool = False,
    progress: Progress = silent,
    cache: Path | None = None,
    how: Literal["auto", "layers", "docker", "podman"] = "auto",
    base: str | None = None,
) -> LocalImage:
    """Build the image of a Model's environment, for Linux on x86-64.

    Parameters
    ----------
    model_path
        The Model's folder.
    gpu
        Whether it is to compute on a GPU: it has CUDA's libraries then, 2 GB more.
    progress
        Told a few words whenever something begins.
    cache
        Where layers are kept.
    how
        ``layers``: put together here. ``docker`` and ``podman``: by its build of the Dockerfile. ``auto``:
        put together, unless there is a base of one's own.
    base
        An image to stand on; by default ``TAXIWAY_IMAGE_BASE``, else Taxiway's own base.

    Raises
    ------
    BackendError
        Something of it could not be had, or the engine that is needed is not there.
    """
    cache = cache or default_cache()
    recipe = Recipe.of(model_path, cache, base, gpu=gpu)
    base, digest = recipe.own_base, recipe.digest
    tag = f"{REPOSITORY}:{digest[:16]}"
    if how == "layers" and base:
        raise BackendError(
            f"An image that stands on {base} is built by Docker or podman.",
            hint=f"Leave {BASE_VARIABLE} empty, or let how be auto.",
        )
    if how in ("auto", "layers") and not base:
        parts = layers(recipe, cache, progress)
        config = _config(parts, digest)
        return _image(tag, "layers", config, parts)
    engine = find_engine() if how == "auto" else Engine(how)
    if engine is None:
        raise BackendError(
            f"An image that stands on {base} is built by Docker or podman, and neither answers here.",
            hint=f"Start one, or leave {BASE_VARIABLE} empty.",
        )
    with tempfile.TemporaryDirectory(prefix="taxiway-context-") as scratch:
        folder = context(model_path, Path(scratch), gpu=gpu, cache=cache, progress=progress)
        if base:
            text = (folder / "Dockerfile").read_text(encoding="utf-8")
            (folder / "Dockerfile").write_text(text.replace(_FROM, f"FROM {base}\n"), encoding="utf-8")
        progress(f"{engine.name} build")
        engine.build(folder, tag)
    config, parts_ = engine.save(tag, cache)
    return _image(tag, "podman" if engine.name == "podman" else "docker", config, parts_)


def write_archive(image: LocalImage, path: Path) -> None:
    """Write an image as the archive that ``docker load`` and ``podman load`` take."""
    with tarfile.open(path, "w") as archive:
        names = []
        for layer in image.layers:
            name = f"{layer.digest.removeprefix('sha256:')}.tar.gz"
            if name not in names:
                archive.add(layer.path, name)
            names.append(name)
        config = f"{image.digest.removeprefix('sha256:')}.json"
        _add(archive, config, image.config)
        manifest = [{"Config": config, "RepoTags": [image.tag], "Layers": names}]
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def hand_over(image: LocalImage, engine: Engine) -> None:
    """Have Docker or podman know an image that it did not build; it may know it already."""
    if engine.identify(image.tag) == image.digest:
        return
    with tempfile.TemporaryDirectory(prefix="taxiway-load-") as scratch:
        path = Path(scratch) / "image.tar"
        write_archive(image, path)
        engine.load(path, image.tag)


def _image(tag: str, how: How, config: bytes, parts: tuple[Layer, ...]) -> LocalImage:
    size = sum(layer.unpacked for layer in parts)
    return LocalImage(tag, f"sha256:{hashlib.sha256(config).hexdigest()}", size, how, config, parts)


def _config(parts: tuple[Layer, ...], digest: str) -> bytes:
    """Write the image's configuration: what the Dockerfile says."""
    config: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": _CREATED,
        "config": {
            "User": "root",
            "ExposedPorts": {"8080/tcp": {}},
            "Env": [
                f"PATH={_PATH}",
                "LANG=C.UTF-8",
                f"PYTHONPATH=/{PACKAGES}:/{SOURCE}",
                "PYTHONDONTWRITEBYTECODE=1",
                "TAXIWAY_CONTAINER_OPEN=1",
                "NVIDIA_VISIBLE_DEVICES=all",
                "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
            ],
            "Entrypoint": ["python3", "-m", "taxiway.serving.container"],
            "Cmd": ["serve"],
            "WorkingDir": "/root",
            "Labels": {"taxiway.lock": digest},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in parts]},
        "history": [
            {"created": _CREATED, "created_by": f"ADD {name}.tar.gz /"}
            for name in ("base", "packages", "source")
        ],
    }
    return json.dumps(config, separators=(",", ":"), sort_keys=True).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
