"""The repositories of Bentos and of models, and the tars that were uploaded to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.emulators.bentocloud.faults import Refusal
from tests.emulators.bentocloud.shapes import Json, Resource, now

Kind = Literal["bento", "model"]
KINDS: tuple[Kind, ...] = ("bento", "model")


@dataclass
class Artifact:
    """One Bento or model of a repository, as it was registered, and its upload.

    Parameters
    ----------
    file
        Where the uploaded tar lies once there is one.
    parts
        Of a multipart upload: number → (ETag, file).
    """

    kind: Kind
    repository: str
    version: str
    said: Json
    file: Path
    shelf: Shelf = field(repr=False)
    resource: Resource = field(repr=False)
    upload_status: str = "pending"
    reason: str = ""
    upload_id: str | None = None
    parts: dict[int, tuple[str, Path]] = field(default_factory=dict)
    started: str | None = None
    finished: str | None = None

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.repository}:{self.version}"

    @property
    def uploaded(self) -> bool:
        """Whether it is whole."""
        return self.upload_status == "success"

    def begin(self) -> None:
        """An upload starts."""
        self.upload_status, self.reason, self.started, self.finished = "uploading", "", now(), None

    def finish(self, status: str, reason: str = "") -> None:
        """An upload has ended."""
        if status == "success" and not self.file.exists():
            raise Refusal(400, f"{self.kind} {self.tag} was said to be uploaded, but nothing has arrived")
        self.upload_status, self.reason, self.finished = status, reason, now()
        self.resource.updated_at = now()

    def answer(self, *, upload_url: str = "", download_url: str = "", image_status: str = "pending") -> Json:
        """As the client reads it."""
        return {
            **self.resource.base(),
            "description": self.said.get("description") or "",
            "version": self.version,
            "image_build_status": image_status,
            "upload_status": self.upload_status,
            "upload_finished_reason": self.reason,
            "presigned_upload_url": upload_url,
            "presigned_download_url": download_url,
            "manifest": self.said.get("manifest"),
            "transmission_strategy": self.shelf.strategy,
            "upload_id": self.upload_id,
            "upload_started_at": self.started,
            "upload_finished_at": self.finished,
            "build_at": self.said.get("build_at") or self.resource.created_at,
        }


@dataclass
class Repository:
    """A name under which versions are kept, newest last."""

    kind: Kind
    description: str
    resource: Resource
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    def answer(self) -> Json:
        """As the client reads it."""
        newest = next(reversed(self.artifacts.values()), None)
        return {
            **self.resource.base(),
            "description": self.description,
            f"latest_{self.kind}": newest.answer() if newest else None,
        }


class Shelf:
    """All repositories of the organization."""

    def __init__(self, folder: Path, strategy: str | None) -> None:
        self.folder, self.strategy = folder, strategy
        self._repositories: dict[tuple[Kind, str], Repository] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def repositories(self, kind: Kind) -> list[Repository]:
        """Of one kind."""
        return [one for (of, _name), one in self._repositories.items() if of == kind]

    def artifacts(self, kind: Kind) -> list[Artifact]:
        """Of one kind, whatever their repository."""
        return [one for repository in self.repositories(kind) for one in repository.artifacts.values()]

    def repository(self, kind: Kind, name: str) -> Repository:
        """By name; refused if there is none."""
        try:
            return self._repositories[kind, name]
        except KeyError:
            raise Refusal(404, f"{kind} repository {name}: record not found") from None

    def artifact(self, kind: Kind, name: str, version: str) -> Artifact:
        """By tag; refused if there is none."""
        try:
            return self.repository(kind, name).artifacts[version]
        except KeyError:
            raise Refusal(404, f"{kind} {name}:{version}: record not found") from None

    def whole(self, kind: Kind, tag: str) -> Artifact:
        """By tag; refused if it is not there, or not all of it."""
        name, _, version = tag.partition(":")
        found = next((one for one in self.artifacts(kind) if one.tag == f"{name}:{version}"), None)
        if found is None or not found.uploaded:
            raise Refusal(400, f"{kind} {tag} has not been uploaded")
        return found

    def add_repository(self, kind: Kind, name: str, description: str) -> Repository:
        """Refused if the name is taken."""
        if (kind, name) in self._repositories:
            raise Refusal(409, f"{kind} repository {name} already exists")
        made = Repository(kind, description, Resource(name, f"{kind}_repository"))
        self._repositories[kind, name] = made
        return made

    def add(self, kind: Kind, name: str, said: Json) -> Artifact:
        """Register a version; refused if it is there."""
        repository, version = self.repository(kind, name), str(said["version"])
        if version in repository.artifacts:
            raise Refusal(409, f"{kind} {name}:{version} already exists")
        resource = Resource(version, kind, said.get("labels") or [])
        made = Artifact(kind, name, version, said, self.folder / f"{resource.uid}.tar", self, resource)
        repository.artifacts[version] = made
        return made
