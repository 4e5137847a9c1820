"""Deletion: a Model goes with all that was made of it, or stays.

Its Bento goes first and its folder last, in one step: whatever interrupts a deletion, what is left is a
Model that can be deleted again (or packaged again, which builds its Bento anew).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from taxiway.errors import ConflictError, InputError, NotFoundError, PackagingError
from taxiway.packaging import origin, registry, tags
from taxiway.packaging.staging import stage
from taxiway.settings import settings

_GONE = ".taxiway-deleted-"  # beside BentoML's stores: in them it would be taken for a Bento

Guard = Callable[[str], AbstractContextManager[None]]


def delete(tag: str, *, by: str, force: bool = False, guard: Guard = lambda _: nullcontext()) -> str:
    """Remove a Model, its Bento, and what is on record of it.

    Parameters
    ----------
    tag
        ``name:version`` or ``name:tag``; a name alone would mean another Model tomorrow.
    by
        Who deletes it, for the history of its tags.
    force
        Also if a tag names it; the tag goes too.
    guard
        Entered with ``name:version`` around the moment of removal; it raises if the Model is in use.

    Returns
    -------
    str
        ``name:version`` of what was deleted.

    Raises
    ------
    InputError
        No version is named.
    NotFoundError
        There is no such Model.
    ConflictError
        A tag names it.
    """
    exact = named(tag)
    name, _, version = exact.partition(":")
    folder = registry.folder_of(name, version)
    try:
        with stage(settings().store, name) as trash:
            if not folder.is_dir():
                raise NotFoundError(
                    f"There is no Model {exact!r}.", hint=f"`taxiway models list {name}` shows what there is."
                )
            with guard(exact), tags.changing(folder.parent) as there:
                words = there.of(version)
                if words and not force:
                    raise ConflictError(
                        f"{exact} is tagged {', '.join(words)}.",
                        hint="Move the tag to another version first, or delete both by force (--force).",
                    )
                tags.forget(folder.parent, there, version, by=by)
                _remove_made(name, version)
                folder.rename(trash / "model")
            origin.path_of(name, version).unlink(missing_ok=True)
    except OSError as error:
        raise PackagingError(
            f"{exact} could not be deleted: {error.strerror or error}.",
            hint=f"Look at the permissions of {settings().home}, and delete it again.",
        ) from error
    return exact


def named(tag: str) -> str:
    """Give ``name:version`` for what may be deleted by ``tag``; see ``delete`` for what is raised."""
    name, _, word = tag.partition(":")
    registry.check_name(name)
    if word in ("", "latest"):
        raise InputError(
            f"{tag!r} does not say which version is to be deleted.",
            hint=f"`taxiway models list {name}` shows them.",
        )
    return f"{name}:{registry.version_of(name, word)}"


def _remove_made(name: str, version: str) -> None:
    """Remove what was made of the Model; each thing is gone in one step, or not yet."""
    home = settings().bentoml_home
    for leftover in home.glob(f"{_GONE}*"):  # of a deletion that was interrupted
        shutil.rmtree(leftover, ignore_errors=True)
    for kind in ("bentos", "models"):
        made = home / kind / name / version
        if made.is_dir():
            gone = home / f"{_GONE}{kind}-{name}-{version}"
            made.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
            _close(made.parent)
    registry.preflight_of(name, version).unlink(missing_ok=True)


def _close(folder: Path) -> None:
    """Remove a name's folder from BentoML's store with its last version, as BentoML does."""
    if not any(one.is_dir() for one in folder.iterdir()):
        shutil.rmtree(folder)
