"""The Bento of a Model, built by BentoML in a process of its own, and put into its store whole.

The process spares the kernel BentoML's import, and BentoML packages a module that it has imported before
again under any new content. It builds in a private BentoML home; what is finished is then moved into the
real one, so that a kill at any moment leaves no half of it there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import taxiway
from taxiway.errors import PackagingError
from taxiway.packaging import digest
from taxiway.packaging.staging import stage
from taxiway.settings import settings

_TIMEOUT = 300.0
_MARKS = {"models": "model.yaml", "bentos": "bento.yaml"}


class Builder:
    """A process that imports BentoML at once, and builds a Bento when it is told of which Model.

    Use it as a context: at its end the process is gone, whether it was told or not.

    Parameters
    ----------
    home
        An empty folder of its own, on the file system of the store.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        work = home / "work"
        work.mkdir(parents=True)
        self._log = (home / "build.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "taxiway.packaging.bento_build"],
            env={**environment(home), "TMPDIR": str(work)},  # so that a kill leaves nothing elsewhere
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Builder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._log.close()

    def build(self, folder: Path, tag: str) -> None:
        """Build the Bento of the Model in ``folder``; ``install`` makes it known.

        Parameters
        ----------
        folder
            The Model's files.
        tag
            ``name:version``, the tag of both the Bento and the model in BentoML's store.

        Raises
        ------
        PackagingError
            BentoML could not build it.
        """
        try:
            self._process.communicate(json.dumps([str(folder), tag]).encode(), timeout=_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise PackagingError(
                f"The Bento {tag} was not built within {_TIMEOUT:g} s.",
                hint="Look at the machine's load, and try again.",
            ) from error
        if self._process.returncode:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            raise PackagingError(
                f"The Bento {tag} could not be built: {lines[-1] if lines else 'no reason was given'}.",
                hint="Look at the space left on the disk; taxiway doctor says what else is missing.",
            )

    def install(self, tag: str) -> None:
        """Move what was built into BentoML's store: the model first, for a Bento is nothing without it."""
        name, _, version = tag.partition(":")
        for kind in _MARKS:
            folder = settings().bentoml_home / kind / name
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / "latest", version)  # BentoML bears one that names what is not there yet
            if not _finished(kind, tag):
                shutil.rmtree(folder / version, ignore_errors=True)
                _move(self._home / kind / name / version, folder / version)


def ensure(folder: Path, tag: str) -> None:
    """Build and install the Bento of a stored Model, unless it is there: same tag, same content.

    Raises
    ------
    PackagingError
        BentoML could not build it.
    """
    if exists(tag):
        return
    with stage(settings().store, tag.partition(":")[0]) as work, Builder(work / "bentoml") as builder:
        builder.build(folder, tag)
        builder.install(tag)


def exists(tag: str) -> bool:
    """Whether BentoML's store holds a finished Bento of that tag, and its model."""
    return all(_finished(kind, tag) for kind in _MARKS)


def sound(tag: str, files: Mapping[str, str]) -> bool:
    """Whether the Bento is there, and its copy of the Model holds these files: path → SHA-256."""
    name, _, version = tag.partition(":")
    copy = settings().bentoml_home / "models" / name / version
    return exists(tag) and all(
        (copy / path).is_file() and digest.of_file(copy / path) == wanted for path, wanted in files.items()
    )


def discard(tag: str) -> None:
    """Remove what is left of a damaged Bento."""
    name, _, version = tag.partition(":")
    for kind in _MARKS:
        shutil.rmtree(settings().bentoml_home / kind / name / version, ignore_errors=True)


def environment(home: Path | None = None) -> dict[str, str]:
    """Give the environment in which BentoML runs: that store (else ours), no usage statistics."""
    source = str(Path(taxiway.__file__).resolve().parents[1])
    path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "BENTOML_HOME": str(home or settings().bentoml_home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONPATH": source if not path else os.pathsep.join((source, path)),
    }


def _finished(kind: str, tag: str) -> bool:
    name, _, version = tag.partition(":")
    return (settings().bentoml_home / kind / name / version / _MARKS[kind]).is_file()


def _move(source: Path, target: Path) -> None:
    """Move a folder so that ``target`` is there whole or not at all, on whichever file system it lies."""
    try:
        source.rename(target)
    except OSError:
        with tempfile.TemporaryDirectory(prefix=".taxiway-", dir=settings().bentoml_home) as near:
            shutil.copytree(source, Path(near) / "whole", symlinks=True).rename(target)


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}")  # of one name, so that the next attempt takes up a killed one's
    part.write_text(text, encoding="utf-8")
    part.replace(path)
