"""``package``: from an object in a notebook to a Model in the store."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError, ParityError
from taxiway.packaging import bento, checks, digest, distributions, environment, lineage, registry, seeds
from taxiway.packaging import parity as parities
from taxiway.packaging.frameworks import Adapter, Answers, Export, Precision, adapter_for
from taxiway.packaging.manifest import FORMAT, Manifest
from taxiway.packaging.model import (
    ENVIRONMENT,
    ONNX,
    PARITY,
    PREFLIGHT,
    REFERENCE,
    REQUIREMENTS,
    SAMPLE,
    SIGNATURE,
    Model,
)
from taxiway.packaging.parity import Parity
from taxiway.packaging.preflight import Preflight, check_names, gather
from taxiway.packaging.reference import check_frame, check_target, columns_of, in_order
from taxiway.packaging.session import Session
from taxiway.packaging.staging import stage
from taxiway.settings import settings
from taxiway.signature import Column, Signature

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str], None]

_SAMPLE_ROWS = 20


def package(
    model: Any,
    *,
    name: str,
    reference: pd.DataFrame,
    target: Any = None,
    sample: pd.DataFrame | None = None,
    description: str = "",
    metrics: Mapping[str, float] | None = None,
    waive: Iterable[str] = (),
    progress: Progress | None = None,
) -> Model:
    """Turn a fitted model into a Model: exported to ONNX, proven, checked, stored, and built as a Bento.

    Packaging the same thing twice gives the same version, and writes nothing.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or Pipeline.
    name
        The name that all versions of it share.
    reference
        The data it was trained on: the signature, the profile and the proof come from it.
    target
        What it was trained to predict, one value per row of the reference.
    sample
        Further rows on which the exported model must answer as the original does; the first of them are
        kept with the Model (else rows of the reference are).
    description, metrics
        What you want to remember of it.
    waive
        Names of checks that may fail, which is recorded.
    progress
        Called with a line per stage; by default lines are printed in an interactive session.

    Raises
    ------
    InputError
        The name, the reference or the target cannot be used.
    PackagingError
        The model cannot be exported.
    ParityError
        The exported model does not answer as the original does.
    """
    tell = progress or _default_progress()
    registry.check_name(name)
    waived = check_names(waive)
    adapter = adapter_for(model)
    frame = in_order(check_frame(reference), adapter)
    truth = check_target(reference, target)
    extra = None if sample is None else in_order(check_frame(sample, what="sample"), adapter, what="sample")
    columns = columns_of(frame)
    tell(f"{name}: exporting to ONNX and comparing with the original")
    export, report = _proven(adapter, columns, frame, extra, waive="parity" in waived)
    draft = _Draft(
        name=name,
        adapter=adapter,
        frame=frame,
        truth=truth,
        sample=frame.iloc[parities.spread(len(frame), _SAMPLE_ROWS)]
        if extra is None
        else extra.head(_SAMPLE_ROWS),
        export=export,
        parity=report,
        signature=Signature(columns, export.outputs),
        target=_target_name(target),
        description=str(description),
        metrics=_finite(metrics),
        waived=waived,
        pins=tuple(distributions.pins()),
    )
    packaged = _stored(draft, tell)
    lineage.report(packaged.tag)
    return packaged


@dataclass(frozen=True, slots=True)
class _Draft:
    """All that a Model will be made of."""

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
    waived: tuple[str, ...]
    pins: tuple[str, ...]

    def data_digest(self) -> str:
        return digest.of_frame(self.frame, self.truth)

    def digest(self) -> str:
        """Give the digest of what the Model is; not of when, where or by whom it was made."""
        return digest.of_value(
            {
                "format": FORMAT,
                "name": self.name,
                "onnx": digest.of_bytes(self.export.data),
                "outputs": [asdict(column) for column in self.export.columns],
                "signature": self.signature.to_dict(),
                "classes": list(self.adapter.classes or ()),
                "target": self.target,
                "description": self.description,
                "metrics": dict(self.metrics),
                "waived": self.waived,
                "data": self.data_digest(),
                "sample": digest.of_frame(self.sample),
                "pins": self.pins,
            }
        )


def _proven(
    adapter: Adapter,
    columns: tuple[Column, ...],
    frame: pd.DataFrame,
    sample: pd.DataFrame | None,
    *,
    waive: bool,
) -> tuple[Export, Parity]:
    """Export, in double precision if float32 does not answer as the original does."""
    rows = parities.chosen_rows(frame, sample)
    original = adapter.answers(rows)
    tried: list[tuple[Export, Parity]] = []
    precisions: tuple[Precision, ...] = ("float32", "float64")
    for precision in precisions:
        export = adapter.export(columns, frame, precision)
        report = parities.compare(original, Session(export).answers(rows), rows, precision)
        tried.append((export, report.after(tried[-1][1]) if tried else report))
        if report.passed:
            return tried[-1]
    export, report = min(tried, key=lambda one: (one[1].differing, one[1].largest))
    if not waive:
        figures = " ".join(one.sentence() for _, one in tried)
        worst = report.worst
        where = f" Worst is row {worst.index}: {worst.original} became {worst.exported}." if worst else ""
        raise ParityError(
            f"The exported model does not answer as the original does: {figures}{where}",
            hint="Simplify the step that differs, or accept it with waive=('parity',).",
        )
    return export, replace(report, waived=True)


def _stored(draft: _Draft, tell: Progress) -> Model:
    identity = draft.digest()
    version = identity[:12]
    tag = f"{draft.name}:{version}"
    store = settings().store
    with stage(store, draft.name) as folder:
        there = registry.intact(draft.name, version)
        if there is not None:
            tell(f"{tag}: packaged before, nothing to write")
            bento.build(there.path, tag)
            return there
        tell(f"{tag}: profiling {len(draft.frame):,} rows and running the preflight")
        preflight = _write(draft, folder)
        _seal(draft, folder, identity)
        _ask_the_runtime(folder)
        tell(f"{tag}: building the Bento")
        bento.build(folder, tag)
        packaged = registry.save(folder)
    count = preflight.count("passed")
    tell(f"{tag}: {'ready' if preflight.ok else 'stored, but it may not be deployed'}, {count} checks passed")
    return packaged


def _write(draft: _Draft, folder: Path) -> Preflight:
    """Write every file of the Model but the manifest."""
    session = Session(draft.export)
    own_seeds = draft.adapter.seeds()
    used = environment.record(draft.adapter.modules(), seeds.in_force(own_seeds))
    preflight = gather(
        checks.each(
            export=draft.export,
            report=draft.parity,
            signature=draft.signature,
            environment=used,
            seeds=own_seeds,
            reference=draft.frame,
            target=draft.truth,
            task=draft.adapter.task,
            session=session,
        ),
        draft.waived,
    )
    (folder / ONNX).write_bytes(draft.export.data)
    (folder / REQUIREMENTS).write_text("\n".join(draft.pins) + "\n", encoding="utf-8")
    answers = {name: values.tolist() for name, values in session.answers(draft.sample).items()}
    sample = {"records": parities.records(draft.sample), "outputs": answers}
    for name, body in (
        (SIGNATURE, draft.signature.to_dict()),
        (ENVIRONMENT, used.to_dict()),
        (PARITY, draft.parity.to_dict()),
        (PREFLIGHT, preflight.to_dict()),
        (SAMPLE, sample),
    ):
        (folder / name).write_text(json.dumps(body, indent=1), encoding="utf-8")
    _write_profile(draft, session.answers(draft.frame), folder / REFERENCE)
    return preflight


def _write_profile(draft: _Draft, answers: Answers, path: Path) -> None:
    from taxiway.monitoring import profiles

    more: dict[str, Any] = dict(answers)
    if draft.truth is not None:
        more["target"] = draft.truth.array
    profiles.write(profiles.profile(draft.frame.assign(**more)), path)


def _seal(draft: _Draft, folder: Path, identity: str) -> None:
    """Flush the files to the disk and write the manifest."""
    files = [path.name for path in folder.iterdir()]
    for name in files:
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    Manifest(
        name=draft.name,
        version=identity[:12],
        digest=identity,
        created=datetime.now(UTC).isoformat(),
        framework=draft.adapter.framework,
        task=draft.adapter.task,
        classes=draft.adapter.classes,
        target=draft.target,
        description=draft.description,
        metrics=draft.metrics,
        size_bytes=sum((folder / name).stat().st_size for name in files),
        outputs=draft.export.columns,
        lineage=lineage.trace(draft.data_digest()),
        bento=f"{draft.name}:{identity[:12]}",
        files=digest.of_files(folder, files),
    ).write(folder)


def _ask_the_runtime(folder: Path) -> None:
    """Let the serving runtime load the files and answer the sample, before anything relies on them."""
    from taxiway.serving.runtime import ModelError, Runtime

    try:
        Runtime(folder).self_check()
    except ModelError as error:
        raise ParityError(
            f"The serving runtime cannot serve this model: {error}.", hint="Report it to Taxiway."
        ) from error


def _target_name(target: Any) -> str | None:
    name = getattr(target, "name", None)
    return None if name is None else str(name)


def _finite(metrics: Mapping[str, float] | None) -> dict[str, float]:
    kept = {}
    for name, value in (metrics or {}).items():
        try:
            kept[str(name)] = float(value)
        except (TypeError, ValueError):
            kept[str(name)] = math.nan
        if not math.isfinite(kept[str(name)]):
            raise InputError(
                f"The metric {name!r} is {value!r}, not a number.", hint="Leave it out, or mend it."
            )
    return kept


def _default_progress() -> Progress:
    """Print in a notebook or at a prompt; say nothing in a program."""
    ipython = sys.modules.get("IPython")
    interactive = hasattr(sys, "ps1") or (ipython is not None and ipython.get_ipython() is not None)
    return print if interactive else _silent


def _silent(_: str) -> None:
    return None
