"""``package``: from an object in a notebook to a Model in the store."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError, PackagingError
from taxiway.packaging import (
    bento,
    digest,
    distributions,
    importance,
    lineage,
    reference_rows,
    registry,
    seeds,
    sources,
)
from taxiway.packaging import parity as parities
from taxiway.packaging import progress as progresses
from taxiway.packaging.draft import Draft
from taxiway.packaging.frameworks import Options, adapter_for
from taxiway.packaging.inference import check_signature, columns_of
from taxiway.packaging.latency import LATENCY_MS
from taxiway.packaging.manifest import Format, Scalar, Task
from taxiway.packaging.model import Model
from taxiway.packaging.preflight import check_names
from taxiway.packaging.proof import prove
from taxiway.packaging.reference import check_frame, check_target, in_order, like
from taxiway.packaging.staging import stage
from taxiway.settings import settings
from taxiway.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str], None]

_SAMPLE_ROWS = 20
_OF_THE_DISK = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EDQUOT", "EFBIG", "EIO", "ENOSPC", "ENOTDIR", "EPERM", "EROFS")
)


def package(
    model: Any,
    *,
    name: str,
    reference: Any,
    target: Any = None,
    sample: Any = None,
    description: str = "",
    metrics: Mapping[str, float] | None = None,
    signature: Signature | None = None,
    slices: Iterable[str] = (),
    sensitive: Iterable[str] = (),
    task: Task | None = None,
    classes: Iterable[Scalar] | None = None,
    format: Format | None = None,
    trust: Iterable[str] = (),
    requires: Iterable[str] = (),
    importances: Mapping[str, float] | None = None,
    keep_reference: bool = True,
    latency_ms: float = LATENCY_MS,
    waive: Iterable[str] = (),
    replay: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Turn a fitted model into a Model: exported, proven, checked, stored, and built as a Bento.

    Packaging the same thing twice gives the same version, and writes nothing.

    Parameters
    ----------
    model
        A fitted model of scikit-learn, XGBoost, LightGBM, CatBoost, PyTorch, Keras or TensorFlow, or a
        pipeline of Hugging Face; or the path of an ONNX file, of a SavedModel, of a Hugging Face model or of
        what MLflow saved.
    name
        The name that all versions of it share.
    reference
        The data it was trained on: the signature, the profile and the proof come from it. An array or
        tensor of more than two dimensions, such as images of shape (rows, 1, 8, 8), becomes one column of
        numbers per pixel, named by its place (``x_0_3_5``), and is served as such.
    target
        What it was trained to predict, one value per row of the reference.
    sample
        Further rows on which the exported model must answer as the original does; the first of them are
        kept with the Model (else rows of the reference are).
    description, metrics
        What you want to remember of it.
    signature
        What ``taxiway.signature_of(reference)`` gave, edited where the reference does not tell it all.
    slices
        Columns by whose values the model is judged apart, such as ``["region"]``.
    sensitive
        Columns, of the reference or not, of which no finding or alert shows a value, such as ``["ssn"]``.
    task, classes
        What a model does that does not know it itself (PyTorch, Keras, ONNX): ``"classification"`` with its
        labels in the order of its outputs, or ``"regression"``. A zero-shot pipeline chooses among classes.
    format
        ``"onnx"``, ``"savedmodel"`` or ``"skops"``, where the model's framework leaves a choice.
    trust
        Types that a skops file may hold beyond those that skops trusts itself: you have read their code.
    requires
        Distributions that the model's code needs besides those it imports, such as ``["lifelines"]``.
    importances
        How much each column matters, by which drift is weighed; by default what the model itself tells, if
        it does (``feature_importances_``, ``coef_``).
    keep_reference
        Whether up to 1,000 rows of the reference, without its sensitive columns, are kept with the Model,
        with which monitoring compares live rows as wholes. Whoever has the Model or its export has them.
    latency_ms
        What one row may take, at the 99th percentile, in milliseconds.
    waive
        Names of checks that may fail, which is recorded.
    replay
        Whether the Bento is also loaded in a fresh environment, where it must answer the sample as the
        original does; ``model.preflight()`` does it at any later time.
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
    tell = progress or progresses.default()
    registry.check_name(name)
    waived = check_names(waive)
    figures = _finite(metrics)
    options = Options(task, None if classes is None else tuple(classes), format, _names(trust))
    adapter = adapter_for(model, options)
    sown = seeds.in_force(adapter.seeds(), model)  # before an export that may draw random numbers
    own = sources.collect(adapter.modules())
    needed = _names(requires)
    distributions.declared(needed)
    reference = _framed(reference)
    truth = check_target(check_frame(reference), target)
    frame = in_order(reference, adapter)
    extra = None
    if sample is not None:
        extra = like(in_order(check_frame(_framed(sample), what="sample"), adapter, what="sample"), frame)
    columns = columns_of(frame, extra)
    if signature is not None:
        columns = check_signature(signature, frame, columns)
    parts = _columns_named(slices, frame)
    hidden = tuple(sorted({*_names(sensitive), *(signature.sensitive if signature else ())}))
    try:
        with stage(settings().store, name) as folder, bento.Builder(folder / "bentoml") as builder:
            tell(f"{name}: exporting and comparing with the original")
            export, report = prove(adapter, columns, frame, extra, folder, waive="parity" in waived)
            draft = Draft(
                name=name,
                adapter=adapter,
                frame=frame,
                truth=truth,
                sample=(frame if extra is None else extra).pipe(_few),
                export=export,
                parity=report,
                signature=Signature(columns, export.outputs, hidden),
                target=_target_name(target),
                description=str(description),
                metrics=figures,
                slices=parts,
                importances=importance.check(importances or {}, frame.columns)
                or importance.of_estimator(model, frame),
                weighed=bool(importances),
                reference_rows=reference_rows.drawn(frame, hidden) if keep_reference else None,
                latency_ms=float(latency_ms),
                waived=waived,
                pins=tuple(distributions.pins((*distributions.SERVING, *export.requires))),
                lineage=lineage.trace(digest.of_frame(frame, truth)),
                seeds=sown,
                sources=own,
                requires=needed,
            )
            packaged = _stored(draft, folder / "model", builder, tell)
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        raise PackagingError(
            f"{name} could not be written: {error.strerror or error}.",
            hint=f"Look at the space and the permissions of {settings().home}; nothing was half-written.",
        ) from error
    if replay and packaged.checks["clean_replay"].result in ("skipped", "failed"):
        packaged.preflight(
            lambda said: tell(f"{packaged.tag}: {said}") if isinstance(said, str) else None, waive=waived
        )
    checks = packaged.checks
    verdict = "ready" if checks.ok else "stored, but it may not be deployed"
    tell(f"{packaged.tag}: {verdict}, {checks.count('passed')} of {len(checks)} checks passed")
    lineage.report(packaged.tag)
    return packaged


def _stored(draft: Draft, folder: Path, builder: bento.Builder, tell: Progress) -> Model:
    version = draft.manifest().version
    tag = f"{draft.name}:{version}"
    there = registry.intact(draft.name, version)
    if there is not None and there.origin is None:  # what an import reports of itself gives way to our own
        tell(f"{tag}: packaged before, nothing to write")
        if not bento.sound(tag, there.manifest.files):
            bento.discard(tag)
            builder.build(there.path, tag)
            builder.install(tag)
        return there
    tell(f"{tag}: profiling {len(draft.frame):,} rows and running the preflight")
    folder.mkdir()
    draft.write(folder)
    tell(f"{tag}: building the Bento")
    builder.build(folder, tag)
    packaged = registry.save(folder)
    builder.install(tag)
    return packaged


def _framed(data: Any) -> Any:
    """Give images and sequences as a frame of named columns; leave all else as it is."""
    if getattr(data, "ndim", 2) > 2:
        from taxiway.packaging.frameworks.arrays import frame_of

        return frame_of(data)
    return data


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(str(name) for name in names)


def _columns_named(names: Iterable[str], frame: pd.DataFrame) -> tuple[str, ...]:
    wanted = _names(names)
    for name in wanted:
        if name not in frame.columns:
            raise InputError(
                f"slices names {name!r}, which is no column of reference.",
                hint=f"The columns are {', '.join(map(repr, frame.columns[:10]))}.",
            )
    return wanted


def _few(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[parities.spread(len(frame), _SAMPLE_ROWS)]


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
