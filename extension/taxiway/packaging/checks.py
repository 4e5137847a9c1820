"""The preflight checks that are made while a Model is packaged."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.packaging.frameworks import Export
from taxiway.packaging.parity import Parity
from taxiway.packaging.preflight import Check, failed, passed, skipped
from taxiway.packaging.session import Session
from taxiway.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.packaging.environment import Environment

#: Below this, drift tests against the reference have little power (Cochran's rule asks for five
#: expected counts in each of the twenty bins that PSI and chi-squared use).
FEWEST_ROWS = 100
#: A class rarer than this is hardly learnt, and its metrics are hardly known.
RAREST_CLASS = 0.05
_STANDARD_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml"))
_TIMED_ROWS = 50
_MOST_KINDS = 50


def format_safe(export: Export) -> Check:
    """Check that the file is plain ONNX: valid, of standard operators, with nothing outside it."""
    import onnx

    if export.runtime != "onnx":
        return skipped("format_safe", f"There is no check of {export.runtime} yet.")
    path = export.folder / "model.onnx"
    proto = onnx.load(path, load_external_data=False)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        reason = str(error).partition("\n")[0]
        return failed("format_safe", f"The ONNX checker refuses the file: {reason}.", "Report it to Taxiway.")
    domains = {opset.domain for opset in proto.opset_import} - _STANDARD_DOMAINS
    if domains or proto.functions:
        return failed(
            "format_safe",
            f"The file uses other than standard operators: {', '.join(sorted(domains)) or 'functions'}.",
            "Convert without custom operators.",
        )
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer):
        return failed("format_safe", "The file refers to data outside it.", "Export with the weights inside.")
    size = path.stat().st_size / 1024
    return passed(
        "format_safe", f"Valid ONNX of standard operators, {size:,.0f} kB, nothing outside the file."
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


def environment_locked(environment: Environment) -> Check:
    """Check that all code of the model comes from released versions."""
    loose = [*environment.local, *environment.editable]
    if loose:
        return failed(
            "environment_locked",
            f"The model uses code that no released version holds: {', '.join(loose)}.",
            "Install it as a package of its own, or waive this check.",
        )
    return passed(
        "environment_locked", f"{len(environment.needed)} distributions are recorded with their versions."
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


def target_leakage(reference: pd.DataFrame, target: pd.Series[Any] | None) -> Check:
    """Check that no input column is the target under another name."""
    if target is None:
        return skipped("target_leakage", "No target was given.")
    for name in reference.columns:
        if _tells(reference[name], target):
            return failed(
                "target_leakage",
                f"Column {name!r} tells the target exactly.",
                "Drop it, unless it is truly known when the prediction is made.",
            )
    return passed("target_leakage", "No column equals the target or stands for it one to one.")


def reference_size(rows: int) -> Check:
    """Check that the reference can be tested against."""
    if rows < FEWEST_ROWS:
        return failed(
            "reference_size",
            f"The reference has {rows} rows; drift tests need {FEWEST_ROWS}.",
            "Pass all of the training data as reference.",
        )
    return passed("reference_size", f"{rows:,} rows of reference.")


def class_balance(task: str, target: pd.Series[Any] | None) -> Check:
    """Check that no class is too rare to be learnt."""
    if task != "classification" or target is None:
        return skipped("class_balance", "There are no classes to count.")
    shares = target.value_counts(normalize=True)
    rarest, share = shares.index[-1], float(shares.iloc[-1])
    if share < RAREST_CLASS:
        return failed(
            "class_balance",
            f"Class {rarest!s} is {share:.1%} of the reference.",
            "Judge the model by balanced accuracy or by F1, and weight the classes.",
        )
    return passed("class_balance", f"The rarest class, {rarest!s}, is {share:.0%} of the reference.")


def latency(session: Session, reference: pd.DataFrame) -> Check:
    """Time one row in ONNX Runtime, without the HTTP server."""
    feed = session.feed(reference.head(1))
    session.run(feed)
    times = []
    for _ in range(_TIMED_ROWS):
        start = time.perf_counter()
        session.run(feed)
        times.append(time.perf_counter() - start)
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return passed("latency", f"One row takes {p50:.2f} ms (p50) and {p99:.2f} ms (p99) here.")


def _tells(column: pd.Series[Any], target: pd.Series[Any]) -> bool:
    """Say whether the column equals the target, stands for it one to one, or is it on another scale."""
    import pandas as pd

    kinds = target.nunique()
    if kinds < 2 or column.nunique() < 2:
        return False
    if kinds <= _MOST_KINDS and column.nunique() == kinds:
        pairs = pd.DataFrame({"column": column, "target": target}).drop_duplicates()
        return len(pairs) == kinds
    if kinds > _MOST_KINDS and all(pd.api.types.is_numeric_dtype(one.dtype) for one in (column, target)):
        one, other = (series.to_numpy(dtype=float, na_value=np.nan) for series in (column, target))
        both = np.isfinite(one) & np.isfinite(other)
        if both.sum() < 2 or one[both].std() == 0 or other[both].std() == 0:
            return False
        return bool(abs(np.corrcoef(one[both], other[both])[0, 1]) > 1 - 1e-9)
    return False


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
) -> Iterator[Check]:
    """Make every check."""
    yield format_safe(export)
    yield parity(report)
    yield signature_complete(signature)
    yield environment_locked(environment)
    yield target_leakage(reference, target)
    yield seeds_recorded(seeds)
    yield reference_size(len(reference))
    yield class_balance(task, target)
    yield latency(session, reference)
