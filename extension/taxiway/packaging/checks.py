"""The preflight checks that are made while a Model is packaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.packaging import data_checks, reference_rows
from taxiway.packaging.frameworks import Export
from taxiway.packaging.frameworks.graph import foreign_domains
from taxiway.packaging.latency import LATENCY_MS, MANY_ROWS, times
from taxiway.packaging.manifest import Format, files_in
from taxiway.packaging.model import (
    ENVIRONMENT,
    PARITY,
    PREFLIGHT,
    REFERENCE,
    REQUIREMENTS,
    SAMPLE,
    SIGNATURE,
    Model,
)
from taxiway.packaging.parity import Parity
from taxiway.packaging.preflight import Check, failed, passed, skipped
from taxiway.packaging.session import Session
from taxiway.packaging.sizes import readable
from taxiway.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.packaging.environment import Comparison, Environment

LARGEST_FILES = 10**9
LARGEST_MEMORY = 2 * 10**9
_RECORDS = frozenset(
    (SIGNATURE, ENVIRONMENT, REQUIREMENTS, PARITY, PREFLIGHT, REFERENCE, reference_rows.FILE, SAMPLE)
)
_MOST_SECONDS = 0.2
_MOST_NAMED = 5


def format_safe(folder: Path, runtime: Format, engine: Mapping[str, Any]) -> Check:
    """Check that the model's files can be opened without running code that they bring along.

    Parameters
    ----------
    folder
        Where they lie.
    runtime, engine
        Their format, and what its engine is told.
    """
    if runtime in ("onnx", "text"):
        return _plain_onnx(folder / "model.onnx")
    trusted = engine.get("trusted")
    if trusted:
        return passed(
            "format_safe",
            f"The engine for {runtime} makes only types that it knows, and these, which were trusted by name "
            f"and run code of their own: {', '.join(map(str, trusted))}.",
        )
    return passed("format_safe", f"The engine for {runtime} opens it without running code that it brings.")


def _plain_onnx(path: Path) -> Check:
    """Check that a file is plain ONNX: valid, of standard operators, with nothing outside but its weights."""
    import onnx

    from taxiway.serving.engines import EngineError, weights

    try:
        size = weights.check(path)
        onnx.checker.check_model(str(path))
    except EngineError as error:
        return failed(
            "format_safe", f"The file may not be opened: {error}.", "Export with the weights inside."
        )
    except onnx.checker.ValidationError as error:
        reason = str(error).partition("\n")[0]
        return failed("format_safe", f"The ONNX checker refuses the file: {reason}.", "Report it to Taxiway.")
    domains = foreign_domains(onnx.load(path, load_external_data=False))
    if domains:
        return failed(
            "format_safe",
            f"The file uses other than standard operators: {', '.join(domains)}.",
            "Convert without custom operators.",
        )
    beside = f" and {weights.FILE}" if size > path.stat().st_size else ""
    return passed(
        "format_safe",
        f"Valid ONNX of standard operators, {size / 1024:,.0f} kB, nothing outside {path.name}{beside}.",
    )


def parity(report: Parity) -> Check:
    """Check that the exported model answers as the original does."""
    if report.passed:
        return passed("parity", report.sentence())
    return failed("parity", report.sentence(), "Look at the worst row in model.parity.")


def signature_complete(signature: Signature) -> Check:
    """Check that every column has all that requests will be checked against."""
    wide = [
        column.name for column in signature.inputs if column.dtype == "string" and column.categories is None
    ]
    if not signature.outputs:
        return failed("signature_complete", "There are no outputs.", "Report it to Taxiway.")
    note = f" Free text, whose values are not checked: {', '.join(wide)}." if wide else ""
    return passed(
        "signature_complete",
        f"{len(signature.inputs)} inputs and {len(signature.outputs)} outputs have dtypes.{note}",
    )


def environment_locked(environment: Environment, runtime: Format = "onnx") -> Check:
    """Check that all code of the model comes from released versions, or goes along with it.

    What is served from a graph does without that code; only a new training needs it.
    """
    if environment.loose:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in environment.loose.items())
        found = failed(
            "environment_locked",
            f"The model uses code that no released version holds and that cannot go along: {reasons}.",
            "Move it into a module (a .py file) and import it from there, or waive this check.",
        )
        return found if runtime == "skops" else replace(found, level="warning")
    count = f"{len(environment.needed)} distributions are recorded with their versions"
    if not environment.local:
        return passed("environment_locked", f"{count}.")
    dirty = [name for name, tree in environment.trees.items() if tree.dirty]
    note = f" (changed since its last commit: {', '.join(dirty)})" if dirty else ""
    return passed(
        "environment_locked",
        f"{count}; the source of {', '.join(environment.local)} goes along{note}.",
    )


def seeds_recorded(seeds: Mapping[str, int | str | None]) -> Check:
    """Check that every random step was given a seed."""
    loose = [name for name, value in seeds.items() if not isinstance(value, int)]
    if loose:
        return failed(
            "seeds_recorded",
            f"Training again may give another model: no seed in {', '.join(loose)}.",
            "Give a number as random_state.",
        )
    reason = f"Seeds are recorded for {', '.join(seeds)}." if seeds else "No step is random."
    return passed("seeds_recorded", reason)


def latency(session: Session, reference: pd.DataFrame, budget_ms: float) -> Check:
    """Time one row and a hundred in the engine, without the HTTP server."""
    feeds = [session.feed(reference.iloc[np.arange(rows) % len(reference)]) for rows in (1, MANY_ROWS)]
    one, many = (times([partial(session.run, feed)], _MOST_SECONDS) for feed in feeds)
    return latency_budget(one, many, budget_ms, "in the engine")


def latency_budget(one: Sequence[float], many: Sequence[float], budget_ms: float, where: str) -> Check:
    """Check that one row is answered within its budget.

    Parameters
    ----------
    one, many
        The seconds that answers of one row, and of a hundred, took.
    budget_ms
        What one row may take, at the 99th percentile, in milliseconds.
    where
        Where it was timed.
    """
    p50, p99 = np.percentile(one, [50, 99]) * 1e3
    many50, many99 = np.percentile(many, [50, 99]) * 1e3
    found = (
        f"One row takes {p50:.2g} ms (p50) and {p99:.2g} ms (p99), "
        f"{MANY_ROWS} rows {many50:.2g} ms and {many99:.2g} ms, {where}; the budget is {budget_ms:g} ms."
    )
    if p99 > budget_ms:
        return failed(
            "latency_budget",
            found,
            "Make the model smaller, or allow more: package(..., latency_ms=...).",
        )
    return passed("latency_budget", found)


def size_of(model: Model) -> int:
    """Give the bytes of what is served of a Model: its files without the records about it."""
    served = [
        name for name in model.manifest.files if name not in _RECORDS and not name.startswith("sources/")
    ]
    return sum((model.path / name).stat().st_size for name in served)


def size_and_memory(size: int, memory: int | None = None) -> Check:
    """Check that the files, and the memory of the process that serves them, are of a common machine's size.

    Parameters
    ----------
    size
        The bytes of the model's files.
    memory
        The resident bytes of its serving process, if it was run.
    """
    found = f"The model's files take {readable(size)}" + (
        f"; its serving process holds {readable(memory)} of memory." if memory else "."
    )
    if size > LARGEST_FILES or (memory or 0) > LARGEST_MEMORY:
        return failed(
            "size_and_memory",
            found,
            f"Beyond {readable(LARGEST_FILES)} of files or {readable(LARGEST_MEMORY)} of memory, small "
            "machines cannot serve it and every start is slow: prune the model or give it a larger machine.",
        )
    return passed("size_and_memory", found)


def environment_here(comparison: Comparison) -> Check:
    """Compare where the Model was made with this process, by name."""
    differences = comparison.differences
    serious = [str(one) for one in differences if one.serious]
    if serious:
        return failed(
            "environment_here",
            f"Here is not where it was made: {', '.join(serious[:_MOST_NAMED])}"
            f"{_more(len(serious) - _MOST_NAMED)}.",
            "It is served with its own pins; train in an environment like the recorded one.",
        )
    if differences:
        names = [one.name for one in differences]
        return passed(
            "environment_here",
            f"Compatible with where it was made; other here: {', '.join(names[:_MOST_NAMED])}"
            f"{_more(len(names) - _MOST_NAMED)}.",
        )
    return passed("environment_here", "The same as where it was made.")


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def each(
    *,
    export: Export,
    report: Parity,
    signature: Signature,
    environment: Environment,
    seeds: Mapping[str, int | str | None],
    reference: pd.DataFrame,
    target: pd.Series[Any] | None,
    task: str,
    session: Session,
    slices: Sequence[str] = (),
    latency_ms: float = LATENCY_MS,
) -> Iterator[Check]:
    """Make every check that needs the reference or the original; ``preflight.run`` makes the others."""
    yield format_safe(export.folder, export.runtime, export.engine)
    yield parity(report)
    yield signature_complete(signature)
    yield environment_locked(environment, export.runtime)
    yield skipped("clean_replay", "It was not replayed yet.", "Run the preflight, as by model.preflight().")
    yield data_checks.target_leakage(reference, target)
    yield data_checks.identifier_columns(reference)
    yield seeds_recorded(seeds)
    yield data_checks.reference_size(len(reference))
    yield data_checks.class_balance(task, target)
    yield latency(session, reference, latency_ms)
    yield size_and_memory(sum((export.folder / name).stat().st_size for name in files_in(export.folder)))
    yield data_checks.slices_declared(slices, reference)
