"""The Models in the store: saved once, verified on load, never half-written.

Light on purpose: JSON and paths only, so that a server may list Models at no cost.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from taxiway.errors import CorruptionError, InputError, NotFoundError
from taxiway.packaging.manifest import FILE, Manifest
from taxiway.packaging.model import Model
from taxiway.packaging.origin import Origin, path_of
from taxiway.packaging.tags import Tags, check_word
from taxiway.settings import settings

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[0-9a-f]{12}")
_log = logging.getLogger(__name__)


def check_name(name: str) -> str:
    """Give ``name`` back if a Model may be called so.

    Raises
    ------
    InputError
        It may not: the name becomes a folder, a tag and part of a URL.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise InputError(
            f"{name!r} cannot be a Model's name.",
            hint="Use up to 63 lower-case letters, digits, '.', '_' or '-', such as 'rain' or 'churn-eu'.",
        )
    return name


def save(staged: Path, origin: Origin | None = None) -> Model:
    """Move a staged folder into the store and give its Model.

    A version that is there already stays as it is: same version, same content. Only an imported one gives
    way to one packaged here, whose reports are our own.

    Parameters
    ----------
    staged
        A folder with all files of the Model, beside the store.
    origin
        Where it was imported from; None if it was packaged here.
    """
    manifest = Manifest.read(staged)
    folder = folder_of(manifest.name, manifest.version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    there = intact(manifest.name, manifest.version)
    if there is None or (origin is None and there.origin is not None):
        if origin is not None:  # first the record: at no time does an imported Model pass for one made here
            origin.write(manifest.name, manifest.version)
            preflight_of(manifest.name, manifest.version).unlink(missing_ok=True)
        _flush(staged)
        if folder.is_dir():  # damaged, or imported: it leaves with the folder of the staging
            folder.rename(staged.with_name(f"replaced-{staged.name}"))
        staged.rename(folder)
        _flush(folder.parent)
        if origin is None:  # and last: what was made here is known to be
            path_of(manifest.name, manifest.version).unlink(missing_ok=True)
    return _open(folder)


def load(tag: str) -> Model:
    """Load a Model by ``name`` (its newest version), ``name:latest``, ``name:version`` or ``name:tag``.

    Raises
    ------
    NotFoundError
        There is no such Model.
    CorruptionError
        A file of it is not what was packaged.
    """
    name, _, version = tag.partition(":")
    check_name(name)
    if version in ("", "latest"):
        newest = list_models(name)
        if not newest:
            raise NotFoundError(f"There is no Model named {name!r}.", hint=_known())
        folder = newest[0].path
    else:
        folder = folder_of(name, version_of(name, version))
        if not folder.is_dir():
            raise NotFoundError(f"There is no Model {tag!r}.", hint=_known(name))
    model = _open(folder)
    model.manifest.verify(folder)
    return model


def version_of(name: str, word: str) -> str:
    """Give the version that ``word`` means: itself if it is one, else the one that it tags.

    Raises
    ------
    NotFoundError
        It is no tag of ``name``.
    InputError
        It can be neither.
    """
    if _VERSION.fullmatch(word):
        return word
    check_word(word)
    words = tags(name).words
    if word not in words:
        known = f"Its tags: {', '.join(sorted(words))}." if words else _known(name)
        raise NotFoundError(f"There is no Model '{name}:{word}'.", hint=known)
    return words[word]


def tags(name: str) -> Tags:
    """Give the tags of a name, and who moved them."""
    return Tags.read(settings().store / "models" / check_name(name))


def list_models(name: str | None = None) -> list[Model]:
    """Give every Model in the store (of ``name``), newest first; files are not verified."""
    root = settings().store / "models"
    folders = [root / check_name(name)] if name is not None else sorted(root.glob("[!.]*"))
    found = []
    for folder in folders:
        for manifest in folder.glob(f"*/{FILE}"):
            try:
                found.append(_open(manifest.parent))
            except CorruptionError as error:
                _log.warning("%s", error)
    return sorted(found, key=lambda model: (model.created, model.tag), reverse=True)


def insist(tag: str) -> None:
    """Insist that ``name:version`` is there still; within a transaction, since a deletion is one too.

    Raises
    ------
    NotFoundError
        It was deleted meanwhile.
    """
    if not folder_of(*tag.split(":")).is_dir():
        raise NotFoundError(f"{tag} was deleted just now.", hint=_known(tag.partition(":")[0]))


def intact(name: str, version: str) -> Model | None:
    """Give the Model if it is in the store with every file as packaged, else None."""
    folder = folder_of(name, version)
    if not folder.is_dir():
        return None
    try:
        model = _open(folder)
        model.manifest.verify(folder)
    except CorruptionError:
        return None
    return model


def folder_of(name: str, version: str) -> Path:
    """Give where a Model lies, or would lie.

    Raises
    ------
    InputError
        Not a name, or not a version: nothing outside the store is ever named.
    """
    if not _VERSION.fullmatch(version):
        raise InputError(
            f"{version!r} is not a version.", hint="A version is 12 hexadecimal digits, or 'latest'."
        )
    return settings().store / "models" / check_name(name) / version


def preflight_of(name: str, version: str) -> Path:
    """Give where the record of a Model's preflight in this place lies, or would lie."""
    return settings().store / "preflights" / check_name(name) / f"{version}.json"


def _open(folder: Path) -> Model:
    manifest = Manifest.read(folder)
    if (manifest.name, manifest.version) != (folder.parent.name, folder.name):
        raise CorruptionError(
            f"{folder} holds {manifest.name}:{manifest.version}.",
            hint="Move it to where it belongs, or remove it.",
        )
    return Model(manifest, folder)


def _known(name: str | None = None) -> str:
    known = [model.tag if name else model.name for model in list_models(name)]
    names = list(dict.fromkeys(known))
    if not names:
        return "Package one with taxiway.package(...)."
    return f"There {'is' if len(names) == 1 else 'are'}: {', '.join(names[:10])}."


def _flush(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
