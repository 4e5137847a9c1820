"""Archives of Models made by hand, and what an import leaves on the disk."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.packaging import digest
from taxiway.packaging.manifest import FILE, Manifest
from taxiway.packaging.model import Model


@dataclass
class Forgery:
    """The parts of an archive, to be altered, sealed again and packed again."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    @classmethod
    def of(cls, model: Model) -> Forgery:
        manifest = json.loads((model.path / FILE).read_text())
        manifest.pop("seal")
        return cls(
            manifest, {name: (model.path / name).read_bytes() for name in sorted(model.manifest.files)}
        )

    def put(self, name: str, data: bytes) -> None:
        """Add or replace a file, and tell the manifest the truth about it."""
        self.manifest["size_bytes"] += len(data) - len(self.files.get(name, b""))
        self.files[name] = data
        self.manifest["files"][name] = hashlib.sha256(data).hexdigest()

    def sealed(self) -> bytes:
        return json.dumps({**self.manifest, "seal": digest.of_value(self.manifest)}).encode()

    def readdressed(self) -> Forgery:
        """The same with the digest, and so the version, that follow from what it says."""
        identity = Manifest.parse(self.sealed(), "the forgery").identity()
        name, version = self.manifest["name"], identity[:12]
        self.manifest.update(digest=identity, version=version, bento=f"{name}:{version}")
        return self

    def members(self) -> list[tuple[tarfile.TarInfo, bytes]]:
        parts = [(FILE, self.sealed()), *sorted(self.files.items())]
        return [(member(name, len(data)), data) for name, data in parts]

    def packed(self) -> bytes:
        return pack(self.members())


class Cases(dict[str, "Hostile"]):
    """Ways to make an archive that must be refused, by name."""

    def add(self, function: Hostile) -> Hostile:
        self[function.__name__] = function
        return function


def member(name: str, size: int = 0, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in more.items():
        setattr(info, key, value)
    return info


def pack(members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    return b"".join(
        info.tobuf(form, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)  # type: ignore[arg-type]
        for info, data in members
    ) + bytes(1024)


Hostile = Callable[[Forgery], bytes]


def tree(*roots: Path) -> dict[str, str]:
    """Every file and folder, and its content's digest; but for locks, which stay."""
    found = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if ".staging" in path.parts and (path.is_dir() or path.name == "lock"):
                continue
            kind = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = kind
    return found
