"""All that a Model will be made of, and how it is written down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import ParityError
from taxiway.packaging import checks, digest, environment, lineage, parity
from taxiway.packaging.frameworks import Adapter, Answers, Export
from taxiway.packaging.manifest import FORMAT, Manifest, files_in
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
    latency_ms: float
    waived: tuple[str, ...]
    pins: tuple[str, ...]
    data_digest: str
    seeds: Mapping[str, Any]
    sources: Mapping[str, bytes]
    requires: tuple[str, ...]

    def digest(self) -> str:
        """Give the digest of what the Model is; not of when, where or by whom it was made."""
        return digest.of_value(
            {
                "format": FORMAT,
                "name": self.name,
                "runtime": self.export.runtime,
                "engine": dict(self.export.engine),
                "model": digest.of_files(self.export.folder, files_in(self.export.folder)),
                "outputs": [asdict(column) for column in self.export.columns],
                "signature": self.signature.to_dict(),
                "classes": list(self.adapter.classes or ()),
                "target": self.target,
                "description": self.description,
                "metrics": dict(self.metrics),
                "slices": self.slices,
                "latency_ms": self.latency_ms,
                "waived": self.waived,
                "data": self.data_digest,
                "sample": digest.of_frame(self.sample),
                "pins": self.pins,
                "sources": {name: digest.of_bytes(data) for name, data in self.sources.items()},
            }
        )

    def write(self, folder: Path, identity: str) -> Preflight:
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
        (folder / REQUIREMENTS).write_text("\n".join(self.pins) + "\n", encoding="utf-8")
        _write_json(folder / SIGNATURE, self.signature.to_dict())
        _write_json(folder / ENVIRONMENT, used.to_dict())
        _write_json(folder / PARITY, self.parity.to_dict())
        _write_json(folder / PREFLIGHT, preflight.to_dict())
        _write_json(folder / SAMPLE, self._sample(session))
        self._write_profile(session, folder / REFERENCE)
        del session  # a forest takes ten times its file's size in ONNX Runtime, and will be opened once more
        for name, data in self.sources.items():
            path = folder / SOURCES / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for path in self.export.folder.iterdir():
            path.rename(folder / path.name)
        self._write_manifest(folder, identity)
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

    def _write_manifest(self, folder: Path, identity: str) -> None:
        files = files_in(folder)
        for name in files:
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())
        version = identity[:12]
        Manifest(
            name=self.name,
            version=version,
            digest=identity,
            created=datetime.now(UTC).isoformat(),
            framework=self.adapter.framework,
            task=self.adapter.task,
            classes=self.adapter.classes,
            target=self.target,
            description=self.description,
            metrics=self.metrics,
            size_bytes=sum((folder / name).stat().st_size for name in files),
            outputs=self.export.columns,
            lineage=lineage.trace(self.data_digest),
            bento=f"{self.name}:{version}",
            files=digest.of_files(folder, files),
            runtime=self.export.runtime,
            engine=self.export.engine,
            slices=self.slices,
            latency_ms=self.latency_ms,
        ).write(folder)


def _plain(answers: Answers) -> dict[str, list[Any]]:
    return {name: [parity.plain(value) for value in values] for name, values in answers.items()}


def _write_json(path: Path, body: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=1, allow_nan=False), encoding="utf-8")


def _ask_the_runtime(folder: Path) -> None:
    """Let the serving runtime load the files and answer the sample, before anything relies on them."""
    from taxiway.serving.runtime import ModelError, Runtime

    try:
        Runtime(folder).self_check()
    except ModelError as error:
        raise ParityError(
            f"The serving runtime cannot serve this model: {error}.", hint="Report it to Taxiway."
        ) from error
