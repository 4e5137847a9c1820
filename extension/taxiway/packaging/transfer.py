"""Export and import: a Model as one file, at any place that fsspec reaches.

A place is a path, or a URL such as ``s3://bucket/models/``. An import runs nothing of what it reads.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from packaging.utils import canonicalize_name

from taxiway.errors import ConflictError, InputError, NotFoundError, PackagingError, TaxiwayError
from taxiway.packaging import archive, distributions, registry
from taxiway.packaging.archive import EXTENSION, Progress
from taxiway.packaging.manifest import Manifest
from taxiway.packaging.model import REQUIREMENTS, Model
from taxiway.packaging.origin import Origin
from taxiway.packaging.staging import stage
from taxiway.settings import settings

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: Protocols whose package an extra of Taxiway installs.
EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}

#: Stands for every distribution that an imported Model requires.
ALL = "all"

_URL = re.compile(r"[\w+.:-]+://\S+")
_QUERY = re.compile(r"\?\S*=\S*")
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import gave: the Model, and whether it is ``new`` here."""

    model: Model
    new: bool


def export(
    model: Model | str, place: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> str:
    """Write a Model to one file; the same Model always gives the same bytes.

    Parameters
    ----------
    model
        A Model, or its tag.
    place
        A path or a URL; for a folder (or a URL that ends with ``/``) the file is called
        ``NAME-VERSION.taxiway``.
    overwrite
        Replace a file that is there.
    progress
        Called with the bytes done and the bytes in all.

    Returns
    -------
    str
        The path or URL of the file.

    Raises
    ------
    ConflictError
        There is a file already.
    InputError
        The place cannot be reached, or not be written to.
    """
    found = registry.load(model if isinstance(model, str) else model.tag)
    fs, path = _reach(place)
    shown = without_secrets(place)
    with _answering(place, shown, "written"):
        if str(place).endswith("/") or fs.isdir(path):
            path = f"{path.rstrip('/')}/{found.name}-{found.version}{EXTENSION}"
            shown = f"{shown.rstrip('/')}/{found.name}-{found.version}{EXTENSION}"
        if not overwrite and fs.exists(path):
            raise ConflictError(
                f"There is a file at {shown} already.",
                hint="Choose another place, or overwrite it (--overwrite).",
            )
        folder, _, name = path.rpartition("/")
        part = f"{folder}/.{name}.{secrets.token_hex(4)}.part"
        try:
            with fs.open(part, "wb") as file:
                archive.write(found, file, progress or _silent)
                _flush(file)
            fs.mv(part, path)
        except BaseException:
            with suppress(Exception):
                fs.rm_file(part)
            raise
    return shown


def import_model(
    place: str | Path,
    *,
    trust: Iterable[str] = (),
    pins: Iterable[str] = (),
    by: str = "",
    progress: Progress | None = None,
) -> Imported:
    """Read a Model that was exported into the store; nothing in it is run.

    Parameters
    ----------
    place
        A path or a URL.
    trust
        Types that its file may hold beyond those that skops trusts itself: you have read their code.
    pins
        Distributions that it may require beyond what Taxiway's engines are known here to need: you know
        them. ``"all"`` is every one that it names.
    by
        Who imports it, for the record.
    progress
        Called with the bytes done and the bytes in all.

    Raises
    ------
    NotFoundError
        There is nothing.
    InputError
        The place cannot be reached, or the Model needs code that you did not say you trust.
    CorruptionError
        It is not the file of a Model, or not as it was exported; nothing was imported.
    ConflictError
        Another Model of this very name and version is here.
    """
    fs, path = _reach(place)
    shown = without_secrets(place)
    with _answering(place, shown, "read"):
        if fs.isdir(path):
            raise InputError(
                f"{shown} is a folder.", hint=f"Name a file in it, such as NAME-VERSION{EXTENSION}."
            )
        file = fs.open(path, "rb")
    try:
        reader = archive.Reader(_Remote(file, place, shown), shown)
        _check_trust(reader.manifest, frozenset(trust), shown)
        origin = Origin(shown, datetime.now(UTC).isoformat(), by)
        known = (pins,) if isinstance(pins, str) else tuple(pins)
        return _placed(reader, origin, known, progress or _silent)
    finally:
        with suppress(Exception):
            file.close()


def without_secrets(place: str | Path) -> str:
    """Give a place as it may be shown and recorded: without a password, a key or a signed query."""
    if isinstance(place, Path) or "://" not in place:
        return str(place)
    parts = []
    for part in place.split("::"):
        try:
            scheme, host, path, _, _ = urlsplit(part)
        except ValueError:
            return f"{place.partition('://')[0]}://…"
        parts.append(
            urlunsplit((scheme, host.rpartition("@")[2], path, "", "")) if host or path else f"{scheme}://"
        )
    return "::".join(parts)


def _placed(reader: archive.Reader, origin: Origin, pins: tuple[str, ...], progress: Progress) -> Imported:
    manifest, store = reader.manifest, settings().store
    try:
        with stage(store, manifest.name) as folder:
            there = registry.intact(manifest.name, manifest.version)
            if there is not None:
                return Imported(_same(there, manifest, origin.source), new=False)
            free = shutil.disk_usage(folder).free
            if free < manifest.size_bytes:
                raise PackagingError(
                    f"{manifest.name}:{manifest.version} needs {manifest.size_bytes:,} bytes, "
                    f"but only {free:,} are free under {store}.",
                    hint="Free some space, or set TAXIWAY_HOME to a larger disk; nothing was imported.",
                )
            staged = folder / "model"
            staged.mkdir()
            reader.extract(staged, progress)
            _check_pins(staged, pins, origin.source)
            return Imported(registry.save(staged, origin), new=True)
    except OSError as error:
        raise PackagingError(
            f"{origin.source} could not be imported: {error.strerror or error}.",
            hint=f"Look at the space and the permissions of {settings().home}; nothing was half-written.",
        ) from error


def _check_trust(manifest: Manifest, trusted: frozenset[str], shown: str) -> None:
    """Let nobody's word but the user's decide whose code may run when the Model is loaded."""
    asked = manifest.engine.get("trusted", [])
    unknown = sorted({str(name) for name in (asked if isinstance(asked, list) else [asked])} - trusted)
    if unknown:
        raise InputError(
            f"{shown} asks to trust {', '.join(unknown)}, whose code would run when it is loaded.",
            hint="Read that code, then name each: trust=[...] (--trust TYPE).",
        )


def _check_pins(folder: Path, known: tuple[str, ...], shown: str) -> None:
    """Let only what engines need be installed and started in a replay, unless the user says otherwise."""
    if ALL in known:
        return
    lines = (folder / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    names = {str(canonicalize_name(line.partition("==")[0])) for line in lines}
    unknown = sorted(names - distributions.expected() - {str(canonicalize_name(name)) for name in known})
    if unknown:
        raise InputError(
            f"{shown} requires {', '.join(unknown)}, which, as far as is known here, no engine needs.",
            hint=f"Their code would run in a replay. Look at the names, then allow each, or all of them: "
            f"pins=[...] or pins={ALL!r} (--pin NAME, --pin {ALL}).",
        )


def _same(there: Model, manifest: Manifest, shown: str) -> Model:
    if there.digest != manifest.digest:
        raise ConflictError(
            f"{shown} holds another {there.tag} than the one that is here.",
            hint="Trust neither until you know why: a version follows from what the Model is.",
        )
    return there


class _Remote:
    """A file of some file system, whose errors become Taxiway's."""

    def __init__(self, file: IO[bytes], place: str | Path, shown: str) -> None:
        self._file = file
        self._place = place
        self._shown = shown

    def read(self, size: int) -> bytes:
        """Give ``size`` bytes, or fewer at the end of the file."""
        parts = []
        with _answering(self._place, self._shown, "read"):
            while size and (part := self._file.read(size)):
                parts.append(part)
                size -= len(part)
        return b"".join(parts)


def _reach(place: str | Path) -> tuple[AbstractFileSystem, str]:
    """Give the file system of a place, and the path there."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    text = str(place)
    if not text:
        raise InputError("No place was given.", hint="Give a path, or a URL such as s3://bucket/models/.")
    if isinstance(place, Path) or "://" not in text:
        return LocalFileSystem(), str(Path(text).expanduser().absolute())
    protocol = text.partition("://")[0].rpartition("::")[2]
    try:
        fs, path = url_to_fs(text)
    except ImportError as error:
        raise InputError(
            f"Nothing is installed that reaches {protocol}://.", hint=_install(protocol)
        ) from error
    except Exception as error:
        raise InputError(
            f"{without_secrets(text)} cannot be reached: {_reason(error, place)}.",
            hint="Give a path, or a URL such as s3://bucket/models/.",
        ) from error
    return fs, path


def _install(protocol: str) -> str:
    from fsspec.registry import known_implementations

    if protocol in EXTRAS:
        return f"Install the extra: pip install 'taxiway[{EXTRAS[protocol]}]'."
    known: dict[str, Any] = known_implementations.get(protocol, {})
    return f"{known.get('err', 'Install its package for fsspec')}."


@contextmanager
def _answering(place: str | Path, shown: str, done: str) -> Iterator[None]:
    """Turn whatever a file system's library raises into one sentence."""
    try:
        yield
    except TaxiwayError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{shown} cannot be {done}: there is no such file or folder.", hint="Look at the path or URL."
        ) from error
    except Exception as error:
        raise InputError(
            f"{shown} cannot be {done}: {_reason(error, place)}.",
            hint="Look at the URL, your credentials and the space there; nothing was half-written.",
        ) from error


def _reason(error: Exception, place: str | Path) -> str:
    """Give an error's first line, without what no one may read of the place or of any other URL in it."""
    text = str(getattr(error, "strerror", None) or error).replace(str(place), without_secrets(place))
    line = (text.splitlines() or [type(error).__name__])[0]
    line = _QUERY.sub("", _URL.sub(lambda found: without_secrets(found[0]), line))
    for secret in _secrets(place):
        line = line.replace(secret, "…")
    return line.rstrip(".")


def _secrets(place: str | Path) -> list[str]:
    """Give what of a place may not be shown, the longest first: user, password and the query's values."""
    if isinstance(place, Path) or "://" not in place:
        return []
    found: set[str] = set()
    for part in place.split("::"):
        with suppress(ValueError):
            _, host, _, query, fragment = urlsplit(part)
            user = host.rpartition("@")[0]
            values = [value for _, value in parse_qsl(query)]
            found.update((user, *user.split(":", 1), query, fragment, *values))
            found.update(one.partition("=")[2] for one in query.split("&"))
    found.update([unquote(one) for one in found])
    return sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)


def _flush(file: Any) -> None:
    """Bring a file to the disk, where it is one of this machine."""
    file.flush()
    with suppress(AttributeError, OSError):
        os.fsync(file.fileno())


def _silent(_done: int, _total: int) -> None:
    return None
