"""Tags: words that name a version of a Model until they are moved, such as ``rain:champion``.

They lie beside the versions of a name, in ``tags.json``, since a version itself never changes. Every move
is recorded, with what the word named before, so that it can be moved back.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from taxiway.errors import CorruptionError, InputError, NotFoundError
from taxiway.packaging.staging import locked

FILE = "tags.json"

_WORD = re.compile(r"[a-z][a-z0-9._-]{0,62}")
_VERSION = re.compile(r"[0-9a-f]{12}")
_KEPT = 100


@dataclass(frozen=True, slots=True)
class Move:
    """One word that was moved: from the version before (None: it was new) to that after (None: removed)."""

    word: str
    before: str | None
    after: str | None
    time: str
    by: str


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of one name.

    Parameters
    ----------
    words
        Word → version.
    history
        The last moves, newest last.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Move, ...] = ()

    def of(self, version: str) -> list[str]:
        """Give the words that name ``version``, sorted."""
        return sorted(word for word, named in self.words.items() if named == version)

    @classmethod
    def read(cls, folder: Path) -> Tags:
        """Read the tags of the name whose versions lie in ``folder``.

        Raises
        ------
        CorruptionError
            The file is not what was written.
        """
        path = folder / FILE
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            history = tuple(Move(**move) for move in body["history"])
            return cls({str(word): str(version) for word, version in body["words"].items()}, history)
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptionError(
                f"{path} cannot be read: {error}.",
                hint="Restore it from a backup, or remove it and tag again.",
            ) from error


def check_word(word: str) -> str:
    """Give ``word`` back if it may be a tag.

    Raises
    ------
    InputError
        It may not: it could be taken for a version, for ``latest`` or for part of a path.
    """
    if not _WORD.fullmatch(word) or ".." in word or word == "latest" or _VERSION.fullmatch(word):
        raise InputError(
            f"{word!r} cannot be a tag.",
            hint="Use a word in lower case such as 'champion'; 'latest' and versions name themselves.",
        )
    return word


def move(folder: Path, word: str, version: str | None, *, by: str) -> Move:
    """Let ``word`` name ``version`` of the Models in ``folder``, or nothing more (None).

    Moving a word to where it is already records nothing.

    Parameters
    ----------
    by
        Who moves it, for the history.

    Raises
    ------
    InputError
        It cannot be a tag.
    NotFoundError
        There is no such version, or no such tag to remove.
    """
    check_word(word)
    with changing(folder) as tags:
        if version is not None and not (folder / version).is_dir():
            raise NotFoundError(
                f"There is no Model '{folder.name}:{version}'.",
                hint="`taxiway models list` shows what there is.",
            )
        if version is None and word not in tags.words:
            known = ", ".join(sorted(tags.words)) or "none"
            raise NotFoundError(f"{folder.name} has no tag {word!r}.", hint=f"Its tags: {known}.")
        moved = Move(word, tags.words.get(word), version, datetime.now(UTC).isoformat(), by)
        if moved.before != moved.after:
            _write(folder, _after(tags, moved))
    return moved


def forget(folder: Path, tags: Tags, version: str, *, by: str) -> None:
    """Remove every word that names ``version``; to be called while ``changing``."""
    time = datetime.now(UTC).isoformat()
    words = tags.of(version)
    for word in words:
        tags = _after(tags, Move(word, version, None, time, by))
    if words:
        _write(folder, tags)


@contextmanager
def changing(folder: Path) -> Iterator[Tags]:
    """Hold the lock of the tags in ``folder`` and give them as they are."""
    staging = folder.parents[1] / ".staging" / folder.name / "tags"
    with locked(staging, wait=True):
        yield Tags.read(folder)


def _after(tags: Tags, moved: Move) -> Tags:
    words = {word: version for word, version in tags.words.items() if word != moved.word}
    if moved.after is not None:
        words[moved.word] = moved.after
    return Tags(words, (*tags.history, moved)[-_KEPT:])


def _write(folder: Path, tags: Tags) -> None:
    """Replace the file in one step; a crash leaves the one before."""
    part = folder / f".{FILE}"
    with part.open("w", encoding="utf-8") as file:
        json.dump(asdict(tags), file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)
