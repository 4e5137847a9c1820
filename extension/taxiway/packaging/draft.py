"""All that a Model will be made of, and how it is written down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import ParityError
from taxiway.packaging import checks, digest, environment, parity, reference_rows
from taxiway.packaging.frameworks import Adapter, Answers, Export
from taxiway.packaging.manifest import Lineage, Manifest, files_in
from taxiway.packaging.model import (
    ENVIRONMENT,
    PARITY,
    PREFLIGHT,
    REFERENCE,
    REQUIREMENTS,
    SAMPLE,
    SIGNATURE,
    SOURCES,
)
from taxiway.packaging.parity import Parity
from taxiway.packaging.preflight import Preflight, gather
from taxiway.packaging.session import Session
from taxiway.signature import Signature

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Draft:
    """A Model before it is one."""

    name: str
    adapter: Adapter
    frame: pd.DataFrame
    truth: pd.Series[Any] | None
    sample: pd.DataFrame
    export: Export
    parity: Parity
    signature: Signature
    target: str | None
    description: str
    metrics: Mapping[str, float]
    slices: tuple[str, ...]
    importances: Mapping[str, float]
    weighed: bool
    reference_rows: pd.DataFrame | None
    latency_ms: float
    waived: tuple[str, ...]
    pins: tuple[str, ...]
    lineage: Lineage
    seeds: Mapping[str, Any]
    sources: Mapping[str, bytes]
    requires: tuple[str, ...]

    def manifest(self, files: Mapping[str, str] | None = None, size_bytes: int = 0) -> Manifest:
        """Give the manifest, complete once all files are written.

        Parameters
        ----------
        files
            Path → SHA-256 of all files; by default, of those that make the Model what it is.
        size_bytes
            Of all files together.
        """
        unnamed = Manifest(
            name=self.name,
            version="",
            digest="",
            created=datetime.now(UTC).isoformat(),
            framework=self.adapter.framework,
            task=self.adapter.task,
            classes=self.adapter.classes,
            target=self.target,
            description=self.description,
            metrics=self.metrics,
            size_bytes=size_bytes,
            outputs=self.export.columns,
            lineage=self.lineage,
            bento=None,
            files=self._essential() if files is None else files,
            runtime=self.export.runtime,
            engine=self.export.engine,
            slices=self.slices,
            importances=self.importances,
            weighed=self.weighed,
            reference_rows=0 if self.reference_rows is None else len(self.reference_rows),
            latency_ms=self.latency_ms,
            waived=self.waived,
            sample_digest=digest.of_frame(self.sample),
        )
        identity = unnamed.identity()
        version = identity[:12]
        return replace(unnamed, digest=identity, version=version, bento=f"{self.name}:{version}")

    def _essential(self) -> dict[str, str]:
        return {
            REQUIREMENTS: digest.of_bytes(self._requirements()),
            SIGNATURE: digest.of_bytes(_json(self.signature.to_dict())),
            **digest.of_files(self.export.folder, files_in(self.export.folder)),
            **{f"{SOURCES}/{name}": digest.of_bytes(data) for name, data in self.sources.items()},
        }

    def _requirements(self) -> bytes:
        return "".join(f"{pin}\n" for pin in self.pins).encode()

    def write(self, folder: Path) -> Preflight:
        """Write every file of the Model into an empty folder, the manifest last; give the preflight.

        The files of the export are moved there.

        Raises
        ------
        ParityError
            The serving runtime cannot load the files, or does not answer the sample.
        """
        session = Session(self.export)
        used = environment.record(self.adapter.modules(), self.seeds, declared=self.requires)
        preflight = self._checked(session, used)
        (folder / REQUIREMENTS).write_bytes(self._requirements())
        (folder / SIGNATURE).write_bytes(_json(self.signature.to_dict()))
        (folder / ENVIRONMENT).write_bytes(_json(used.to_dict()))
        (folder / PARITY).write_bytes(_json(self.parity.to_dict()))
        (folder / PREFLIGHT).write_bytes(_json(preflight.to_dict()))
        (folder / SAMPLE).write_bytes(_json(self._sample(session)))
        self._write_profile(session, folder / REFERENCE)
        if self.reference_rows is not None:
            reference_rows.write(self.reference_rows, folder)
        del session  # a forest takes ten times its file's size in ONNX Runtime, and will be opened once more
        for name, data in self.sources.items():
            path = folder / SOURCES / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for path in self.export.folder.iterdir():
            path.rename(folder / path.name)
        self._write_manifest(folder)
        _ask_the_runtime(folder)
        return preflight

    def _checked(self, session: Session, used: environment.Environment) -> Preflight:
        found = checks.each(
            export=self.export,
            report=self.parity,
            signature=self.signature,
            environment=used,
            seeds=self.adapter.seeds(),
            reference=self.frame,
            target=self.truth,
            task=self.adapter.task,
            session=session,
            slices=self.slices,
            latency_ms=self.latency_ms,
        )
        return gather(found, self.waived)

    def _sample(self, session: Session) -> dict[str, Any]:
        return {
            "records": parity.records(self.sample),
            "outputs": _plain(session.answers(self.sample)),
            "original": _plain(self.adapter.answers(self.sample)),
        }

    def _write_profile(self, session: Session, path: Path) -> None:
        from taxiway.monitoring import profiles

        more: dict[str, Any] = dict(session.answers(self.frame))
        if self.truth is not None:
            more["target"] = self.truth.array
        profiles.write(profiles.profile(self.frame.assign(**more)), path)

    def _write_manifest(self, folder: Path) -> None:
        files = files_in(folder)
        for name in files:
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())
        size = sum((folder / name).stat().st_size for name in files)
        self.manifest(digest.of_files(folder, files), size).write(folder)


def _plain(answers: Answers) -> dict[str, list[Any]]:
    return {name: [parity.plain(value) for value in values] for name, values in answers.items()}


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=1, allow_nan=False).encode()


def _ask_the_runtime(folder: Path) -> None:
    """Let the serving runtime load the files and answer the sample, before anything relies on them."""
    from taxiway.serving.runtime import ModelError, Runtime

    try:
        Runtime(folder).self_check()
    except ModelError as error:
        raise ParityError(
            f"The serving runtime cannot serve this model: {error}.", hint="Report it to Taxiway."
        ) from error
