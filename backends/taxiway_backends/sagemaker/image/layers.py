"""Layers of an image: folders as archives that are the same wherever and whenever they are made."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

#: 1980-01-01: Python's zip files know no earlier time, and some tools take 0 for no time at all.
EPOCH = 315_532_800
_LEVEL = 4
_PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer on disk.

    Parameters
    ----------
    path
        The compressed archive.
    digest, size
        The SHA-256 of the compressed archive, as ``sha256:…``, and its bytes.
    diff_id, unpacked
        The same of what is compressed.
    """

    path: Path
    digest: str
    size: int
    diff_id: str
    unpacked: int


def write_layer(tree: Path, path: Path) -> Layer:
    """Write all that is under a folder as a layer: sorted, owned by root, of one time.

    Parameters
    ----------
    tree
        Stands for the image's root.
    path
        The archive to write; beside it, ``<path>.json`` tells what it is.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        squeezer = Squeezer(file)
        with tarfile.open(fileobj=cast(IO[bytes], squeezer), mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for one in sorted(tree.rglob("*")):
                _add(archive, one, str(one.relative_to(tree)))
        about = squeezer.close()
    return keep(part, about, path)


def keep(part: Path, about: Mapping[str, Any], path: Path) -> Layer:
    """Give a finished archive its name, and write down what it is."""
    path.with_name(f"{path.name}.json").write_text(json.dumps(about), encoding="utf-8")
    part.rename(path)
    return Layer(path, **about)


def read_layer(path: Path) -> Layer | None:
    """Give a layer that was written before; None if it is not whole."""
    try:
        about = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
        layer = Layer(path, **about)
        return layer if path.stat().st_size == layer.size else None
    except (OSError, ValueError, TypeError):
        return None


def unpack_layer(layer: Layer, root: Path) -> None:
    """Unpack a layer of one's own over a root."""
    with tarfile.open(layer.path, "r:gz") as archive:
        archive.extractall(root, filter="fully_trusted")  # noqa: S202 - it was made here


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    status = path.lstat()
    info = tarfile.TarInfo(name)
    info.mtime = EPOCH
    info.uname = info.gname = "root"
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        archive.addfile(info)
    elif stat.S_ISDIR(status.st_mode):
        info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name in ("tmp", "var/tmp") else 0o755
        archive.addfile(info)
    else:
        info.size = status.st_size
        info.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        with path.open("rb") as file:
            archive.addfile(info, file)


@dataclass
class Squeezer:
    """A file to write to that compresses, and tells afterwards what it wrote."""

    file: IO[bytes]
    _size: int = 0
    _unpacked: int = 0
    _sums: tuple[Any, Any] = field(default_factory=lambda: (hashlib.sha256(), hashlib.sha256()))
    _zip: Any = field(default_factory=lambda: zlib.compressobj(_LEVEL, zlib.DEFLATED, 31))

    def write(self, content: bytes) -> int:
        """Take more."""
        self._sums[1].update(content)
        self._unpacked += len(content)
        self._out(self._zip.compress(content))
        return len(content)

    def close(self) -> dict[str, Any]:
        """Give the fields of a ``Layer`` but its path."""
        self._out(self._zip.flush())
        digest, diff = (f"sha256:{one.hexdigest()}" for one in self._sums)
        return {"digest": digest, "size": self._size, "diff_id": diff, "unpacked": self._unpacked}

    def _out(self, content: bytes) -> None:
        self._sums[0].update(content)
        self._size += len(content)
        self.file.write(content)


def pack(source: IO[bytes], path: Path) -> Layer:
    """Compress a layer's archive that another tool wrote."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        squeezer = Squeezer(file)
        while piece := source.read(_PIECE):
            squeezer.write(piece)
        about = squeezer.close()
    return keep(part, about, path)
