"""Bringing the shipped prediction log from S3 into the endpoint's spool folder: each segment once.

It is what the containers ship themselves, and not SageMaker's data capture: that knows neither Model, role nor
latency, has no outcomes, and is not to be had of serverless endpoints. So the same log is read from everywhere.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from taxiway.serving.losses import FOLDER as LOSSES
from taxiway.serving.spool import SUFFIX
from taxiway_backends.sagemaker.design import spool_prefix
from taxiway_backends.sagemaker.refusals import is_missing, told
from taxiway_backends.sagemaker.storage import Storage

JOURNAL = ".collected"
_STAGED = ".staged"
_JOURNAL_BYTES = 4 * 2**20


def collect(storage: Storage, endpoint: str, folder: Path) -> int:
    """Bring every object of the prediction log, and remove it from S3; give the number of segments.

    A segment is staged, its name is written into a journal, and only then it gets the name that the monitor
    reads: killed at any moment, it is neither lost nor read twice, even when it is shipped again.
    """
    beginning = spool_prefix(endpoint)
    keys = sorted(storage.keys(beginning))
    if not keys:
        return 0
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    journal = Journal(folder / JOURNAL)
    count, done = 0, []
    for key in keys:
        name = PurePosixPath(key.removeprefix(beginning))
        target = folder / name
        if ".." in name.parts or name.is_absolute():
            continue
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        staged = target.with_name(f".{target.name}{_STAGED}")
        if target.parent.name == LOSSES:  # it grows: the newest holds
            if _download(storage, key, staged):
                staged.replace(target)
            continue
        if str(name) in journal:
            if staged.exists():
                staged.replace(target)
                count += target.suffix == SUFFIX
        elif _download(storage, key, staged):
            journal.add(str(name))
            staged.replace(target)
            count += target.suffix == SUFFIX
        done.append(key)
    storage.delete(done)
    return count


class Journal:
    """The names of what was brought, in two files of which the older one is let go of.

    Parameters
    ----------
    path
        The newer file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._names = {
            line for one in (self._older, path) if one.exists() for line in one.read_text().split("\n")
        }
        if path.exists() and path.stat().st_size > _JOURNAL_BYTES:
            path.replace(self._older)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Write a name down, for good."""
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(file, "w") as stream:
            stream.write(f"{name}\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._names.add(name)


def _download(storage: Storage, key: str, staged: Path) -> bool:
    with told(f"fetch {key}"):
        try:
            content = storage.client.get_object(Bucket=storage.bucket, Key=key)["Body"].read()
        except Exception as error:
            if is_missing(error):
                return False
            raise
    file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return True
