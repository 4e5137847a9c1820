"""Images: a Bento's tar and its models', unpacked as a container of it holds them."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.emulators.bentocloud.shelf import Artifact
from tests.emulators.bentocloud.site import Site


class BuildFailed(Exception):
    """An image could not be built; its log says why."""


@dataclass
class Image:
    """One Bento's, built when a deployment first needs it.

    Parameters
    ----------
    status
        ``pending``, ``building``, ``success`` or ``failed``.
    """

    tag: str
    folder: Path
    log: Path
    status: str = "pending"
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def pod(self) -> str:
        """The name of the pod that builds it."""
        return "bento-image-builder-" + self.tag.replace(":", "-")


class Images:
    """All of an organization."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._images: dict[str, Image] = {}

    def get(self, tag: str) -> Image:
        """Of a Bento, built or not."""
        if tag not in self._images:
            place = self._site.folder.joinpath("images", *tag.split(":"))
            place.mkdir(parents=True)
            self._images[tag] = Image(tag, place / "bento", place / "build.log")
        return self._images[tag]

    def all(self) -> list[Image]:
        """Every one that was ever asked for."""
        return list(self._images.values())

    def built(self, tag: str) -> bool:
        """Whether there is nothing left to build; where builds are to fail, there always is."""
        return self.get(tag).status == "success" and self._site.faults.build_log is None

    async def build(self, tag: str) -> Image:
        """Build it unless it is built.

        Raises
        ------
        BuildFailed
            A model is missing, or it is planted.
        """
        image = self.get(tag)
        async with image.lock:
            if not self.built(tag):
                image.status = "building"
                try:
                    await self._build(image)
                except BaseException:  # cancelled too: the next deployment builds it anew
                    image.status = "failed"
                    raise
                image.status = "success"
        return image

    async def _build(self, image: Image) -> None:
        bento = self._site.shelf.whole("bento", image.tag)
        image.log.write_text(f"Building the image of {image.tag}\n")
        await self._site.stay("image-building")
        if (said := self._site.faults.build_log) is not None:
            _say(image.log, *said)
            raise BuildFailed(said[-1] if said else "")
        uploaded = {one.tag: one for one in self._site.shelf.artifacts("model") if one.uploaded}
        wanted = [str(tag) for tag in (bento.said.get("manifest") or {}).get("models") or ()]
        for tag in wanted:
            if tag not in uploaded:
                _say(image.log, f"ERROR: model {tag} was not found in the model store")
                raise BuildFailed(tag)
        await asyncio.to_thread(_unpack, image.folder, bento, [uploaded[tag] for tag in wanted])
        _say(image.log, "Successfully built")


def _unpack(folder: Path, bento: Artifact, models: list[Artifact]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _extract(bento.file, folder)
    for model in models:
        store = folder / "models" / model.repository
        _extract(model.file, store / model.version)
        (store / "latest").write_text(model.version)


def _extract(file: Path, folder: Path) -> None:
    with tarfile.open(file) as tar:
        tar.extractall(folder, filter="data")


def _say(log: Path, *lines: str) -> None:
    with log.open("a") as target:
        for line in lines:
            target.write(f"{time.strftime('%H:%M:%S')} {line}\n")
