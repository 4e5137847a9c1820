"""The manifest of a Model: what ``model.json`` says, and how it is kept true."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from taxiway.errors import CorruptionError
from taxiway.packaging import digest

FORMAT = 1
FILE = "model.json"

_CIRCUMSTANCES = frozenset(("version", "digest", "created", "size_bytes", "lineage", "bento"))
#: Files about a Model that another run, or another machine, would write otherwise.
_REPORTS = frozenset(
    ("environment.json", "parity.json", "preflight.json", "reference.bin", "reference.parquet", "sample.json")
)

Task = Literal["classification", "regression", "clustering", "outliers", "embedding", "entities"]
Format = Literal["onnx", "savedmodel", "skops", "text"]
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One output column of the Model: a tensor of the graph, or column ``index`` of a tensor."""

    name: str
    tensor: str
    index: int | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a Model comes from.

    Parameters
    ----------
    notebook
        The file of the notebook that packaged it.
    cells, cells_digest
        How many cells had been executed, and the SHA-256 of their texts; these themselves are not kept.
    git_commit, git_dirty
        What was checked out where the notebook lies, and whether anything there was changed since.
    data_digest
        SHA-256 of the reference and its target.
    run
        The retraining run that packaged it.
    """

    notebook: str | None
    cells: int | None
    cells_digest: str | None
    git_commit: str | None
    git_dirty: bool | None
    data_digest: str
    run: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``model.json`` says of a Model; see ``Model`` for the meaning of the fields."""

    name: str
    version: str
    digest: str
    created: str
    framework: str
    task: Task
    classes: tuple[Scalar, ...] | None
    target: str | None
    description: str
    metrics: Mapping[str, float]
    size_bytes: int
    outputs: tuple[OutputColumn, ...]
    lineage: Lineage
    bento: str | None
    files: Mapping[str, str]
    runtime: Format = "onnx"
    engine: Mapping[str, Any] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    latency_ms: float | None = None
    waived: tuple[str, ...] = ()
    sample_digest: str = ""
    importances: Mapping[str, float] = field(default_factory=dict)
    weighed: bool = False  # whether the importances were given, not asked of the model
    reference_rows: int = 0
    format: int = field(default=FORMAT)

    def identity(self) -> str:
        """Give the digest of what the Model is: not of when, where or by whom it was made or looked at."""
        said = {name: value for name, value in asdict(self).items() if name not in _CIRCUMSTANCES}
        if not self.weighed:
            del said["importances"], said["weighed"]
        if not self.reference_rows:  # as it was before there were any
            del said["reference_rows"]
        said["data_digest"] = self.lineage.data_digest
        said["files"] = {name: self.files[name] for name in self.files if name not in _REPORTS}
        return digest.of_value(said)

    def write(self, folder: Path) -> None:
        """Write ``model.json``, sealed with the digest of its own content, and flush it to the disk."""
        body = asdict(self)
        body["seal"] = digest.of_value(body)
        with (folder / FILE).open("w", encoding="utf-8") as file:
            file.write(json.dumps(body, indent=1, sort_keys=True))
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read ``model.json`` and check its seal.

        Raises
        ------
        CorruptionError
            The file cannot be read, is of a later format, or is not what was written.
        """
        path = folder / FILE
        try:
            return cls.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise _untrusted(str(path), error) from error

    @classmethod
    def parse(cls, data: bytes, shown: str) -> Manifest:
        """Read what ``write`` wrote, from bytes that messages call ``shown``.

        Raises
        ------
        CorruptionError
            It is of a later format, or not what was written.
        """
        try:
            body = json.loads(data)
            seal = body.pop("seal")
            if body["format"] > FORMAT:
                raise CorruptionError(
                    f"{shown} was written by a later Taxiway.", hint="Upgrade taxiway here."
                )
            if seal != digest.of_value(body):
                raise ValueError("it was altered")
            classes = body["classes"]
            body["classes"] = None if classes is None else tuple(classes)
            body["outputs"] = tuple(OutputColumn(**output) for output in body["outputs"])
            for name in ("slices", "waived"):
                body[name] = tuple(body[name])
            body["lineage"] = Lineage(**body["lineage"])
            return cls(**body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _untrusted(shown, error) from error

    def verify(self, folder: Path) -> None:
        """Check every file of the Model against its digest.

        Raises
        ------
        CorruptionError
            A file is missing, added or altered.
        """
        there = set(files_in(folder)) - {FILE}
        wrong = sorted(there.symmetric_difference(self.files))
        for name in sorted(there.intersection(self.files)):
            path = folder / name
            if path.is_symlink() or not path.is_file() or digest.of_file(path) != self.files[name]:
                wrong.append(name)
        if wrong:
            raise CorruptionError(
                f"Model {self.name}:{self.version} is not what was packaged: {', '.join(wrong)} differs.",
                hint=f"Remove {folder} and package the model again.",
            )


def _untrusted(shown: str, error: Exception) -> CorruptionError:
    return CorruptionError(
        f"{shown} cannot be trusted: {error}.",
        hint="Package the model again, or restore the file from a backup.",
    )


def files_in(folder: Path) -> list[str]:
    """Give the paths, relative to ``folder`` and with forward slashes, of all that lies in it but folders.

    A link is given as what it is; it is not followed.
    """
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )
