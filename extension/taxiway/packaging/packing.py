"""``package``: from an object in a notebook to a Model in the store."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError, PackagingError, ParityError
from taxiway.packaging import bento, distributions, lineage, registry
from taxiway.packaging import parity as parities
from taxiway.packaging.draft import Draft
from taxiway.packaging.frameworks import Adapter, Answers, Export, Precision, adapter_for
from taxiway.packaging.model import Model
from taxiway.packaging.parity import Parity
from taxiway.packaging.preflight import check_names
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
    truth = check_target(check_frame(reference), target)
    frame = in_order(reference, adapter)
    extra = None
    if sample is not None:
        extra = _like(in_order(check_frame(sample, what="sample"), adapter, what="sample"), frame)
    columns = columns_of(frame)
    tell(f"{name}: exporting to ONNX and comparing with the original")
    export, report = _proven(adapter, columns, frame, extra, waive="parity" in waived)
    draft = Draft(
        name=name,
        adapter=adapter,
        frame=frame,
        truth=truth,
        sample=(frame if extra is None else extra).pipe(_few),
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
    original = _asked(adapter, rows)
    tried: list[tuple[Export, Parity]] = []
    precisions: tuple[Precision, ...] = ("float32", "float64")
    for precision in precisions:
        try:
            export = adapter.export(columns, frame, precision)
        except PackagingError:
            if not tried:
                raise
            break  # some steps have no form in double precision; the figures of float32 stand
        report = parities.compare(original, Session(export).answers(rows), rows, precision)
        if report.passed:
            return export, report.after(*(earlier for _, earlier in tried))
        tried.append((export, report))
    best = min(tried, key=lambda one: (one[1].differing, one[1].largest))
    export, report = best[0], best[1].after(*(other for _, other in tried if other is not best[1]))
    if not waive:
        figures = " ".join(one.sentence() for _, one in tried)
        worst = report.worst
        raise ParityError(
            f"The exported model does not answer as the original does: {figures} "
            f"Worst is row {worst.index}: {dict(worst.original)} became {dict(worst.exported)}.",
            hint="Simplify the step that differs, or accept it with waive=('parity',).",
        )
    return export, replace(report, waived=True)


def _asked(adapter: Adapter, rows: pd.DataFrame) -> Answers:
    try:
        return adapter.answers(rows)
    except Exception as error:
        # whatever a model raises on its own training data, it is no model to package
        reason = str(error).partition("\n")[0]
        raise PackagingError(
            f"The model cannot predict the reference: {type(error).__name__}: {reason}",
            hint="Pass the very data it was fitted on, with the same dtypes.",
        ) from error


def _stored(draft: Draft, tell: Progress) -> Model:
    identity = draft.digest()
    version = identity[:12]
    tag = f"{draft.name}:{version}"
    try:
        with stage(settings().store, draft.name) as folder:
            there = registry.intact(draft.name, version)
            if there is not None:
                tell(f"{tag}: packaged before, nothing to write")
                bento.build(there.path, tag)
                return there
            tell(f"{tag}: profiling {len(draft.frame):,} rows and running the preflight")
            preflight = draft.write(folder, identity)
            tell(f"{tag}: building the Bento")
            bento.build(folder, tag)
            packaged = registry.save(folder)
    except OSError as error:
        raise PackagingError(
            f"{tag} could not be written: {error.strerror or error}.",
            hint=f"Look at the space and the permissions of {settings().home}; nothing was half-written.",
        ) from error
    verdict = "ready" if preflight.ok else "stored, but it may not be deployed"
    tell(f"{tag}: {verdict}, {preflight.count('passed')} of {len(preflight)} checks passed")
    return packaged


def _few(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[parities.spread(len(frame), _SAMPLE_ROWS)]


def _like(sample: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Give the sample with the reference's dtypes."""
    for name in reference.columns:
        try:
            sample = sample.astype({name: reference[name].dtype})
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Column {name!r} of sample is not {reference[name].dtype} as in the reference: {error}.",
                hint="Pass rows of the same kind as the reference.",
            ) from error
    return sample


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
