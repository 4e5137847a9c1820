"""A Model as one file: a plain tar that has exactly one form.

POSIX ustar, not compressed: first ``model.json``, then the files that it names, in the order of their
names, every header with the same owner, mode and time. Any tar reads it, and the same Model always gives
the same bytes.

Reading is the reverse, and accepts nothing else: each header must be, byte for byte, the one that writing
would give. So a link, a device, a folder, an extension or sparse header, a name used twice and a hidden
member have no form; and since nothing is compressed, no file can be larger than what was sent.
"""

from __future__ import annotations

import os
import re
import tarfile
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any, NotRequired, Protocol

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from taxiway.errors import CorruptionError, InputError, PackagingError
from taxiway.packaging import environments, preflight, registry
from taxiway.packaging.environment import Environment
from taxiway.packaging.manifest import FILE, Manifest
from taxiway.packaging.model import (
    ENVIRONMENT,
    PARITY,
    PREFLIGHT,
    REFERENCE,
    REQUIREMENTS,
    SAMPLE,
    SIGNATURE,
    Model,
)
from taxiway.packaging.parity import Parity
from taxiway.packaging.preflight import Preflight
from taxiway.packaging.sizes import readable
from taxiway.signature import Signature

EXTENSION = ".taxiway"
#: The most bytes of a manifest, and of any other file that is read as a whole to look into it.
MANIFEST_LIMIT = 16 * 2**20

_RECORDS = frozenset((ENVIRONMENT, PARITY, PREFLIGHT, REQUIREMENTS, SAMPLE, SIGNATURE))
_GRAPH = "model.onnx"
#: What each engine opens.
_OPENED = {
    "onnx": (_GRAPH,),
    "savedmodel": ("saved_model/saved_model.pb",),
    "skops": ("model.skops",),
    "text": (_GRAPH, "tokenizer.json"),
}

#: Folders that a Model may have; all other files lie at its top.
FOLDERS = ("saved_model", "sources", "tokenizer")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_CHUNK = 2**20
_USTAR_LIMIT = 8**11
_HINT = "Nothing was imported. Ask for the file again, and for how it was made."

Progress = Callable[[int, int], None]


class _Sample(TypedDict):
    records: list[dict[str, Any]]
    outputs: dict[str, list[Any]]
    original: NotRequired[dict[str, list[Any]]]


_SAMPLE = TypeAdapter(_Sample)


class Source(Protocol):
    """Bytes to read from, in order."""

    def read(self, size: int, /) -> bytes:
        """Give ``size`` bytes, or fewer at the end."""
        ...


def write(model: Model, file: IO[bytes], progress: Progress) -> None:
    """Write a Model to ``file``; ``progress`` is called with the bytes done and the bytes in all.

    Raises
    ------
    PackagingError
        One of its records is larger than an import reads.
    """
    paths = {name: model.path / name for name in _order(model.manifest)}
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    for name in (FILE, *sorted(_RECORDS)):
        if sizes[name] > MANIFEST_LIMIT:
            raise PackagingError(
                f"{model.tag} cannot be exported: its {name} takes {readable(sizes[name])}, and an "
                f"import reads {readable(MANIFEST_LIMIT)} of it at most.",
                hint="Package the model again with shorter texts and fewer columns in its sample.",
            )
    total, done = sum(sizes.values()), 0
    for name, path in paths.items():
        file.write(_header(name, sizes[name]))
        with path.open("rb") as content:
            while chunk := content.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
        file.write(_padding(sizes[name]))
    file.write(_END)


class Reader:
    """An archive whose manifest has been read and believed; its other files are still to come.

    Parameters
    ----------
    source
        Where the archive is read from, once and in order.
    shown
        What messages call it.

    Raises
    ------
    CorruptionError
        It is not the archive of a Model, or its manifest cannot be trusted.
    """

    def __init__(self, source: Source, shown: str) -> None:
        self._source = source
        self._shown = shown
        size = self._next_size(FILE)
        if size > MANIFEST_LIMIT:
            raise self._wrong(f"its manifest is {size} bytes long")
        self._manifest_bytes = self._exactly(size)
        self._skip_padding(size)
        self.manifest = self._believed()

    def extract(self, folder: Path, progress: Progress) -> None:
        """Write every file into ``folder``, which is empty, and compare each with its digest.

        Raises
        ------
        CorruptionError
            Something is missing, added, altered or larger than the manifest says.
        """
        (folder / FILE).write_bytes(self._manifest_bytes)
        left = total = self.manifest.size_bytes
        for name in _order(self.manifest)[1:]:
            size = self._next_size(name)
            if size > left:
                raise self._wrong(f"{name} makes it larger than the {total} bytes that its manifest declares")
            if name in _RECORDS and size > MANIFEST_LIMIT:
                raise self._wrong(f"{name} is {size} bytes long, and may have {MANIFEST_LIMIT}")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for start in range(0, size, _CHUNK):
                    chunk = self._exactly(min(_CHUNK, size - start))
                    file.write(chunk)
                    left -= len(chunk)
                    progress(total - left, total)
                file.flush()
                os.fsync(file.fileno())
            self._skip_padding(size)
        if left:
            raise self._wrong(f"it is {left} bytes smaller than its manifest declares")
        if self._exactly(len(_END)) != _END or self._source.read(1):
            raise self._wrong("it holds more than its manifest names")
        try:
            self.manifest.verify(folder)
        except CorruptionError as error:
            raise self._wrong(error.message.removesuffix(".")) from error
        self._check_opens(folder)
        if self.manifest.identity() != self.manifest.digest:
            raise self._wrong("its digest is not that of what it says it is")

    def _believed(self) -> Manifest:
        """Read the manifest, and check all in it that needs no other file."""
        manifest = Manifest.parse(self._manifest_bytes, f"The manifest of {self._shown}")
        try:
            TypeAdapter(Manifest).validate_json(self._manifest_bytes, strict=True)
            registry.check_name(manifest.name)
            created = datetime.fromisoformat(manifest.created).astimezone(UTC)
        except (ValidationError, ValueError, OverflowError, InputError) as error:
            reason = " ".join(str(error).splitlines()[:3])
            raise self._wrong(f"its manifest has a wrong field: {reason}") from error
        if created > datetime.now(UTC) + timedelta(days=1):
            raise self._wrong(f"it says that it was packaged on {manifest.created}, which is still to come")
        if not _DIGEST.fullmatch(manifest.digest) or manifest.digest[:12] != manifest.version:
            raise self._wrong(f"its version {manifest.version} does not follow from its digest")
        if not _WORD.fullmatch(manifest.framework):
            raise self._wrong(f"its framework is not a word: {manifest.framework[:40]!r}")
        if manifest.bento not in (None, f"{manifest.name}:{manifest.version}"):
            raise self._wrong(f"its Bento is said to be another's, {manifest.bento}")
        check_paths(manifest.files, self._shown)
        missing = sorted({*_RECORDS, REFERENCE, *_OPENED[manifest.runtime]}.difference(manifest.files))
        if missing:
            raise self._wrong(f"its manifest names no {', no '.join(missing)}")
        return manifest

    def _check_opens(self, folder: Path) -> None:
        """See that all that is shown or replayed can be read: one bad Model must not spoil a list."""
        from taxiway.serving.engines import weights

        model = Model(self.manifest, folder)
        try:
            TypeAdapter(Environment).validate_json((folder / ENVIRONMENT).read_bytes())
            TypeAdapter(Signature).validate_python(model.signature.to_plain())
            TypeAdapter(Parity).validate_json((folder / PARITY).read_bytes())
            TypeAdapter(Preflight).validate_json((folder / PREFLIGHT).read_bytes())
            model.checks.updated(preflight.untried(model.tag))
            model.to_detail()
            _SAMPLE.validate_python(model.sample())
            lines = (folder / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
            if _GRAPH in _OPENED[self.manifest.runtime]:
                weights.check(folder / _GRAPH)
        except Exception as error:
            # whatever reading JSON of a wrong shape may raise, or a graph that refers to other files
            reason = " ".join(f"{type(error).__name__}: {error}".splitlines()[:3])
            raise self._wrong(f"its files do not make a Model ({reason})") from error
        if not environments.is_version(model.environment.python):
            raise self._wrong(f"it says that it was made with Python {model.environment.python!r}")
        for line in lines:
            if not _PIN.fullmatch(line):
                raise self._wrong(
                    f"it requires {line!r}, which is not the name and version of a distribution"
                )

    def _next_size(self, name: str) -> int:
        """Read the header that must be that of ``name``; give the size of its content."""
        block = self._exactly(_BLOCK)
        try:
            found = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._wrong(f"there is no member {name!r} where it should be") from error
        if found.size >= 0 and found.name == name and _header(name, found.size) == block:
            return found.size
        if found.name != name:
            raise self._wrong(f"it holds {found.name!r} where its manifest names {name!r}")
        raise self._wrong(f"{name!r} is not a plain file as Taxiway writes it")

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise self._wrong("it ends too soon")
        return data

    def _skip_padding(self, size: int) -> None:
        padding = _padding(size)
        if self._exactly(len(padding)) != padding:
            raise self._wrong("something is hidden between its files")

    def _wrong(self, reason: str) -> CorruptionError:
        return CorruptionError(f"{self._shown} cannot be imported: {reason}.", hint=_HINT)


def check_paths(names: Iterable[str], shown: str) -> None:
    """Insist that all names may be files of one Model, on any file system.

    Raises
    ------
    CorruptionError
        One leads elsewhere, is the same as another but for its case, or lies where no file may.
    """
    seen: dict[str, str] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        parts = path.parts
        plain = (
            path.as_posix() == name
            and not path.is_absolute()
            and name.isprintable()
            and not any(sign in name for sign in '\\:*?"<>|')
            and all(part == part.strip(" .") for part in parts)
            and (len(parts) == 1 or (1 < len(parts) < 16 and parts[0] in FOLDERS))
        )
        folded = unicodedata.normalize("NFKC", name).casefold()
        if not plain or folded == FILE or folded in FOLDERS:
            raise CorruptionError(
                f"{shown} cannot be imported: {name!r} cannot be a file of a Model.", hint=_HINT
            )
        if folded in seen:
            raise CorruptionError(
                f"{shown} cannot be imported: {seen[folded]!r} and {name!r} are one file on some systems.",
                hint=_HINT,
            )
        seen[folded] = name
    for folded, name in seen.items():
        if any(other.startswith(f"{folded}/") for other in seen):
            raise CorruptionError(
                f"{shown} cannot be imported: {name!r} is both a file and a folder.", hint=_HINT
            )


def _order(manifest: Manifest) -> list[str]:
    return [FILE, *sorted(manifest.files)]


def _header(name: str, size: int) -> bytes:
    """Give the one header that a file of this name and size has."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    try:
        if size < _USTAR_LIMIT:
            block = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
        else:  # the one field that ustar is too narrow for
            block = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    except ValueError:
        block = b""
    if len(block) != _BLOCK:
        raise InputError(
            f"The name {name!r} is too long for an archive.", hint="Shorten the paths of the model's modules."
        )
    return block


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
