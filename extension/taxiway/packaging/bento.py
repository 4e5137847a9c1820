"""The Bento of a Model, built in a process of its own.

BentoML packages a module it has imported before again under any new content, so each build needs a fresh
interpreter; and the kernel is spared its import.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import taxiway
from taxiway.errors import PackagingError
from taxiway.settings import settings

_TIMEOUT = 300.0


def build(folder: Path, tag: str) -> None:
    """Build the Bento of the Model in ``folder``, unless it is there already: same tag, same content.

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
    if exists(tag):
        return
    command = [sys.executable, "-m", "taxiway.packaging.bento_build", str(folder), tag]
    try:
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PackagingError(
            f"The Bento {tag} was not built within {_TIMEOUT:g} s.",
            hint="Look at the machine's load, and try again.",
        ) from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise PackagingError(
            f"The Bento {tag} could not be built: {lines[-1] if lines else 'no reason was given'}.",
            hint="Run taxiway doctor to see what is missing here.",
        )


def exists(tag: str) -> bool:
    """Whether BentoML's store holds a finished Bento of that tag, and its model."""
    name, _, version = tag.partition(":")
    home = settings().bentoml_home
    return all(
        (home / kind / name / version / file).is_file()
        for kind, file in (("models", "model.yaml"), ("bentos", "bento.yaml"))
    )


def environment() -> dict[str, str]:
    """Give the environment in which BentoML runs: our store, no usage statistics."""
    source = str(Path(taxiway.__file__).resolve().parents[1])
    path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "BENTOML_HOME": str(settings().bentoml_home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONPATH": source if not path else os.pathsep.join((source, path)),
    }
